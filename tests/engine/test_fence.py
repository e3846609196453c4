"""The fence ladder: which rung holds, which is demanded, and what a plan that wants more does at a returned site."""

from __future__ import annotations

import datetime as dt

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

LOCKED = FenceRung.LOCKED
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
    locked = FenceRung.LOCKED if rung is FenceRung.DEMOTED else rung
    assert reached(FenceSteps(off, demoted, shut_out, locked=True)) is locked, "a lock alone is no fence"


def test_where_the_site_is_silent_only_a_person_s_word_is_left() -> None:
    assert reached_alone(None, attested=True) is FenceRung.CUT
    assert reached_alone(None, attested=False) is FenceRung.NONE
    assert reached_alone(True, attested=False) is FenceRung.OFF
    assert reached_alone(None, True, FenceRung.OFF) is FenceRung.OFF


def test_a_group_is_fenced_as_well_as_the_worst_of_its_vms() -> None:
    assert lowest([FenceRung.SHUT_OUT, FenceRung.OFF]) is FenceRung.OFF
    assert lowest([]) is FenceRung.NONE


def test_a_rung_below_the_wanted_one_says_so() -> None:
    assert "The plan wants rung 4" in rung_sentence(FenceRung.OFF, FenceRung.SHUT_OUT)
    assert "wants" not in rung_sentence(FenceRung.SHUT_OUT, FenceRung.DEMOTED)
    said = " ".join(what_is_fenced("Site A", FenceRung.SHUT_OUT, "olga", "the power is cut"))
    when = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
    assert "attested by olga at 2026-05-04 03:02:01 UTC: cut" in " ".join(
        what_is_fenced("Site A", FenceRung.SHUT_OUT, "olga", "cut", at=when)
    )
    assert "cannot be reached" in said
    assert "attested by olga: the power is cut" in said
    assert "the plan wants rung 4" in said
    assert "goes on below" not in said
    less = " ".join(what_is_fenced("A", FenceRung.DEMOTED, "olga", "I was there", FenceRung.OFF, "no key to the rack"))
    assert "Rung 1, VMs seen to be off, nothing cut: attested by olga: I was there" in less
    assert "the plan wants rung 2" in less
    assert "olga goes on below it, because: no key to the rack" in less


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


def test_a_plan_that_wants_locks_sets_them_once_the_vm_is_off_and_a_reprotect_takes_its_own_away_at_the_end() -> None:
    fence = {step.key: step for step in build(RunKind.FENCE, PlanInput(VMS, "site-a", "site-b", fence_rung=LOCKED))}
    assert [key for key in fence if key.startswith("vm.lock")] == ["vm.lock:1", "vm.lock:2"]
    assert fence["vm.lock:1"].needs == ("vm.stop_returned:1",), "a locked VM cannot be powered off"
    assert not [key for key in fence if "shut_out" in key]
    undone = {s.key: s for s in build(RunKind.REPROTECT, PlanInput(VMS, "site-a", "site-b", locked=frozenset({"2"})))}
    assert [key for key in undone if key.startswith("vm.unlock")] == ["vm.unlock:2"]
    assert set(undone["vm.unlock:2"].needs) == {f"image.follows:{image}" for image in ("i1", "i2", "i3")}


def test_an_image_that_follows_has_nothing_of_its_own_to_be_measured() -> None:
    """As at home after a move, where somebody started the old VM by hand."""
    fence = {step.key for step in build(RunKind.FENCE, PlanInput(VMS, "a", "b", following=frozenset({"i1"})))}
    assert "image.measure:i1" not in fence
    assert {"image.demote_returned:i1", "image.measure:i2", "image.measure:i3"} <= fence
