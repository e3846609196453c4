"""SIGKILL of the executor at every point of every act: the run ends as it would have, and does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from drportal.inventory.models import CephThrough
from drportal.lab.control import LabClient
from drportal.recovery.failpoints import POINTS
from drportal.recovery.models import Run
from drportal.recovery.services.runs import run_cancel
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, images, once, vm_ids
from tests.faults.stack import CALL_DELAY_S, Portal
from tests.stack import wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow

THERE = ("vm.power_off", "image.demote", "image.promote", "image.register", "vm.start")
BACK = ("image.promote_again", "vm.resume_here")
HOME = ("vm.power_off", "image.demote", "image.promote", "vm.start", "vm.retire")  # the records at home are there


def slow_acts(lab: LabClient) -> None:
    """Long enough for P3 to kill the executor before the act has its effect: it takes effect after the death."""
    for site in ("a", "b"):
        for verb in ("demote", "promote"):
            lab.fail(site, "command-hangs", match=f"mirror image {verb}", seconds=CALL_DELAY_S)


def survive(portal: Portal, run_id: int, kinds: tuple[str, ...]) -> None:
    run = portal.wait_run(run_id)
    assert not portal.unfired(), f"never got there: {portal.unfired()}\n{portal.told(run_id)}"
    assert run.fence >= 1 + len(kinds), "each death is a change of hands"
    portal.assert_trail(run_id)


@pytest.mark.parametrize("point", POINTS)
def test_it_moves_there_and_home_although_its_executor_dies_in_every_act(
    point: str, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    slow_acts(lab)
    home = vm_ids(lab, "a")
    for kind in THERE:
        portal.arm(kind, point)
    survive(portal, portal.failover(), THERE)
    assert_all_is_at(lab, "b")
    done = deeds(lab)
    copies = vm_ids(lab, "b")
    assert done == a_failover(lab, home)

    for kind in HOME:
        portal.arm(kind, point)
    survive(portal, portal.failback(), HOME)
    assert_all_is_at(lab, "a")
    assert deeds(lab) - done == (
        once("b", "poweroff", copies)
        + once("b", "demote", images(lab))
        + once("a", "promote", images(lab))
        + once("a", "resume", home)
        + once("b", "terminate", copies)
    )
    witness.assert_clean()


@pytest.mark.parametrize("through", [CephThrough.RBD])
@pytest.mark.parametrize("point", POINTS)
def test_nothing_is_done_twice_where_no_receipts_are_kept_either(
    point: str, through: CephThrough, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    """Through the plain ``rbd`` client: what became of an act is known from the image and its watchers alone."""
    slow_acts(lab)
    home = vm_ids(lab, "a")
    kinds = ("image.demote", "image.promote")
    for kind in kinds:
        portal.arm(kind, point)
    survive(portal, portal.failover(), kinds)
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    assert not any("drportal-site" in act["command"] for site in ("a", "b") for act in lab.acts(site))
    witness.assert_clean()


@pytest.mark.parametrize("point", POINTS)
def test_the_way_back_ends_although_its_executor_dies_in_every_act(
    point: str, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    lab.fail("a", "command-hangs", match="mirror image demote", seconds=1)
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running", count=5)
    lab.fail("b", "rbd-mirror-down")  # so that no promotion overtakes us
    run_cancel(run_id=run_id, actor="operator", reason="wrong day")
    portal.wait_run(run_id, "aborted")
    slow_acts(lab)
    for kind in BACK:
        portal.arm(kind, point)
    survive(portal, portal.way_back(run_id), BACK)
    assert_all_is_at(lab, "a")
    assert deeds(lab) == (
        once("a", "poweroff", home)
        + once("a", "demote", images(lab))
        + once("a", "promote", images(lab))
        + once("a", "resume", home)
    )
    witness.assert_clean()


@pytest.mark.parametrize(("kind", "point"), [("image.demote", "P3"), ("vm.start", "P3")])
def test_it_goes_on_when_the_worker_above_the_executor_is_killed(
    kind: str, point: str, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    slow_acts(lab)
    home = vm_ids(lab, "a")
    portal.arm(kind, point, "kill-worker")
    survive(portal, portal.failover(), (kind,))
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    witness.assert_clean()


@pytest.mark.parametrize("kind", ["image.demote", "vm.start"])
def test_it_goes_on_when_all_workers_are_killed_and_come_back(
    kind: str, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    slow_acts(lab)
    home = vm_ids(lab, "a")
    run_id = portal.failover()
    portal.wait_step(run_id, kind, "running")
    executor = executor_of(run_id)
    portal.worker.kill()
    wait_until("the executor died with its worker", lambda: not Path(f"/proc/{executor}").exists(), 3)
    portal.worker.start()
    survive(portal, run_id, (kind,))
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    witness.assert_clean()


def executor_of(run_id: int) -> int:
    """The process that drives it: its lease is held as HOST:PID:WORD."""
    return int(Run.objects.get(pk=run_id).lease_owner.split(":")[1])
