"""The way home after a disaster: what is asked before anything of a returned site is taken away, and in which order."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from drportal.engine.facts import Mode, RoleFacts
from drportal.engine.gates import GateId, GateOutcome
from drportal.engine.plans import PlanInput, PlannedStep, PlannedVm, RunKind, build
from drportal.engine.return_gates import g_peer
from drportal.engine.salvage import SalvageWay
from drportal.engine.steps import STEP_KINDS, StepKind

NOW = dt.datetime(2026, 5, 4, 3, 0, tzinfo=dt.UTC)
BACK = RoleFacts(exists=True, primary=True, mode=Mode.JOURNAL, global_id="g", image_id="1", parent=None, read_at=NOW)
GOOD = replace(BACK, image_id="2")


@pytest.mark.parametrize(
    ("here", "there", "outcome"),
    [
        (BACK, GOOD, GateOutcome.MET),
        (replace(BACK, primary=False), GOOD, GateOutcome.MET),
        (replace(BACK, exists=False, primary=None, global_id=None), GOOD, GateOutcome.MET),
        (BACK, replace(GOOD, primary=False), GateOutcome.NOT_MET),
        (BACK, replace(GOOD, exists=False, primary=None), GateOutcome.NOT_MET),
        (BACK, replace(GOOD, primary=None), GateOutcome.NOT_MET),
        (BACK, replace(GOOD, global_id="other"), GateOutcome.NOT_MET),
        (BACK, None, GateOutcome.CANNOT_TELL),
        (None, GOOD, GateOutcome.CANNOT_TELL),
        (BACK, replace(GOOD, read_at=NOW - dt.timedelta(seconds=60)), GateOutcome.CANNOT_TELL),
    ],
)
def test_nothing_is_taken_away_unless_the_other_side_has_it(
    here: RoleFacts | None, there: RoleFacts | None, outcome: GateOutcome
) -> None:
    result = g_peer(here, there, NOW, salvage_chosen=True)
    assert (result.gate, result.outcome) == (GateId.PEER, outcome), result.sentence
    assert result.hopeless is (outcome is GateOutcome.NOT_MET), "waiting does not bring a copy back"


def test_a_copy_that_was_forced_is_never_discarded_whatever_both_sides_say_now() -> None:
    for here in (BACK, replace(BACK, primary=False), None):
        result = g_peer(here, GOOD, NOW, salvage_chosen=True, forced_here=True)
        assert (result.outcome, result.hopeless) == (GateOutcome.NOT_MET, True), result.sentence


def test_nothing_is_discarded_before_somebody_has_said_what_becomes_of_what_is_nowhere_else() -> None:
    result = g_peer(BACK, GOOD, NOW, salvage_chosen=False)
    assert (result.outcome, result.hopeless) == (GateOutcome.NOT_MET, True)
    assert "saved" in result.sentence


def test_all_vms_are_off_before_an_image_is_touched_and_nothing_acts_where_the_group_runs() -> None:
    vms = (PlannedVm("1", "db", 1, ("d1", "d2")), PlannedVm("2", "web", 3, ("w1",)))
    steps = {step.key: step for step in build(RunKind.REPROTECT, PlanInput(vms, "site-a", "site-b"))}
    assert {step.site for step in steps.values()} == {"site-a"}
    stops = {key for key in steps if key.startswith("vm.stop_returned")}
    for image in ("d1", "d2", "w1"):
        before = _all_before(f"image.follows:{image}", steps)
        assert stops <= before
        assert {f"image.demote_returned:{image}", f"image.resync:{image}"} <= before
    assert steps["vm.stop_returned:1"].needs == ("vm.stop_returned:2",), "what starts first stops last"


def test_where_there_is_a_place_nothing_is_discarded_before_it_is_saved() -> None:
    vms = (PlannedVm("1", "db", 1, ("d1", "d2")),)
    ways = {"d1": SalvageWay.EXPORT, "d2": SalvageWay.COPY}
    steps = {step.key: step for step in build(RunKind.REPROTECT, PlanInput(vms, "site-a", "site-b", salvage=ways))}
    for image, kind in (("d1", "image.salvage"), ("d2", "image.keep")):
        assert steps[f"image.resync:{image}"].needs == (f"{kind}:{image}",)
        assert steps[f"{kind}:{image}"].needs == (f"image.measure:{image}",)
        assert steps[f"image.measure:{image}"].needs == (f"image.demote_returned:{image}",)
        assert not STEP_KINDS[StepKind(kind)].destructive
        assert GateId.OFF in STEP_KINDS[StepKind(kind)].gates_before


def test_what_is_waived_has_no_step_of_its_own() -> None:
    vms = (PlannedVm("1", "db", 1, ("d1", "d2")),)
    ways = {"d1": SalvageWay.WAIVE, "d2": SalvageWay.EXPORT}
    steps = {step.key: step for step in build(RunKind.REPROTECT, PlanInput(vms, "site-a", "site-b", salvage=ways))}
    assert steps["image.resync:d1"].needs == ("image.measure:d1",)
    assert steps["image.resync:d2"].needs == ("image.salvage:d2",)


def test_whatever_takes_something_away_asks_for_the_other_side_first() -> None:
    for kind in (StepKind.VM_STOP_RETURNED, StepKind.IMAGE_DEMOTE_RETURNED, StepKind.IMAGE_RESYNC):
        assert GateId.PEER in STEP_KINDS[kind].gates_before
        assert STEP_KINDS[kind].destructive


def _all_before(key: str, steps: dict[str, PlannedStep]) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        needs = steps[waiting.pop()].needs
        waiting += [need for need in needs if need not in found]
        found |= set(needs)
    return found
