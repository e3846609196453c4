"""A check holds as long as nothing that it saw has changed, and no duration is guessed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from drportal.engine.readiness import ReadinessState
from drportal.engine.standing import ENOUGH_RUNS, OLD_AFTER_S, Checked, Print, ReadinessStanding, predict, standing

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
SCHEDULES = {"one/one-1": "every 5m at Site A"}
SEEN = Print(3, "Site A", {"db": 1}, {"one/one-1": "protected"}, {"Site A": True, "Site B": True}, SCHEDULES)
GOOD = Checked(NOW - dt.timedelta(minutes=5), ReadinessState.READY, 0, SEEN)


def test_what_was_checked_and_has_not_changed_is_verified() -> None:
    assert standing(GOOD, SEEN, NOW).standing is ReadinessStanding.VERIFIED
    behind = replace(SEEN, images={"one/one-1": "behind"})
    assert standing(GOOD, behind, NOW).standing is ReadinessStanding.VERIFIED, "it follows, all the same"
    untold = replace(SEEN, schedules={})
    assert standing(GOOD, untold, NOW).standing is ReadinessStanding.VERIFIED, "what is not known is not changed"


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (replace(SEEN, plan_version=4), "plan was changed"),
        (replace(SEEN, active_site="Site B"), "moved from Site A to Site B"),
        (replace(SEEN, definitions={"db": 2}), "definition of db"),
        (replace(SEEN, definitions={"db": 1, "web": 1}), "definition of web"),
        (replace(SEEN, images={"one/one-1": "broken_mirroring"}), "broken mirroring"),
        (replace(SEEN, images={}), "not in the group"),
        (replace(SEEN, sites={"Site A": True, "Site B": False}), "Site B does not answer"),
        (replace(SEEN, schedules={"one/one-1": "none at Site A"}), "“every 5m at Site A”, and is “none at Site A”"),
    ],
)
def test_whatever_it_depends_on_makes_it_old(now: Print, word: str) -> None:
    for last in (GOOD, replace(GOOD, state=ReadinessState.NOT_READY, blockers=2)):
        found = standing(last, now, NOW)
        assert found.standing is ReadinessStanding.NEEDS_VERIFICATION
        assert word in " ".join(found.changed)
        assert found.changed[0] in found.sentence


def test_age_alone_makes_it_old_and_so_does_a_clock_that_ran_backwards() -> None:
    for seconds in (OLD_AFTER_S + 1, -60):
        late = replace(GOOD, at=NOW - dt.timedelta(seconds=seconds))
        assert standing(late, SEEN, NOW).standing is ReadinessStanding.NEEDS_VERIFICATION
    assert standing(None, SEEN, NOW).standing is ReadinessStanding.NEEDS_VERIFICATION


@pytest.mark.parametrize("state", [ReadinessState.NOT_READY, ReadinessState.CANNOT_TELL])
def test_what_cannot_be_told_is_not_ready_either(state: ReadinessState) -> None:
    found = standing(replace(GOOD, state=state, blockers=1), SEEN, NOW)
    assert (found.standing, found.sentence) == (ReadinessStanding.NOT_READY, "1 blocker.")


def test_no_duration_is_told_from_too_few_runs_and_each_one_told_was_measured() -> None:
    took = [30.0, 10.0, 20.0, 90.0]
    runs = [(NOW - dt.timedelta(days=n), seconds) for n, seconds in enumerate(took)]
    few = predict(runs)
    assert (few.n, few.p50_s, few.p90_s, few.newest_at) == (ENOUGH_RUNS - 1, None, None, NOW)
    enough = predict([*runs, (NOW, 40.0)])
    assert (enough.p50_s, enough.p90_s) == (30.0, 90.0)
    assert predict([]).newest_at is None
