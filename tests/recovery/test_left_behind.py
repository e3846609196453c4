"""A disaster that could not save everything: the way home for those that it saved, and what is said of the others."""

from __future__ import annotations

import itertools

import pytest

from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.inventory.models import VmDisk
from drportal.recovery import building
from drportal.recovery.models import ProtectionGroup, RecoveryPlan
from drportal.recovery.readiness import assess_now
from drportal.recovery.services import runs
from drportal.recovery.services.steps import step_skip
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import approved, person, requested, told
from tests.recovery.test_reprotect import verdicts
from tests.stack import wait_until

pytestmark = pytest.mark.slow
numbers = itertools.count(1)


def test_those_that_were_saved_come_home_and_the_other_is_left_alone(mover: Mover) -> None:
    saved, lost = f"web-{next(numbers)}", f"web-{next(numbers)}"
    plan = mover.plan(saved, lost)
    image = {name: source(mover, plan, name) for name in (saved, lost)}
    with_one_left_behind(mover, plan, image[lost])
    mover.lab.restore("a")
    wait_until("what was forced is primary twice", lambda: "two_primaries" in verdicts(mover, plan), 60)

    group = RecoveryPlan.objects.get(pk=plan.pk).group
    assert building.why_not(group, RunKind.REPROTECT) == ""
    away, here = building.direction(group, RunKind.REPROTECT)
    copy = building.copy_of_plan(plan, away, here, RunKind.REPROTECT)
    assert [vm.name for vm in copy.vms] == [saved]
    findings = assess_now(RunKind.REPROTECT, group, copy, away, here).result.findings
    (said,) = [finding for finding in findings if finding.code == "left_alone"]
    assert said.subject == lost
    assert "it was not moved there" in said.sentence
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert mover.primary(image[saved]) == "b"
    assert mover.primary(image[lost]) == "a"
    assert (mover.acts("a", "demote", image[lost]), mover.acts("a", "resync", image[lost])) == (0, 0)
    assert mover.vm_state("a", lost) == "RUNNING", "not even stopped"

    wait_until("protected again", lambda: verdicts(mover, plan) <= {"protected_reversed", "protected", "behind"}, 60)
    home = mover.drive(mover.ask(plan, RunKind.FAILBACK, accept_warnings=True))
    assert home.state == RunState.SUCCEEDED, told(home)
    assert [mover.primary(one) for one in image.values()] == ["a", "a"]
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-a"
    wait_until("follows", lambda: verdicts(mover, plan) <= {"protected", "behind"}, 60)
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    assert building.why_not(group, RunKind.PLANNED_FAILOVER) == ""
    both = building.copy_of_plan(plan, group.active_site, here, RunKind.PLANNED_FAILOVER)
    assert {vm.name for vm in both.vms} == {saved, lost}, "the plan has it again"


def test_a_vm_of_which_one_disk_was_forced_is_split_and_nothing_of_it_is_discarded(mover: Mover) -> None:
    whole, split = f"web-{next(numbers)}", f"db-{next(numbers)}"
    plan = mover.plan(whole, split)
    first, second = sorted(disks(mover, plan, split))
    with_one_left_behind(mover, plan, second)
    mover.lab.restore("a")
    wait_until("what was forced is primary twice", lambda: "two_primaries" in verdicts(mover, plan), 60)
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    copy = building.copy_of_plan(plan, *building.direction(group, RunKind.REPROTECT), RunKind.REPROTECT)
    assert [vm.name for vm in copy.vms] == [whole]
    ((name, sentence, remedy),) = copy.left_alone
    assert name == split
    assert f"one/{first} counts at Site B, one/{second} at Site A" in sentence
    assert f"rbd mirror image demote one/{first}" in remedy
    run = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert mover.primary(first) == "ab"
    assert mover.acts("a", "demote", first) == 0
    wait_until("the others follow", lambda: verdicts(mover, plan) & {"protected_reversed", "behind"}, 60)
    group = RecoveryPlan.objects.get(pk=plan.pk).group
    assert building.why_not(group, RunKind.FAILBACK) == "", "it does not keep the others from going home"
    assert first in building.why_not(group, RunKind.REPROTECT)


def disks(mover: Mover, plan: RecoveryPlan, name: str) -> list[str]:
    rows = VmDisk.objects.filter(vm__membership__group=plan.group, vm__site=mover.pair.a, vm__name=name)
    return [disk.source.removeprefix("one/") for disk in rows]


def source(mover: Mover, plan: RecoveryPlan, name: str) -> str:
    (image,) = disks(mover, plan, name)
    return image


def with_one_left_behind(mover: Mover, plan: RecoveryPlan, image: str) -> None:
    """Site a is lost, and of all images this one cannot be forced: what needs it is taken out of the run."""
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    mover.lab.fail("b", "command-fails", match=f"promote --force one/{image}", exit=30, stderr="rbd: error")
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    vm = run.steps.get(kind="image.force_promote", subject=f"one/{image}").vm_name
    for kind in ("image.force_promote", "image.register_alone", "vm.start_alone"):
        for step in run.steps.filter(kind=kind, vm_name=vm).exclude(state="succeeded"):
            step_skip(run_id=run.pk, step_id=step.pk, actor="olga", reason="its first copy was never whole")
    run = mover.drive(runs.run_resume(run_id=run.pk, actor="olga"))
    assert run.state == RunState.SUCCEEDED_WITH_EXCEPTIONS, told(run)
    mover.lab.restore("b")
