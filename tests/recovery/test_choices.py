"""Choosing how a paused run goes on: what is written, what is refused, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from drportal.audit.models import AuditEntry
from drportal.engine.partial import Choice
from drportal.engine.readiness import Finding
from drportal.engine.states import RunState
from drportal.errors import Conflict, StaleVersion
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.services import choices, runs, steps
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paused(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> Run:
    """db-1's demotions have failed; web-1 waits."""
    run = ask(plan)
    run.steps.filter(kind__in=["vm.check", "vm.power_off"]).update(state="succeeded")
    run.steps.filter(kind="image.demote", vm_name="db-1").update(state="failed", sentence="It was refused.")
    standing = [
        {"kind": "vm", "name": "db-1", "where": "nowhere", "sentence": "POWEROFF at Site-A", "read_at": "2026-01-01"}
    ]
    Run.objects.filter(pk=run.pk).update(state="paused", standing=standing)
    return runs.run_get(run.pk)


def key(run: Run, name: str) -> str:
    return str(run.steps.filter(vm_name=name)[0].params["vm"])


def choose(run: Run, choice: Choice, *names: str, **given: Any) -> Run:
    vms = [key(run, name) for name in names]
    return choices.run_choose(run_id=run.pk, choice=choice, vms=vms, actor="olga", **{"version": run.version, **given})


def states(run: Run, name: str) -> list[str]:
    return list(run.steps.filter(kind="image.demote", vm_name=name).values_list("state", flat=True))


def test_these_are_retried_and_the_run_goes_on(paused: Run, bell: Bell) -> None:
    run = choose(paused, Choice.RETRY, "db-1", reason="the daemon is back")
    assert (run.state, states(run, "db-1"), bell.rung[-1]) == (RunState.RUNNING, ["pending"] * 2, run.pk)
    entry = AuditEntry.objects.get(action="run.choose")
    assert (entry.actor, entry.run_id, entry.payload["choice"]) == ("olga", run.pk, "retry")
    assert entry.payload["reason"] == "the daemon is back"
    assert any("db-1: tried again" in sentence for sentence in entry.payload["consequences"])
    assert AuditEntry.objects.filter(action="step.retry", seq__gt=entry.seq).count() == 2


def test_what_is_on_hold_stays_failed_and_neither_a_resume_nor_a_single_retry_touches_it(paused: Run) -> None:
    run = choose(paused, Choice.HOLD, "db-1")
    assert (run.state, run.on_hold, states(run, "db-1")) == (RunState.RUNNING, [key(run, "db-1")], ["failed"] * 2)
    Run.objects.filter(pk=run.pk).update(state="paused")
    failed = run.steps.filter(state="failed")[0]
    with pytest.raises(Conflict, match="db-1 is on hold"):
        steps.step_retry(run_id=run.pk, step_id=failed.pk, actor="olga")
    runs.run_resume(run_id=run.pk, actor="olga")
    assert states(run, "db-1") == ["failed"] * 2
    Run.objects.filter(pk=run.pk).update(state="paused")
    run = choose(runs.run_get(run.pk), Choice.RETRY, "db-1")
    assert (run.on_hold, states(run, "db-1")) == ([], ["pending"] * 2)


def test_nobody_is_called_where_nothing_goes_on(paused: Run, bell: Bell) -> None:
    rung = len(bell.rung)
    run = choose(paused, Choice.HOLD, "db-1", "web-1")
    assert (run.state, len(run.on_hold), len(bell.rung)) == (RunState.PAUSED, 2, rung)
    assert run.version > paused.version


def test_stop_is_a_cancel_with_its_consequences_in_the_trail(paused: Run) -> None:
    run = choose(paused, Choice.STOP, reason="not tonight")
    assert run.state == RunState.CANCELLING
    assert list(AuditEntry.objects.order_by("-seq").values_list("action", flat=True)[:2]) == [
        "run.cancel_asked",
        "run.choose",
    ]


def test_a_choice_by_an_older_page_or_outside_a_pause_is_refused(paused: Run) -> None:
    with pytest.raises(StaleVersion):
        choose(paused, Choice.HOLD, "db-1", version=paused.version - 1)
    with pytest.raises(Conflict) as caught:
        choose(paused, Choice.CRITICAL, up_to=5)
    assert caught.value.code == "no_such_choice"
    Run.objects.filter(pk=paused.pk).update(state="running")
    with pytest.raises(Conflict) as caught:
        choose(paused, Choice.HOLD, "db-1")
    assert caught.value.code == "wrong_state"
    assert not AuditEntry.objects.filter(action="run.choose").exists()
    assert runs.run_get(paused.pk).on_hold == []


def test_over_http_the_page_offers_it_and_says_what_follows(paused: Run, operator: Person, viewer: Person) -> None:
    path = f"/runs/{paused.pk}"
    console = viewer.read(path)["console"]
    assert [(vm["name"], vm["part"]) for vm in console["vms"]] == [("db-1", "failed"), ("web-1", "waiting")]
    assert console["vms"][0]["trouble"] == "Demote one/one-1 at Site-A: It was refused."
    wanted = {"choice": "hold", "vms": [console["vms"][0]["key"]]}
    told = viewer.api("POST", f"{path}/consequences", wanted)
    assert told.status_code == 200, told.content
    assert any("POWEROFF at Site-A" in sentence for sentence in told.json()["consequences"])
    assert runs.run_get(paused.pk).on_hold == [], "asking changes nothing"
    body = {**wanted, "version": paused.version, "reason": "its disk is broken"}
    assert viewer.api("POST", f"{path}/choice", body).status_code == 403
    done = operator.api("POST", f"{path}/choice", body)
    assert (done.status_code, done.json()["state"]) == (200, "running"), done.content
    assert operator.api("POST", f"{path}/choice", body).status_code in (409, 412), "a double click"
    assert operator.read(path)["console"] is None, "there is nothing to choose while it runs"
