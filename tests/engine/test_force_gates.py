"""The gates of the disaster path: silence of the other side is never guessed, and its answer always speaks against."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from drportal.engine.approvals import ApprovalState
from drportal.engine.facts import HoldFacts, MirrorSnap, Mode, RoleFacts, SnapshotFacts, StatusFacts, VmFacts
from drportal.engine.fence import FenceRung
from drportal.engine.force_gates import (
    g_alone,
    g_approval,
    g_fence,
    g_force,
    g_free,
    whole_as_handed_over,
    whole_copy,
)
from drportal.engine.gates import GateOutcome
from tests.engine.test_approvals import COMMANDS, GOOD, NOW

COPY = RoleFacts(True, False, Mode.JOURNAL, "g", "i", None, NOW)
PRIMARY = replace(COPY, primary=True)
MET, NOT_MET, CANNOT_TELL = GateOutcome.MET, GateOutcome.NOT_MET, GateOutcome.CANNOT_TELL


@pytest.mark.parametrize(
    ("here", "there", "whole", "outcome", "hopeless"),
    [
        (COPY, None, True, MET, False),
        (COPY, PRIMARY, True, NOT_MET, True),
        (COPY, COPY, True, NOT_MET, True),
        (COPY, None, False, NOT_MET, True),
        (COPY, None, None, CANNOT_TELL, False),
        (None, None, True, CANNOT_TELL, False),
        (replace(COPY, exists=False, primary=None), None, True, NOT_MET, True),
        (replace(COPY, read_at=NOW - dt.timedelta(minutes=1)), None, True, CANNOT_TELL, False),
    ],
)
def test_force_only_where_the_other_side_is_silent_and_the_copy_was_whole(
    here: RoleFacts | None, there: RoleFacts | None, whole: bool | None, outcome: GateOutcome, hopeless: bool
) -> None:
    result = g_force(here, there, whole, NOW)
    assert (result.outcome, result.hopeless) == (outcome, hopeless), result.sentence


def snaps(*complete: bool | None) -> SnapshotFacts:
    return SnapshotFacts(tuple(MirrorSnap(n, "non-primary", c, False, n) for n, c in enumerate(complete)), NOW)


STATUS = StatusFacts("up+replaying", "", False, 1.0, 0, NOW, caught_up_once=True)


@pytest.mark.parametrize(
    ("mode", "status", "snapshots", "whole"),
    [
        (Mode.SNAPSHOT, None, snaps(True, False), True),
        (Mode.SNAPSHOT, None, snaps(False), False),
        (Mode.SNAPSHOT, STATUS, None, None),
        (Mode.JOURNAL, STATUS, None, True),
        (Mode.JOURNAL, replace(STATUS, syncing=True), None, False),
        (Mode.JOURNAL, replace(STATUS, caught_up_once=None), None, None),
        (Mode.JOURNAL, None, None, None),
        (None, STATUS, snaps(True), None),
    ],
)
def test_a_first_copy_that_never_ended_is_not_whole(
    mode: Mode | None, status: StatusFacts | None, snapshots: SnapshotFacts | None, whole: bool | None
) -> None:
    assert whole_copy(mode, status, snapshots) is whole


OWN = MirrorSnap(7, "demoted", None, True, None)


@pytest.mark.parametrize(
    ("mode", "status", "snapshots", "whole"),
    [
        (Mode.SNAPSHOT, None, replace(snaps(True), snaps=(*snaps(True).snaps, OWN)), True),
        (Mode.SNAPSHOT, None, replace(snaps(False), snaps=(OWN, *snaps(False).snaps)), False),  # half of the next
        (Mode.SNAPSHOT, None, snaps(), False),
        (Mode.SNAPSHOT, STATUS, None, False),
        (Mode.JOURNAL, replace(STATUS, caught_up_once=False), None, True),
        (Mode.JOURNAL, None, None, True),
        (Mode.JOURNAL, replace(STATUS, syncing=True), None, False),
        (None, STATUS, snaps(True), False),
    ],
)
def test_what_a_move_demoted_here_is_whole_while_nothing_lies_on_it_in_part(
    mode: Mode | None, status: StatusFacts | None, snapshots: SnapshotFacts | None, whole: bool
) -> None:
    assert whole_as_handed_over(mode, status, snapshots) is whole


def test_a_command_needs_a_used_up_yes_that_names_it() -> None:
    used, version = replace(GOOD, state=ApprovalState.USED), GOOD.plan_version
    assert g_approval(used, 7, version, COMMANDS[0], NOW).met
    for facts, run_id, plan_version, command, now in (
        (None, 7, version, COMMANDS[0], NOW),
        (GOOD, 7, version, COMMANDS[0], NOW),
        (used, 8, version, COMMANDS[0], NOW),
        (used, 7, version + 1, COMMANDS[0], NOW),
        (used, 7, version, "another command", NOW),
        (used, 7, version, COMMANDS[0], GOOD.expires_at),
        (replace(used, may_approve=frozenset()), 7, version, COMMANDS[0], NOW),
    ):
        result = g_approval(facts, run_id, plan_version, command, now)
        assert (result.outcome, result.hopeless) == (NOT_MET, True)


def test_a_vm_starts_only_where_it_cannot_run_at_the_other_side() -> None:
    off = VmFacts("off", "POWEROFF", False, None, NOW)
    assert g_fence(off, "", "", NOW).met
    for said in ("power of rack 3 cut", "power of rack 3 cut. "):
        gate = g_fence(None, "olga", said, NOW)
        assert gate.met
        assert gate.sentence == "Attested by olga: power of rack 3 cut."
    assert g_fence(None, "", "power cut", NOW).outcome is NOT_MET
    running = replace(off, phase="running", state_word="RUNNING")
    assert g_fence(running, "olga", "power of rack 3 cut", NOW).outcome is NOT_MET, "what is read beats what is said"


def test_nothing_starts_below_the_rung_that_the_plan_wants_without_somebody_who_says_why() -> None:
    off, wanted = VmFacts("off", "POWEROFF", False, None, NOW), FenceRung.DEMOTED
    for vm, word in ((off, FenceRung.CUT), (None, FenceRung.OFF)):
        said = ("", "") if vm is not None else ("olga", "I saw them off")
        below = g_fence(vm, *said, NOW, word=word, wanted=wanted)
        assert (below.outcome, below.hopeless, below.facts["rung"]) == (NOT_MET, True, 1)
        assert "the plan wants rung 2" in below.sentence
        assert "ask for a new approval" in (below.remedy or "")
        met = g_fence(vm, "olga", "I saw them off", NOW, word=FenceRung.OFF, wanted=wanted, deviation="no key")
        assert met.met
        assert "olga goes on below it, because: no key" in met.sentence
    assert g_fence(off, "olga", "power cut", NOW, wanted=FenceRung.SHUT_OUT).met, "a cut is the highest rung"
    nobody = g_fence(None, "", "", NOW, wanted=wanted, deviation="hurry")
    assert nobody.outcome is NOT_MET, "I5: no reason lets it start while the VM may run at the other side"
    running = VmFacts("running", "RUNNING", False, None, NOW)
    assert g_fence(running, "olga", "cut", NOW, wanted=FenceRung.OFF, deviation="hurry").outcome is NOT_MET


def test_two_primaries_start_nothing() -> None:
    assert g_alone(PRIMARY, None, NOW).met
    assert g_alone(PRIMARY, COPY, NOW).met
    assert g_alone(COPY, None, NOW).outcome is NOT_MET
    assert g_alone(None, None, NOW).outcome is CANNOT_TELL
    both = g_alone(PRIMARY, PRIMARY, NOW)
    assert both.outcome is NOT_MET
    assert "TWO PRIMARIES" in both.sentence


def test_a_daemon_that_has_it_open_keeps_everybody_else_from_writing() -> None:
    free, held = HoldFacts((), NOW), HoldFacts(("10.0.0.7:0/4711",), NOW)
    assert g_free(free, NOW).met
    said = g_free(held, NOW)
    assert said.outcome is NOT_MET
    assert "10.0.0.7:0/4711" in said.sentence
    assert said.remedy is not None
    assert "restart rbd-mirror" in said.remedy
    assert g_free(None, NOW).outcome is CANNOT_TELL
    assert g_free(HoldFacts((), NOW - dt.timedelta(minutes=1)), NOW).outcome is CANNOT_TELL, "an old look is none"
