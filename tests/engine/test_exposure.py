"""Exposure is never shown smaller than what a loss of the primary at that moment would cost."""

from __future__ import annotations

import datetime as dt

from hypothesis import given, settings
from hypothesis import strategies as st

from drportal.engine.exposure import (
    JOURNAL_LAG_S,
    MAX_MARKS,
    Exposure,
    ExposureKind,
    Track,
    exposure,
    follow,
)
from drportal.engine.facts import JournalFacts, Mode, Position, RoleFacts, Side, SideFacts, StatusFacts
from drportal.engine.verdicts import VerdictCode

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NO_SKEW = {Side.A: 0.0, Side.B: 0.0}


def at(second: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=second)


def role(primary: bool, second: float = 0, *, mode: Mode = Mode.JOURNAL, image_id: str = "x") -> RoleFacts:
    return RoleFacts(True, primary, mode, "g", image_id, None, at(second))


def entry(number: int) -> Position:
    return Position(3, number, number % 4)


def journal_sides(
    second: float, written_at: float, primary: int, copy: int | None, *, copy_id: str = "copy"
) -> dict[Side, SideFacts]:
    """What is read at ``second``: the copy's status, written at ``written_at``."""
    status = StatusFacts(
        "up+replaying", "replaying", False, second - written_at, 0, at(second), copy is not None,
        replayed=None if copy is None else entry(copy), primary_position=entry(primary),
    )  # fmt: skip
    return {
        Side.A: SideFacts(True, role(True, second)),
        Side.B: SideFacts(True, role(False, second, image_id=copy_id), status),
    }


def seconds(track: Track, second: float) -> float | None:
    return exposure(VerdictCode.PROTECTED, track.point_at, at(second)).seconds


def test_a_copy_at_the_primarys_position_is_whole_up_to_the_status_less_the_lag() -> None:
    track = follow(Track(), journal_sides(100, 90, 7, 7), NO_SKEW)
    assert seconds(track, 100) == 10 + JOURNAL_LAG_S + 2
    assert seconds(track, 160) == 70 + JOURNAL_LAG_S + 2, "silence makes it grow"


def test_a_copy_that_is_behind_proves_nothing_until_it_has_come_to_where_the_primary_was() -> None:
    track = follow(Track(), journal_sides(30, 30, 100, 20), NO_SKEW)
    assert track.point_at is None
    track = follow(track, journal_sides(60, 60, 200, 99), NO_SKEW)
    assert track.point_at is None
    track = follow(track, journal_sides(90, 90, 300, 150), NO_SKEW)
    assert seconds(track, 90) == 60 + JOURNAL_LAG_S + 2, "it holds what the primary had at 30 s"


def test_an_exact_reading_of_the_journal_counts_too() -> None:
    sides = journal_sides(30, 30, 100, 20)
    journal = JournalFacts(entry(100), entry(100), True, at(50))
    sides[Side.A] = SideFacts(True, role(True, 50), journal=journal)
    assert seconds(follow(Track(), sides, NO_SKEW), 50) == JOURNAL_LAG_S + 2


def test_another_primary_another_copy_or_no_copy_begins_anew() -> None:
    track = follow(Track(), journal_sides(100, 100, 7, 7), NO_SKEW)
    assert track.point_at is not None
    assert follow(track, journal_sides(110, 110, 9, 8, copy_id="another"), NO_SKEW).point_at is None
    assert follow(track, journal_sides(110, 110, 9, None), NO_SKEW).point_at is None
    gone = journal_sides(110, 110, 9, 9)
    gone[Side.B] = SideFacts(True, RoleFacts(False, None, None, None, None, None, at(110)))
    assert follow(track, gone, NO_SKEW).point_at is None
    turned = {Side.A: SideFacts(True, role(False)), Side.B: SideFacts(True, role(True))}
    assert follow(track, turned, NO_SKEW).point_at is None
    both = {Side.A: SideFacts(True, role(True)), Side.B: SideFacts(True, role(True))}
    assert follow(track, both, NO_SKEW) == Track()


def test_a_dark_primary_and_a_handover_keep_what_was_proven() -> None:
    track = follow(Track(), journal_sides(100, 100, 7, 7), NO_SKEW)
    dark = journal_sides(130, 100, 7, 7)
    dark[Side.A] = SideFacts(False, role(True, 100))
    assert follow(track, dark, NO_SKEW).point_at == track.point_at
    demoted = {Side.A: SideFacts(True, role(False)), Side.B: SideFacts(True, role(False))}
    assert follow(track, demoted, NO_SKEW).point_at == track.point_at


def test_a_daemon_that_repeats_the_last_word_of_a_dead_primary_proves_nothing_more() -> None:
    """Seen on Ceph 16.2.15: an idle image's status was written anew three minutes long after the primary's death."""
    track = follow(Track(), journal_sides(100, 90, 7, 7), NO_SKEW)
    for second in (130, 190, 290):
        sides = journal_sides(second, second - 5, 7, 7)
        sides[Side.A] = SideFacts(False, role(True, 100), last_heard=at(100))
        track = follow(track, sides, NO_SKEW)
        assert track.point_at == at(100 - JOURNAL_LAG_S - 2), "all before its last sign of life, and not a second more"
        sides[Side.A] = SideFacts(False, role(True, 100))
        assert follow(Track(), sides, NO_SKEW).point_at is None, "it was never heard"


def snapshot_sides(copied_until: float | None) -> dict[Side, SideFacts]:
    until = None if copied_until is None else at(copied_until)
    status = StatusFacts("up+replaying", "", False, 5.0, None, at(100), until is not None, copied_until=until)
    return {
        Side.A: SideFacts(True, role(True, mode=Mode.SNAPSHOT)),
        Side.B: SideFacts(True, role(False, mode=Mode.SNAPSHOT), status),
    }


def test_snapshot_mode_counts_from_the_newest_whole_snapshot_by_the_primarys_clock() -> None:
    assert seconds(follow(Track(), snapshot_sides(40), NO_SKEW), 100) == 62
    ahead = follow(Track(), snapshot_sides(40), {Side.A: 15.0, Side.B: 0.0})
    assert seconds(ahead, 100) == 77, "its clock is ahead, so the snapshot is older than it says"
    assert follow(Track(), snapshot_sides(40), {Side.A: None, Side.B: 0.0}).point_at is None
    assert follow(Track(), snapshot_sides(None), NO_SKEW).point_at is None


def test_what_has_no_copy_has_no_bound() -> None:
    for code in (VerdictCode.TWO_PRIMARIES, VerdictCode.DIVERGED, VerdictCode.NOT_MIRRORED):
        assert exposure(code, at(0), at(10)).kind is ExposureKind.UNBOUNDED
    assert exposure(VerdictCode.NOT_YET_PROTECTED, None, at(10)).kind is ExposureKind.UNBOUNDED
    assert exposure(VerdictCode.PROTECTED, None, at(10)).kind is ExposureKind.CANNOT_TELL
    assert exposure(VerdictCode.HANDOVER_READY, at(0), at(10)) == Exposure(
        ExposureKind.NOTHING, 0.0, "Nothing: neither side is written to, and the copy is whole."
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[float], list[tuple[float, float, float]]]:
    """Times of writes, and statuses: (written at, how old the primary's position in it is, share of it replayed)."""
    writes = sorted(draw(st.lists(st.floats(0, 600), min_size=1, max_size=60)))
    gaps = draw(st.lists(st.floats(1, 45), min_size=1, max_size=25))
    lags = draw(st.lists(st.floats(0, JOURNAL_LAG_S), min_size=len(gaps), max_size=len(gaps)))
    shares = draw(st.lists(st.floats(0, 1), min_size=len(gaps), max_size=len(gaps)))
    times, now = [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
    return writes, list(zip(times, lags, shares, strict=True))


@settings(max_examples=300, deadline=None)
@given(histories(), st.floats(0, 60))
def test_it_never_shows_less_than_the_truth(
    history: tuple[list[float], list[tuple[float, float, float]]], later: float
) -> None:
    """The copy holds a prefix of the writes that only grows; the status knows a position up to the lag old."""
    writes, statuses = history
    track, held = Track(), 0
    for written_at, lag, share in statuses:
        known = sum(1 for write in writes if write <= written_at - lag)
        there = sum(1 for write in writes if write <= written_at)
        held = max(held, int(there * share))
        track = follow(track, journal_sides(written_at, written_at, known, held), NO_SKEW)
        assert len(track.marks) <= MAX_MARKS
        now = written_at + later
        lost = [write for write in writes[held:] if write <= now]
        shown = seconds(track, now)
        if lost and shown is not None:
            assert shown >= now - lost[0]
