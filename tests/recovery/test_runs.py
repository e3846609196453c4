"""Asking for a run, and steering it: every refusal, each with its code, and nothing started by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction

from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Finding, Severity
from drportal.engine.states import ACTIVE_RUN, RunState, StepState
from drportal.errors import Conflict, Invalid, PortalError, StaleVersion, WorkerUnavailable
from drportal.inventory.models import SitePair
from drportal.recovery import lease as leases
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run, RunImage
from drportal.recovery.services import runs, steps
from tests.recovery.conftest import Bell, ask, make_vm
from tests.recovery.test_approvals import together

pytestmark = pytest.mark.django_db(transaction=True)
MakePlan = Callable[..., RecoveryPlan]


def refused(code: str, plan: RecoveryPlan, kind: type[PortalError] = Conflict, **given: object) -> PortalError:
    before = Run.objects.count()
    with pytest.raises(kind) as caught:
        ask(plan, **given)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert Run.objects.count() == before, "nothing was started"
    return caught.value


def test_a_run_is_made_whole_recorded_and_rung_for(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan, reason="power works")
    assert run.state == RunState.APPROVED
    assert run.plan_version == plan.version
    assert [step.kind for step in run.steps.all()].count("image.demote") == 3
    assert RunImage.objects.filter(run=run, held=True).count() == 3
    entry = AuditEntry.objects.get(action="run.request")
    assert (entry.actor, entry.run_id, entry.payload["reason"]) == ("olga", run.pk, "power works")
    assert bell.rung == [run.pk]


def test_the_same_request_key_gives_the_same_run(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    first = ask(plan, key="click")
    again = ask(plan, key="click", phrase="whatever", plan_version=99)
    assert again.pk == first.pk
    assert bell.rung == [first.pk]


def test_a_run_needs_the_version_that_was_looked_at(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    refused("stale_version", plan, StaleVersion, plan_version=plan.version + 1)


def test_a_run_needs_its_phrase(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    error = refused("wrong_phrase", plan, Invalid, phrase="move shop to site-a")
    assert "move shop to site-b" in error.detail


def test_a_run_needs_a_worker(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    bell.alive = False
    refused("no_worker", plan, WorkerUnavailable)


def test_a_run_needs_a_key(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    refused("invalid", plan, Invalid, request_key=" ")


def test_a_blocker_refuses_and_is_in_the_trail(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    ready.append(Finding("G-PATH", Severity.BLOCK, "one/one-1", "The daemon is down.", "Start it."))
    error = refused("not_ready", plan)
    assert error.extra["findings"] == [
        {
            "code": "G-PATH",
            "severity": "block",
            "subject": "one/one-1",
            "sentence": "The daemon is down.",
            "remedy": "Start it.",
        }
    ]
    assert AuditEntry.objects.get(action="run.refused").payload["findings"][0]["code"] == "G-PATH"


def test_a_warning_must_be_accepted(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    ready.append(Finding("behind", Severity.WARN, "one/one-1", "It is behind.", None))
    refused("warnings", plan)
    assert ask(plan, accept_warnings=True).state == RunState.APPROVED


def test_one_active_run_of_a_group(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    first = ask(plan)
    error = refused("run_active", plan)
    assert error.extra["run_id"] == first.pk


@pytest.mark.parametrize("state", sorted(ACTIVE_RUN))
def test_the_database_itself_refuses_a_second_active_run(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell, state: RunState
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state=state.value)
    run.pk, run.request_key = None, "another"
    with pytest.raises(IntegrityError), transaction.atomic():
        run.save(force_insert=True)


def test_an_image_is_in_one_run_at_a_time(
    pair: SitePair, make_plan: MakePlan, ready: list[Finding], bell: Bell
) -> None:
    """Two groups whose VMs share an image: the database refuses what the plans allow."""
    first = ask(make_plan("one", make_vm(pair, "vm-1", 1, ["shared"])))
    second = make_plan("two", make_vm(pair, "vm-2", 2, ["shared", "own"]))
    error = refused("image_held", second)
    assert error.extra["run_id"] == first.pk
    assert "one/shared" in error.detail


def test_a_failback_is_refused_at_home_and_a_failover_away(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell
) -> None:
    with pytest.raises(Conflict) as caught:
        ask(plan, RunKind.FAILBACK)
    assert caught.value.code == "wrong_direction"
    ProtectionGroup.objects.update(active_site=plan.group.pair.b)
    refused("wrong_direction", plan)
    run = ask(plan, RunKind.FAILBACK)
    assert (run.source_site.slug, run.target_site.slug) == ("site-b", "site-a")


def test_cancel_before_an_executor_began_ends_the_run_and_fences_it(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell
) -> None:
    run = runs.run_cancel(run_id=ask(plan).pk, actor="olga", reason="wrong day")
    assert (run.state, run.fence) == (RunState.ABORTED, 1)
    assert not RunImage.objects.filter(held=True).exists()
    assert leases.take(run.pk, "late", 10.0) is None
    assert ask(plan).pk != run.pk


def test_cancel_of_a_driven_run_is_asked_of_its_executor(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan)
    assert leases.take(run.pk, "executor", 10.0)
    run = runs.run_cancel(run_id=run.pk, actor="olga")
    assert (run.state, run.cancel_asked) == (RunState.APPROVED, True)


def test_cancel_of_a_paused_run_calls_an_executor_to_say_where_things_stand(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="paused")
    run = runs.run_cancel(run_id=run.pk, actor="olga")
    assert run.state == RunState.CANCELLING
    assert bell.rung == [run.pk, run.pk]


def test_pause_and_resume(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="running")
    assert runs.run_pause(run_id=run.pk, actor="olga").pause_asked is True
    assert runs.run_resume(run_id=run.pk, actor="olga").pause_asked is False
    Run.objects.filter(pk=run.pk).update(state="paused")
    failed = run.steps.all()[0]
    failed.state = StepState.FAILED.value
    failed.save()
    assert runs.run_resume(run_id=run.pk, actor="olga").state == RunState.RUNNING
    failed.refresh_from_db()
    assert failed.state == StepState.PENDING
    assert bell.rung[-1] == run.pk
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions[-4:] == ["run.pause_asked", "run.resume", "step.retry", "run.resume"]


@pytest.mark.parametrize("state", ["succeeded", "aborted", "failed", "succeeded_with_exceptions"])
def test_a_finished_run_is_left_alone(plan: RecoveryPlan, ready: list[Finding], bell: Bell, state: str) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state=state)
    for ask_for in (runs.run_pause, runs.run_resume, runs.run_cancel):
        with pytest.raises(Conflict) as caught:
            ask_for(run_id=run.pk, actor="olga")
        assert caught.value.code == "wrong_state"


def test_a_step_is_retried_and_skipped_only_while_the_run_is_paused(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell
) -> None:
    run = ask(plan)
    step = run.steps.all()[0]
    run.steps.filter(pk=step.pk).update(state="failed")
    for change in (steps.step_retry, steps.step_skip):
        with pytest.raises(Conflict):
            change(run_id=run.pk, step_id=step.pk, actor="olga", reason="because")
    Run.objects.filter(pk=run.pk).update(state="paused")
    with pytest.raises(Invalid):
        steps.step_skip(run_id=run.pk, step_id=step.pk, actor="olga", reason=" ")
    skipped = steps.step_skip(run_id=run.pk, step_id=step.pk, actor="olga", reason="it is off for good")
    assert (skipped.state, skipped.skipped_by, skipped.skip_reason) == ("skipped", "olga", "it is off for good")


def test_an_image_whose_role_is_unknown_cannot_be_skipped(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="paused")
    step = run.steps.filter(kind="image.demote")[0]
    run.steps.filter(pk=step.pk).update(state="unknown")
    with pytest.raises(Conflict) as caught:
        steps.step_skip(run_id=run.pk, step_id=step.pk, actor="olga", reason="never mind")
    assert "reading its role" in caught.value.detail


def test_the_last_failed_step_that_is_retried_lets_the_run_go_on(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="paused")
    first, second = run.steps.all()[:2]
    run.steps.filter(pk__in=[first.pk, second.pk]).update(state="failed")
    steps.step_retry(run_id=run.pk, step_id=first.pk, actor="olga")
    assert runs.run_get(run.pk).state == RunState.PAUSED
    steps.step_retry(run_id=run.pk, step_id=second.pk, actor="olga")
    assert runs.run_get(run.pk).state == RunState.RUNNING


def test_the_way_back_is_open_only_after_a_cancelled_run(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan)
    with pytest.raises(Conflict) as caught:
        runs.way_back_request(run_id=run.pk, phrase="take shop back to site-a", request_key="b", actor="olga")
    assert caught.value.code == "no_way_back"


@pytest.mark.django_db(transaction=True)
def test_fifty_requests_at_the_same_moment_make_one_run(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    """Half of them with one key, as of a button that is hit again and again, half with keys of their own."""

    def one(number: int) -> Callable[[], str]:
        def act() -> str:
            try:
                return f"run {ask(plan, key='one button' if number % 2 else f'key {number}').pk}"
            except Conflict as error:
                return error.code

        return act

    said = together(*(one(number) for number in range(50)))
    (run,) = Run.objects.all()
    assert set(said) <= {f"run {run.pk}", "run_active"}
    assert f"run {run.pk}" in said
    assert bell.rung == [run.pk], "rung for once"
    assert AuditEntry.objects.filter(action="run.request").count() == 1
