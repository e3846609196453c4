"""Runs that rest with work left and go on as a person chooses: on the embedded lab, an executor in this process."""

from __future__ import annotations

import pytest

from drportal.audit.models import AuditEntry
from drportal.engine.partial import Choice
from drportal.engine.states import RunState
from drportal.inventory.models import VmDisk
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run
from drportal.recovery.services import choices
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import approved, person, requested, told

pytestmark = pytest.mark.slow


def image_of(mover: Mover, plan: RecoveryPlan, name: str) -> str:
    disk = VmDisk.objects.get(vm__membership__group=plan.group, vm__site=mover.pair.a, vm__name=name)
    return disk.source.removeprefix("one/")


def chosen(mover: Mover, run: Run, choice: Choice, *names: str, up_to: int | None = None) -> Run:
    """A person chooses, and an executor comes when it is called."""
    vms = [vm["key"] for vm in run.plan_copy["vms"] if vm["name"] in names]
    run = choices.run_choose(run_id=run.pk, choice=choice, vms=vms, up_to=up_to, version=run.version, actor="olga")
    return mover.drive(run) if run.state == RunState.RUNNING else run


def test_a_planned_move_goes_on_past_the_vm_that_is_on_hold_and_takes_it_along_later(mover: Mover) -> None:
    """web-1 would wait for db's place in the order: with web-2 on hold it does not."""
    plan = mover.plan("web-2", "web-1", in_turn=True)
    late, other = image_of(mover, plan, "web-2"), image_of(mover, plan, "web-1")
    mover.lab.fail("a", "command-fails", match=f"mirror image demote one/{late}", exit=30, stderr="rbd: error", times=1)
    run = mover.drive(mover.ask(plan))
    assert run.state == RunState.PAUSED, told(run)

    run = chosen(mover, run, Choice.HOLD, "web-2")
    assert run.state == RunState.PAUSED, told(run)
    assert "On hold: web-2." in run.sentence
    assert (mover.primary(other), mover.vm_state("b", "web-1")) == ("b", "RUNNING")
    assert (mover.primary(late), mover.acts("a", "demote", late)) == ("a", 0), "nothing of it was sent"

    run = chosen(mover, run, Choice.RETRY, "web-2")
    assert run.state == RunState.SUCCEEDED, told(run)
    assert (mover.primary(late), mover.vm_state("b", "web-2")) == ("b", "RUNNING")
    assert [mover.acts(side, verb, late) for side, verb in (("a", "demote"), ("b", "promote"))] == [1, 1]
    said = AuditEntry.objects.filter(run_id=run.pk, action="run.choose").order_by("seq")
    assert [entry.payload["choice"] for entry in said] == ["hold", "retry"]
    assert any("web-1 no longer waits for web-2" in line for line in said[0].payload["consequences"])


def test_after_a_disaster_the_critical_ones_are_forced_and_the_rest_is_left_as_it_is(mover: Mover) -> None:
    plan = mover.plan("web-3", "web-4", "web-5", in_turn=True)
    images = [image_of(mover, plan, name) for name in ("web-3", "web-4", "web-5")]
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    mover.lab.fail("b", "command-fails", match="promote --force", exit=30, stderr="rbd: error")
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    mover.lab.restore("b")

    run = chosen(mover, run, Choice.CRITICAL, up_to=1)
    assert run.state == RunState.PAUSED, told(run)
    assert [mover.vm_state("b", name) for name in ("web-3", "web-4", "web-5")] == ["RUNNING", None, None]
    assert [mover.acts("b", "promote --force", image) for image in images] == [1, 0, 0]
    assert "On hold: web-4, web-5." in run.sentence

    run = mover.drive(chosen(mover, run, Choice.STOP))
    assert run.state == RunState.ABORTED, told(run)
    assert [mover.acts("b", "promote --force", image) for image in images] == [1, 0, 0]
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
