"""What a returned site is seen to do, when that counts as over, and which runs wait for it."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import replace

import pytest

from drportal.engine.plans import PlanInput, PlannedVm, RunKind, build
from drportal.engine.quarantine import (
    CALM_S,
    SignKind,
    SuspectImage,
    SuspectVm,
    calm_since,
    goes_before,
    outlook,
    over,
    refusal,
)
from drportal.engine.salvage import SalvageWay
from drportal.engine.states import RunState
from drportal.engine.verdicts import VerdictCode

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
FOLLOWING = SuspectImage("1", "one/one-1", False, True, (), VerdictCode.PROTECTED_REVERSED)
OFF = SuspectVm("1", "web-1", "off", "POWEROFF", "running")


def kinds(image: SuspectImage = FOLLOWING, vm: SuspectVm = OFF) -> list[SignKind]:
    return [sign.kind for sign in outlook("A", "B", [image], [vm]).signs]


def test_a_vm_that_runs_at_both_sites_is_the_worst_and_comes_first() -> None:
    image = replace(FOLLOWING, primary_there=True, verdict=VerdictCode.TWO_PRIMARIES, holders=("client.7 at 10.0.0.1",))
    seen = outlook("A", "B", [image], [replace(OFF, phase_there="running")])
    assert [sign.kind for sign in seen.signs] == [SignKind.RUNS_TWICE, SignKind.WRITABLE, SignKind.HELD_OPEN]
    assert seen.signs[0].sentence == "web-1 runs at A and at B."
    assert seen.signs[1].sentence == "one/one-1 can be written at A and at B."


def test_a_vm_that_is_not_off_counts_as_running_whatever_its_state_is_called() -> None:
    (sign,) = outlook("A", "B", [FOLLOWING], [replace(OFF, phase_there="stuck", state_word_there="UNKNOWN")]).signs
    assert (sign.kind, sign.sentence) == (SignKind.RUNS, "web-1 is UNKNOWN, which is not off, at A.")
    assert kinds(vm=replace(OFF, phase_there="running", phase_here="off")) == [SignKind.RUNS]
    assert kinds(vm=replace(OFF, phase_there="gone")) == []


def test_a_copy_that_was_given_back_there_is_no_suspect() -> None:
    """Somebody demoted the other one by hand, and it follows: the lost site's copy is what counts again."""
    assert kinds(replace(FOLLOWING, primary_there=True, primary_here=False, verdict=VerdictCode.PROTECTED)) == []
    assert kinds(replace(FOLLOWING, primary_there=True, primary_here=None)) == [SignKind.WRITABLE], "not read: suspect"


@pytest.mark.parametrize(
    ("image", "vm"),
    [
        (replace(FOLLOWING, primary_there=None), OFF),
        (FOLLOWING, replace(OFF, phase_there=None)),
        (replace(FOLLOWING, verdict=VerdictCode.DIVERGED), OFF),
        (replace(FOLLOWING, verdict=VerdictCode.CANNOT_TELL), OFF),
        (replace(FOLLOWING, verdict=VerdictCode.NOT_YET_PROTECTED), OFF),
        (FOLLOWING, replace(OFF, phase_there="running")),
    ],
)
def test_what_was_not_read_or_does_not_follow_clears_nobody(image: SuspectImage, vm: SuspectVm) -> None:
    seen = outlook("A", "B", [image], [vm])
    assert not seen.quiet
    assert calm_since(NOW - dt.timedelta(hours=1), seen, NOW) is None


def test_it_is_over_by_itself_only_after_it_was_quiet_for_a_while() -> None:
    """A daemon that has just come back says that it replays, and split-brain some seconds later."""
    quiet = outlook("A", "B", [FOLLOWING], [OFF])
    assert quiet.quiet
    since = calm_since(None, quiet, NOW)
    assert since == NOW
    assert calm_since(since, quiet, NOW + dt.timedelta(seconds=5)) == NOW
    assert not over(since, NOW + dt.timedelta(seconds=CALM_S - 1))
    assert over(since, NOW + dt.timedelta(seconds=CALM_S))
    assert not over(None, NOW)


@pytest.mark.parametrize("contact", [True, False])
def test_only_what_goes_away_from_the_lost_site_or_mends_it_may_begin(contact: bool) -> None:
    refused = {kind for kind in RunKind if refusal(kind, "A", target_is_lost=True, contact=contact)}
    assert refused == set(RunKind) - {RunKind.REPROTECT, RunKind.FENCE}
    assert not refusal(RunKind.DISASTER_FAILOVER, "A", target_is_lost=False, contact=contact), "the same disaster"
    assert refusal(RunKind.PLANNED_FAILOVER, "A", target_is_lost=False, contact=contact)


def test_only_a_fence_goes_before_another_run_and_only_before_a_disaster_that_rests() -> None:
    found = {each for each in itertools.product(RunKind, RunKind, RunState) if goes_before(*each)}
    assert found == {(RunKind.FENCE, RunKind.DISASTER_FAILOVER, RunState.PAUSED)}


def test_a_fence_stops_each_vm_then_demotes_its_images_and_discards_nothing() -> None:
    vms = (PlannedVm("1", "db", 1, ("i1", "i2")), PlannedVm("2", "web", 2, ("i3",)))
    saves = dict.fromkeys(("i1", "i2", "i3"), SalvageWay.EXPORT)
    steps = {step.key: step for step in build(RunKind.FENCE, PlanInput(vms, "site-a", "site-b", salvage=saves))}
    assert set(steps) == {
        *("vm.stop_returned:1", "vm.stop_returned:2"),
        *(f"image.{kind}:i{number}" for kind in ("demote_returned", "measure") for number in (1, 2, 3)),
    }
    assert {step.site for step in steps.values()} == {"site-a"}, "nothing acts where the group runs"
    assert steps["vm.stop_returned:2"].needs == (), "the web does not wait for a database that will not stop"
    assert steps["image.demote_returned:i2"].needs == ("vm.stop_returned:1",)
