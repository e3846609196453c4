"""Snapshot schedules: which counts for an image, and the gaps that come of it."""

from __future__ import annotations

import pytest

from drportal.engine.gap_base import GapCode, GapLevel
from drportal.engine.schedule_gaps import SiteSchedule, schedule_gaps, unknown_gap
from drportal.engine.schedules import Interval, Level, PoolSchedules, Schedule, ScheduleEntry, short_enough


def entry(level: Level, image: str, *intervals: str) -> ScheduleEntry:
    return ScheduleEntry(level, image, tuple(Interval(*one.split(" from ")) for one in intervals))


def test_the_nearest_level_counts_and_of_several_intervals_the_shortest() -> None:
    everywhere, pool = entry(Level.ALL_POOLS, "", "1d"), entry(Level.POOL, "", "1h")
    own = entry(Level.IMAGE, "one-1", "2h from 14:00:00", "90m")
    assert PoolSchedules([]).of("one-1") is None
    assert PoolSchedules([everywhere]).of("one-1") == Schedule(Level.ALL_POOLS, 86_400, "every 1d")
    assert PoolSchedules([everywhere, pool]).of("one-2") == Schedule(Level.POOL, 3600, "every 1h")
    all_three = PoolSchedules([own, everywhere, pool])
    assert all_three.of("one-1") == Schedule(Level.IMAGE, 5400, "every 90m and every 2h from 14:00:00"), "its own"
    assert all_three.of("one-2") == Schedule(Level.POOL, 3600, "every 1h")
    assert all_three.told() == {"": "every 1h", "one-1": "every 90m and every 2h from 14:00:00"}
    assert all_three.own == 1


def test_an_interval_that_nobody_knows_is_a_schedule_whose_length_cannot_be_told() -> None:
    assert PoolSchedules([entry(Level.POOL, "", "30s")]).of("x") == Schedule(Level.POOL, None, "every 30s")
    assert PoolSchedules([entry(Level.POOL, "", "30s", "7")]).of("x") == Schedule(
        Level.POOL, 420, "every 30s and every 7"
    )


@pytest.mark.parametrize(
    ("target_s", "interval"), [(30, None), (60, None), (61, "1m"), (120, "1m"), (300, "2m"), (3600, "30m")]
)
def test_a_target_is_kept_with_an_interval_of_half_of_it(target_s: int, interval: str | None) -> None:
    assert short_enough(target_s) == interval


HOURLY = SiteSchedule("Site A", True, Schedule(Level.POOL, 3600, "every 1h"))
BESIDE = SiteSchedule("Site B", True, Schedule(Level.POOL, 60, "every 1m"))


def test_no_schedule_is_a_gap_at_the_primary_and_a_risk_at_the_other() -> None:
    gaps = list(schedule_gaps("one/one-1", SiteSchedule("Site A", True), SiteSchedule("Site B", True), None))
    assert [(gap.code, gap.level, gap.commands[0].site) for gap in gaps] == [
        (GapCode.NO_SCHEDULE, GapLevel.UNPROTECTED, "Site A"),
        (GapCode.NO_SCHEDULE, GapLevel.RISK, "Site B"),
    ]
    for gap in gaps:
        assert gap.commands[0].text == "rbd mirror snapshot schedule add --pool one --image one-1 5m"
        assert gap.commands[0].site in gap.sentence


def test_what_is_not_known_and_what_is_short_enough_are_no_gap() -> None:
    unknown = SiteSchedule("Site A", False)
    assert not list(schedule_gaps("one/one-1", unknown, unknown, 60))
    assert not list(schedule_gaps("one/one-1", HOURLY, BESIDE, None)), "nothing was agreed"
    assert not list(schedule_gaps("one/one-1", HOURLY, BESIDE, 3600))
    untold = SiteSchedule("Site A", True, Schedule(Level.POOL, None, "every 30s"))
    assert not list(schedule_gaps("one/one-1", untold, BESIDE, 60)), "its length can't be told"


def test_a_schedule_longer_than_the_target_is_a_gap_with_one_that_is_short_enough() -> None:
    (gap,) = schedule_gaps("one/one-1", HOURLY, BESIDE, 900)
    assert (gap.code, gap.level, gap.commands[0].site) == (GapCode.SCHEDULE_TOO_LONG, GapLevel.RISK, "Site A")
    assert "900 s were agreed" in gap.sentence
    assert gap.commands[0].text.endswith("--image one-1 7m")
    (gap,) = schedule_gaps("one/one-1", BESIDE, HOURLY, 900)
    assert gap.level is GapLevel.NOTE, "it counts only after a move"
    (gap,) = schedule_gaps("one/one-1", HOURLY, BESIDE, 60)
    assert (gap.commands, gap.path) == ((), "/plans")
    assert "journal mode" in gap.remedy


def test_schedules_that_cannot_be_read_are_a_gap_of_their_own() -> None:
    gap = unknown_gap("one", "Site A", "rbd did not end in 15 s.")
    assert gap.code is GapCode.SCHEDULES_UNKNOWN
    assert "rbd did not end in 15 s." in gap.sentence
    assert gap.commands[0].text == "ceph mgr stat"
