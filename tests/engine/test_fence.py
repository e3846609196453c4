"""The fence ladder: which rung holds, which is demanded, and what a plan that wants more does at a returned site."""

from __future__ import annotations

import pytest

from drportal.engine.fence import (
    FenceRung,
    FenceSteps,
    lowest,
    reached,
    reached_alone,
    rung_sentence,
    what_is_fenced,
)
from drportal.engine.plans import PlanInput, PlannedVm, RunKind, build

VMS = (PlannedVm("1", "db", 1, ("i1", "i2")), PlannedVm("2", "web", 2, ("i3",)))


@pytest.mark.parametrize(
    ("off", "demoted", "shut_out", "rung"),
    [
        (False, False, False, FenceRung.NONE),
        (True, False, False, FenceRung.OFF),
        (False, True, False, FenceRung.NONE),
        (True, True, False, FenceRung.DEMOTED),
        (False, False, True, FenceRung.SHUT_OUT),
        (True, True, True, FenceRung.SHUT_OUT),
    ],
)
def test_the_highest_rung_that_holds_counts(off: bool, demoted: bool, shut_out: bool, rung: FenceRung) -> None:
    assert reached(FenceSteps(off, demoted, shut_out)) is rung


def test_where_the_site_is_silent_only_a_person_s_word_is_left() -> None:
    assert reached_alone(None, attested=True) is FenceRung.CUT
    assert reached_alone(None, attested=False) is FenceRung.NONE
    assert reached_alone(True, attested=False) is FenceRung.OFF


def test_a_group_is_fenced_as_well_as_the_worst_of_its_vms() -> None:
    assert lowest([FenceRung.SHUT_OUT, FenceRung.OFF]) is FenceRung.OFF
    assert lowest([]) is FenceRung.NONE


def test_a_rung_below_the_wanted_one_says_so() -> None:
    assert "The plan wants rung 4" in rung_sentence(FenceRung.OFF, FenceRung.SHUT_OUT)
    assert "wants" not in rung_sentence(FenceRung.SHUT_OUT, FenceRung.DEMOTED)
    said = " ".join(what_is_fenced("Site A", FenceRung.SHUT_OUT, "olga", "the power is cut"))
    assert "cannot be reached" in said
    assert "attested by olga: the power is cut" in said
    assert "the plan wants rung 4" in said


def test_a_plan_that_wants_it_shuts_writers_out_before_anything_else_and_lets_them_in_at_the_end() -> None:
    wanted = PlanInput(VMS, "site-a", "site-b", fence_rung=FenceRung.SHUT_OUT)
    fence = {step.key: step for step in build(RunKind.FENCE, wanted)}
    assert fence["image.shut_out:i1"].needs == ()
    assert set(fence["vm.stop_returned:1"].needs) == {"image.shut_out:i1", "image.shut_out:i2"}
    assert "image.demote_returned:i3" in fence
    plain = {step.key for step in build(RunKind.REPROTECT, PlanInput(VMS, "site-a", "site-b"))}
    assert not {key for key in plain if "let_in" in key}, "nobody was shut out"
    shut = PlanInput(VMS, "site-a", "site-b", shut_out=frozenset({"i2"}))
    undone = {step.key: step for step in build(RunKind.REPROTECT, shut)}
    assert [key for key in undone if "let_in" in key] == ["image.let_in:i2"]
    assert undone["image.let_in:i2"].needs == ("image.follows:i2",), "not before its copy follows"


def test_a_plan_that_wants_less_only_stops_the_vms() -> None:
    off = build(RunKind.FENCE, PlanInput(VMS, "site-a", "site-b", fence_rung=FenceRung.OFF))
    assert {step.kind.value for step in off} == {"vm.stop_returned"}
