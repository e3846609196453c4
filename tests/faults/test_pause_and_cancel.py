"""Pause, go on, cancel and the way back, in the middle of the acts on images."""

from __future__ import annotations

import contextlib
import time

import pytest

from drportal.lab.control import LabClient
from drportal.recovery.services.runs import NotReady, run_cancel, run_pause, run_resume
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, images, once, vm_ids
from tests.faults.stack import Portal
from tests.stack import wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow


def failover_if_ready(portal: Portal) -> int | None:
    """A daemon that has just begun to replay does not tell how far it is before its next beat."""
    with contextlib.suppress(NotReady):
        return portal.failover()
    return None


def hold(lab: LabClient, verb: str, seconds: float) -> None:
    lab.fail("a" if verb == "demote" else "b", "command-hangs", match=f"mirror image {verb}", seconds=seconds)


def replaying(lab: LabClient, site: str) -> list[bool]:
    return [lab.image(site, name)["replaying"] for name in sorted(images(lab))]


def test_a_paused_run_sends_nothing_until_it_is_resumed(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    hold(lab, "demote", 1)
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running", count=5)
    run_pause(run_id=run_id, actor="operator", reason="wait")
    run = portal.wait_run(run_id, "paused")
    assert "Paused: nothing is in flight." in run.sentence
    assert "5 primary at neither site" in run.sentence
    assert {line["where"] for line in run.standing} == {"nowhere"}
    before = deeds(lab)
    assert before == once("a", "poweroff", home) + once("a", "demote", images(lab))
    time.sleep(2)
    assert deeds(lab) == before
    run_resume(run_id=run_id, actor="operator")
    portal.wait_run(run_id)
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    portal.assert_trail(run_id)
    witness.assert_clean()


@pytest.mark.parametrize("arrived", [True, False], ids=["demotions arrived", "demotions stuck"])
def test_the_way_back_after_all_demotions(
    arrived: bool, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    hold(lab, "demote", 1)
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running", count=5)
    if not arrived:
        lab.fail("b", "rbd-mirror-down")
    run_cancel(run_id=run_id, actor="operator", reason="wrong day")
    run = portal.wait_run(run_id, "aborted")
    assert "5 primary at neither site" in run.sentence
    assert not [deed for deed in deeds(lab) if deed[1] == "promote"]
    if arrived:
        wait_until("the demotions arrived", lambda: not any(replaying(lab, "b")), 20)

    back = portal.way_back(run_id)
    portal.wait_run(back)
    assert_all_is_at(lab, "a")
    assert deeds(lab) == (
        once("a", "poweroff", home)
        + once("a", "demote", images(lab))
        + once("a", "promote", images(lab))
        + once("a", "resume", home)
    )
    portal.assert_trail(back)
    lab.restore("b")
    wait_until("the other site replays again", lambda: all(replaying(lab, "b")), 30)
    witness.assert_clean()


def test_the_way_back_after_three_of_five_demotions(lab: LabClient, portal: Portal, witness: PrimaryWitness) -> None:
    home = vm_ids(lab, "a")
    hold(lab, "demote", 0.5)
    for name in ("one-13", "one-14"):  # 22 without a known cause: surely refused
        lab.fail("a", "command-fails", match=f"mirror image demote one/{name}", exit=22, stderr="rbd: refused")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running", count=5)
    lab.fail("b", "rbd-mirror-down")  # so that no promotion overtakes us
    run = portal.wait_run(run_id, "paused")
    assert "Stopped at “Demote one/one-1" in run.sentence
    assert "3 primary at neither site, 2 primary at site-a" in run.sentence
    lab.restore("a")
    run_cancel(run_id=run_id, actor="operator")
    portal.wait_run(run_id, "aborted")
    demoted = {"one-10", "one-11", "one-12"}

    back = portal.way_back(run_id)
    portal.wait_run(back)
    assert_all_is_at(lab, "a")
    assert deeds(lab) == (
        once("a", "poweroff", home)
        + once("a", "demote", demoted)
        + once("a", "promote", demoted)
        + once("a", "resume", home)
    )
    portal.assert_trail(back)
    lab.restore("b")
    wait_until("the other site replays again", lambda: all(replaying(lab, "b")), 30)
    witness.assert_clean()


def test_a_cancelled_run_leaves_the_group_free_for_another_failover(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    """Back and there again: the images' histories now hold an older demotion, which must not be taken for the new."""
    hold(lab, "demote", 0.5)
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running", count=5)
    run_cancel(run_id=run_id, actor="operator")
    portal.wait_run(run_id, "aborted")
    portal.wait_run(portal.way_back(run_id))
    wait_until("the other site replays again", lambda: all(replaying(lab, "b")), 30)
    for name in images(lab):
        lab.write("a", name, seed=f"after the way back {name}")
    wanted = {name: lab.checksum("a", name) for name in images(lab)}
    portal.wait_run(wait_until("the plan is ready", lambda: failover_if_ready(portal), 60, 1.0))
    assert_all_is_at(lab, "b")
    assert {name: lab.checksum("b", name) for name in images(lab)} == wanted
    witness.assert_clean()
