"""Sites, commands and front ends that fail in the middle of a run: nothing is sent twice, and the run ends right."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from drportal.lab.control import LabClient
from drportal.recovery.models import GateCheck, Run, StepAttempt
from drportal.recovery.services.runs import run_resume
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, vm_ids
from tests.faults.stack import DEADLINE_S, PATIENCE_S, SETTLE_S, Portal
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow


class Move:
    """A failover under a fault, and what must be true at its end."""

    def __init__(self, lab: LabClient, portal: Portal, witness: PrimaryWitness) -> None:
        self.lab, self.portal, self.witness = lab, portal, witness
        self.home = vm_ids(lab, "a")

    def begin(self) -> int:
        self.run_id = self.portal.failover()
        return self.run_id

    def pauses(self) -> Run:
        return self.portal.wait_run(self.run_id, "paused")

    def resume(self) -> None:
        run_resume(run_id=self.run_id, actor="operator")

    def ends_right(self) -> None:
        self.portal.wait_run(self.run_id)
        assert_all_is_at(self.lab, "b")
        assert deeds(self.lab) == a_failover(self.lab, self.home)
        self.portal.assert_trail(self.run_id)
        self.witness.assert_clean()

    def attempts(self, kind: str) -> list[StepAttempt]:
        return self.portal.attempts(self.run_id, kind)


@pytest.fixture
def move(lab: LabClient, portal: Portal, witness: PrimaryWitness) -> Move:
    return Move(lab, portal, witness)


def hold(lab: LabClient, site: str, verb: str, seconds: float, **times: int) -> None:
    lab.fail(site, "command-hangs", match=f"mirror image {verb}", seconds=seconds, **times)


def test_an_act_whose_connection_dropped_is_looked_up_and_not_sent_again(lab: LabClient, move: Move) -> None:
    for site, verb in (("a", "demote"), ("b", "promote")):
        lab.fail(site, "command-succeeds-but-connection-drops", match=f"mirror image {verb}", times=1)
    move.begin()
    move.ends_right()
    for kind in ("image.demote", "image.promote"):
        # The receipt tells what the lost answer would have told: done, or (of the images whose acts shared the
        # connection and had not begun yet) that it never will be. Only those are sent again.
        done = Counter(attempt.step.subject for attempt in move.attempts(kind) if attempt.outcome == "done")
        assert set(done.values()) == {1}
        assert len(done) == 5
        assert {attempt.outcome for attempt in move.attempts(kind)} <= {"done", "not_done"}
    assert [there["faults"] for there in lab.status()["sites"].values()] == [{}, {}], "no connection was dropped"


def test_a_refused_demotion_pauses_the_run_with_its_reason_and_a_resume_goes_on(lab: LabClient, move: Move) -> None:
    words = "rbd: error demoting image to secondary: (1) Operation not permitted"
    lab.fail("a", "command-fails", match="mirror image demote one/one-12", exit=1, stderr=words)
    move.begin()
    run = move.pauses()
    assert "Demote one/one-12 at Site A" in run.sentence
    assert "Operation not permitted" in run.sentence
    assert "Retry, hold" in run.sentence
    assert deeds(lab)["a", "demote", "one-12"] == 0
    lab.restore("a")
    move.resume()
    move.ends_right()
    assert [a.outcome for a in move.attempts("image.demote") if a.step.subject == "one/one-12"] == ["refused", "done"]


@pytest.mark.parametrize(("site", "verb"), [("a", "demote"), ("b", "promote")])
def test_an_act_that_outlasts_our_patience_is_unknown_and_nothing_second_is_sent(
    site: str, verb: str, lab: LabClient, portal: Portal, move: Move
) -> None:
    hangs_s = PATIENCE_S + SETTLE_S + 2  # longer than "not done" would need to be believed
    hold(lab, site, f"{verb} one/one-12", hangs_s, times=1)
    move.begin()
    portal.wait_step(move.run_id, f"image.{verb}", "unknown")
    move.ends_right()
    (attempt,) = [a for a in move.attempts(f"image.{verb}") if a.step.subject == "one/one-12"]
    assert attempt.outcome == "found_done"


@pytest.mark.parametrize("site", ["a", "b"])
@pytest.mark.parametrize("fault", ["site-hung", "site-down"])
def test_a_site_that_is_gone_for_a_while_is_waited_for(
    fault: str, site: str, lab: LabClient, portal: Portal, move: Move
) -> None:
    for place, verb in (("a", "demote"), ("b", "promote")):
        hold(lab, place, verb, 0.3)
    move.begin()
    portal.wait_step(move.run_id, "image.demote" if site == "a" else "image.promote", "running")
    lab.fail(site, fault)
    time.sleep(DEADLINE_S + 1)
    run = Run.objects.get(pk=move.run_id)
    assert run.state == "running", run.sentence
    lab.restore(site, fault)
    move.ends_right()


@pytest.mark.parametrize(
    ("site", "match", "kind"),
    [
        ("a", "vm.action poweroff", "vm.power_off"),
        ("b", "image.allocate", "image.register"),
        ("b", "vm.allocate", "vm.start"),
    ],
)
def test_a_lost_answer_of_opennebula_never_makes_a_second_object(
    site: str, match: str, kind: str, lab: LabClient, move: Move
) -> None:
    lab.fail(site, "opennebula-answer-lost", match=match, times=2)
    move.begin()
    move.ends_right()
    assert sorted(attempt.outcome for attempt in move.attempts(kind))[-2:] == ["found_done", "found_done"]
    assert {attempt.number for attempt in move.attempts(kind)} == {1}


def test_a_refused_power_off_pauses_before_any_image_is_touched(lab: LabClient, move: Move) -> None:
    lab.fail("a", "opennebula-refuses", match="vm.action poweroff", times=1, text="The hypervisor is in maintenance.")
    move.begin()
    run = move.pauses()
    assert "The hypervisor is in maintenance" in run.sentence
    assert not [deed for deed in deeds(lab) if deed[1] in ("demote", "promote")]
    move.resume()
    move.ends_right()


@pytest.mark.parametrize("fault", ["rbd-mirror-down", "rbd-mirror-hung"])
def test_a_promotion_waits_for_a_demotion_that_does_not_arrive(
    fault: str, lab: LabClient, portal: Portal, move: Move
) -> None:
    hold(lab, "a", "demote", 1)
    move.begin()
    portal.wait_step(move.run_id, "image.demote", "running", count=5)
    lab.fail("b", fault)
    portal.wait_step(move.run_id, "image.promote", "waiting", count=5)
    time.sleep(1.5)
    assert not [deed for deed in deeds(lab) if deed[1] == "promote"]
    run = Run.objects.get(pk=move.run_id)
    assert run.state == "running"
    gates = GateCheck.objects.filter(step__run=run, step__kind="image.promote", gate="G-DEMOTED")
    assert {gate.outcome for gate in gates} <= {"not_met", "cannot_tell"}
    assert gates.count() == 5
    assert all("G-DEMOTED" in step.sentence for step in run.steps.filter(kind="image.promote"))
    lab.restore("b", fault)
    move.ends_right()


def test_a_host_that_shows_another_key_in_the_middle_gets_nothing_until_a_person_has_looked(
    lab: LabClient, portal: Portal, move: Move
) -> None:
    hold(lab, "a", "demote", 1)
    move.begin()
    portal.wait_step(move.run_id, "image.demote", "running", count=5)
    lab.fail("b", "wrong-host-key")
    run = move.pauses()
    assert "key" in run.sentence
    assert not [deed for deed in deeds(lab) if deed[0] == "b"]
    lab.restore("b", "wrong-host-key")
    move.resume()
    move.ends_right()
