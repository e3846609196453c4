"""A disaster failover that did not run to its end: where the group is then, and what may be discarded afterwards."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.errors import Conflict, Forbidden
from drportal.inventory.models import VmDisk
from drportal.recovery import building
from drportal.recovery.models import Approval, ProtectionGroup, RecoveryPlan, Run, StepAttempt
from drportal.recovery.services import approvals, disaster, runs
from drportal.roles import Role
from tests.recovery.conftest import Mover, ask
from tests.recovery.test_disaster import approved, person, requested, told
from tests.recovery.test_reprotect import verdicts
from tests.stack import wait_until

pytestmark = pytest.mark.slow
numbers = itertools.count(1)


def cut_short(mover: Mover, *names: str, stopped_at: str = "") -> tuple[RecoveryPlan, Run]:
    """Site a is lost; the disaster stops where a command of site b that has the words in it fails (without: where its
    OpenNebula shall register the images), and is cancelled."""
    plan = mover.plan(*names)
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    if stopped_at:
        mover.lab.fail("b", "command-fails", match=stopped_at, exit=30, stderr="rbd: error")
    else:
        mover.lab.fail("b", "opennebula-refuses", match="image.allocate", text="not now")
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    run = mover.drive(runs.run_cancel(run_id=run.pk, actor="olga"))
    assert run.state == RunState.ABORTED, told(run)
    mover.lab.restore("b")
    plan.refresh_from_db()
    return plan, run


def test_cancelled_after_a_forced_promotion_the_group_is_where_the_survivors_are(mover: Mover) -> None:
    """Else a reprotect would take the survivor for the copy to discard."""
    one, two = f"web-{next(numbers)}", f"web-{next(numbers)}"
    images = mover.images(mover.plan(one))
    RecoveryPlan.objects.get(name=one).group.delete()
    plan, run = cut_short(mover, one, two, stopped_at=f"promote --force one/{images[0]}")
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    assert "now counts as running at" in run.sentence
    mover.lab.restore("a")
    wait_until("both are primary", lambda: "two_primaries" in verdicts(mover, plan), 60)
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    assert [site.slug for site in building.direction(group, RunKind.REPROTECT)] == ["site-a", "site-b"]


def test_cancelled_before_any_forced_promotion_the_group_stays(mover: Mover) -> None:
    plan, run = cut_short(mover, f"web-{next(numbers)}", stopped_at="promote --force")
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-a"
    assert "now counts as running at" not in run.sentence


def test_asked_for_again_it_goes_on_the_same_way_round(mover: Mover) -> None:
    """All images are forced, no VM runs: what is primary already is fit, and the rest is done."""
    plan, _ = cut_short(mover, f"web-{next(numbers)}")
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    again = requested(plan, User.objects.get(username="olga"))
    assert (again.source_site.slug, again.target_site.slug) == ("site-a", "site-b")
    approved(again, User.objects.get(username="anna"))
    again = mover.drive(again)
    assert again.state == RunState.SUCCEEDED, told(again)
    assert mover.vm_state("b", plan.name) == "RUNNING"
    (image,) = mover.images(plan)
    assert mover.acts("b", "promote --force", image) == 1, "not a second time"


def test_a_copy_that_two_people_forced_is_never_what_is_discarded(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is believed: somebody asks for it the wrong way round."""
    plan, _ = cut_short(mover, f"web-{next(numbers)}")
    mover.lab.restore("a")
    wait_until("both are primary", lambda: verdicts(mover, plan) == {"two_primaries"}, 60)
    ProtectionGroup.objects.filter(pk=plan.group_id).update(active_site=mover.pair.a)
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    assert [site.slug for site in building.direction(group, RunKind.REPROTECT)] == ["site-a", "site-b"], "by the record"

    monkeypatch.setattr(building, "survivor", lambda group: mover.pair.a)
    with pytest.raises(Conflict, match="what is at Site B is what counts"):
        ask(plan, RunKind.REPROTECT, accept_warnings=True)
    monkeypatch.setattr(building, "_share", lambda *asked: None)
    with pytest.raises(runs.NotReady, match="an approved forced promotion made primary"):
        ask(plan, RunKind.REPROTECT, accept_warnings=True)
    monkeypatch.setattr("drportal.recovery.readiness.forced_at", lambda site, plan: frozenset())
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.PAUSED, told(run)
    assert "an approved forced promotion made primary" in run.sentence
    (image,) = mover.images(plan)
    assert (mover.acts("b", "demote", image), mover.acts("b", "resync", image)) == (0, 0)


def test_a_yes_that_expires_in_the_middle_is_asked_for_again_within_the_run(mover: Mover) -> None:
    one, two = f"web-{next(numbers)}", f"web-{next(numbers)}"
    plan = mover.plan(one, two)
    disks = VmDisk.objects.filter(vm__membership__group=plan.group, vm__site=mover.pair.a)
    late = disks.get(vm__name=two).source.removeprefix("one/")
    mover.lab.fail("a", "site-down")
    olga, anna = person("olga", Role.OPERATOR), person("anna", Role.APPROVER)
    run = requested(plan, olga)
    first = approved(run, anna)
    mover.lab.fail("b", "command-fails", match=f"promote --force one/{late}", exit=30, stderr="rbd: error")
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    mover.lab.restore("b")
    Approval.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    run = mover.drive(runs.run_resume(run_id=run.pk, actor="olga"))
    assert run.state == RunState.PAUSED, told(run)
    assert "approval expired" in run.sentence
    assert "New approval" in run.sentence

    asked = disaster.new_approval_request(run_id=run.pk, reason="still burns", attestation="still cut", user=olga)
    assert [command.split()[-1] for command in asked.commands] == [f"one/{late}"], "what is still to be sent"
    assert asked.evidence.sha256 != first.evidence.sha256
    with pytest.raises(Conflict, match="One is asked for already"):
        disaster.new_approval_request(run_id=run.pk, reason="again", attestation="still cut", user=olga)
    with pytest.raises(Forbidden):
        approved(run, olga)
    assert approved(run, anna).pk == asked.pk
    run = runs.run_get(run.pk)
    assert run.state == RunState.RUNNING
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert sorted(Approval.objects.values_list("state", flat=True)) == ["used", "used"]
    assert (mover.vm_state("b", one), mover.vm_state("b", two)) == ("RUNNING", "RUNNING")
    sent = StepAttempt.objects.filter(step__run=run, outcome="done", command__contains=f"--force one/{late}").get()
    assert AuditEntry.objects.filter(run_id=run.pk, action="approval.use").count() == 1
    assert asked.created_at < sent.intent_at


def test_a_new_yes_that_is_refused_leaves_the_run_where_it_was(mover: Mover) -> None:
    plan = mover.plan(f"web-{next(numbers)}")
    mover.lab.fail("a", "site-down")
    olga, anna = person("olga", Role.OPERATOR), person("anna", Role.APPROVER)
    run = requested(plan, olga)
    with pytest.raises(Conflict) as caught:
        disaster.new_approval_request(run_id=run.pk, reason="why", attestation="cut", user=olga)
    assert caught.value.code == "no_new_approval", "not while it waits for its first"
    approved(run, anna)
    mover.lab.fail("b", "command-fails", match="promote --force", exit=30, stderr="rbd: error")
    run = mover.drive(run)
    asked = disaster.new_approval_request(run_id=run.pk, reason="why", attestation="cut", user=olga)
    approvals.approval_decline(approval_id=asked.pk, user=anna, reason="wait", by_token=False)
    assert runs.run_get(run.pk).state == RunState.PAUSED
    asked = disaster.new_approval_request(run_id=run.pk, reason="why", attestation="cut", user=olga)
    runs.run_cancel(run_id=run.pk, actor="olga")
    assert Approval.objects.get(pk=asked.pk).state == "void", "nobody decides about what is over"
    mover.lab.restore("a")
