"""Exposure is never shown smaller than what a loss of the primary at that moment would cost."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from drportal.engine.exposure import (
    BEAT_S,
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


NEWS_S = JOURNAL_LAG_S + 2  # with the clocks' slack


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


def asked(
    second: float, primary: int, peer: int, told: int, written_at: float, *, copy: int | None = None
) -> dict[Side, SideFacts]:
    """As ``journal_sides``, and the primary is asked too: where it is, and how far its peer has told it to be."""
    sides = journal_sides(second, written_at, told, peer if copy is None else copy)
    journal = JournalFacts(entry(primary), entry(peer), True, at(second))
    return sides | {Side.A: SideFacts(True, role(True, second), journal=journal, last_heard=at(second))}


def seconds(track: Track, second: float) -> float | None:
    return exposure(VerdictCode.PROTECTED, track.point_at, at(second)).seconds


def followed(*looks: dict[Side, SideFacts]) -> Track:
    track = Track()
    for sides in looks:
        track = follow(track, sides, NO_SKEW)
    return track


def test_a_position_that_is_news_is_dated_by_the_last_status_but_one() -> None:
    track = followed(journal_sides(40, 30, 5, 5))
    assert track.point_at is None, "it may have learned that long ago"
    track = follow(track, journal_sides(70, 60, 6, 6), NO_SKEW)
    assert track.point_at is None, "and that, if the status at 30 s had been held up"
    track = follow(track, journal_sides(100, 90, 7, 7), NO_SKEW)
    assert seconds(track, 100) == 70 + BEAT_S + NEWS_S
    assert seconds(track, 160) == 130 + BEAT_S + NEWS_S, "silence makes it grow"


def test_a_status_that_is_read_again_is_the_same_status() -> None:
    looks = [journal_sides(second, 30, 5, 5) for second in range(30, 60, 5)]
    looks += [journal_sides(second, 60 + second % 2, 6, 6) for second in range(61, 90, 5)]
    assert followed(*looks).point_at is None
    assert seconds(followed(*looks, journal_sides(91, 90, 7, 7)), 91) == 61 + BEAT_S + NEWS_S


def test_words_that_were_found_after_the_line_was_cut_are_of_the_time_before() -> None:
    """Replayed at 95 s, cut at 101 s, and at 125 s the daemon, which knows of no cut, finds words for what it had."""
    track = followed(journal_sides(61, 60, 6, 6), journal_sides(91, 90, 6, 6), journal_sides(121, 120, 6, 6))
    track = follow(track, journal_sides(151, 150, 7, 7), NO_SKEW)
    assert track.point_at is not None
    assert track.point_at <= at(101)


def test_what_the_primary_says_itself_is_of_the_time_at_which_it_was_asked() -> None:
    assert seconds(followed(asked(50, 100, 100, 20, 30)), 50) == JOURNAL_LAG_S + 2
    idle = [asked(second, 100, 100, 100, second - 15) for second in range(50, 3650, 60)]
    assert seconds(followed(*idle), 3650) == 60 + JOURNAL_LAG_S + 2, "an idle image is as good as its last reading"


def test_a_line_that_is_cut_is_seen_by_what_the_primary_says_and_the_daemon_does_not() -> None:
    """Both sites are alive and are reached, the guest writes on, and the daemon repeats its last word every 30 s."""
    track, point = followed(asked(90, 7, 7, 7, 80)), at(90 - JOURNAL_LAG_S - 2)
    for second in range(100, 700, 10):
        track = follow(track, asked(second, second // 10, 7, 7, second - 5), NO_SKEW)
        assert track.point_at == point, "it grows, second by second"
    track = follow(track, asked(700, 70, 70, 70, 699), NO_SKEW)
    assert seconds(track, 700) == JOURNAL_LAG_S + 2, "mended"


def news(*entries: int) -> list[dict[Side, SideFacts]]:
    """A status every 30 s from 0 s, of a copy that has what its daemon knows of."""
    return [journal_sides(30 * beat, 30 * beat, number, number) for beat, number in enumerate(entries)]


def test_a_daemon_that_tells_an_older_position_again_has_learned_nothing_when_it_tells_the_newer() -> None:
    track = followed(*news(5, 6, 7))
    for second in range(90, 600, 60):
        back = follow(track, journal_sides(second, second, 5, 5), NO_SKEW)
        track = follow(back, journal_sides(second + 30, second + 30, 7, 7), NO_SKEW)
        assert track.point_at == at(0 - BEAT_S - NEWS_S)


def test_another_primary_another_copy_or_no_copy_begins_anew() -> None:
    track = followed(*news(5, 6, 7))
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
    track = followed(*news(5, 6, 7))
    assert track.point_at is not None
    dark = journal_sides(130, 60, 7, 7)
    dark[Side.A] = SideFacts(False, role(True, 60))
    assert follow(track, dark, NO_SKEW).point_at == track.point_at
    demoted = {Side.A: SideFacts(True, role(False)), Side.B: SideFacts(True, role(False))}
    assert follow(track, demoted, NO_SKEW).point_at == track.point_at


def test_a_daemon_that_repeats_the_last_word_of_a_dead_primary_proves_nothing_more() -> None:
    """Seen on Ceph 16.2.15: an idle image's status was written anew three minutes long after the primary's death."""
    track = followed(asked(100, 7, 7, 7, 90))
    for second in (130, 190, 290):
        sides = journal_sides(second, second - 5, 7, 7)
        sides[Side.A] = SideFacts(False, role(True, 100), last_heard=at(100))
        track = follow(track, sides, NO_SKEW)
        assert track.point_at == at(100 - JOURNAL_LAG_S - 2), "all before it was asked last, and not a second more"
        assert follow(Track(), sides, NO_SKEW).point_at is None, "it was never asked"


def test_a_primary_that_only_the_copys_daemon_hears_is_measured_by_what_it_learns() -> None:
    """The portal's line to the primary is cut, and the line between the sites is not."""
    track = Track()
    for number, second in enumerate(range(100, 400, 30)):
        sides = journal_sides(second, second, number, number)
        sides[Side.A] = SideFacts(False, role(True, 0), last_heard=at(0))
        track = follow(track, sides, NO_SKEW)
        assert number < 2 or seconds(track, second) == 60 + BEAT_S + NEWS_S


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


def test_in_snapshot_mode_the_proof_has_its_own_time_and_no_repetition_makes_it_later() -> None:
    track = followed(*[snapshot_sides(40)] * 9)
    assert (track.point_at, track.told) == (at(38), ())


def test_what_has_no_copy_has_no_bound() -> None:
    for code in (VerdictCode.TWO_PRIMARIES, VerdictCode.DIVERGED, VerdictCode.NOT_MIRRORED):
        assert exposure(code, at(0), at(10)).kind is ExposureKind.UNBOUNDED
    assert exposure(VerdictCode.NOT_YET_PROTECTED, None, at(10)).kind is ExposureKind.UNBOUNDED
    assert exposure(VerdictCode.PROTECTED, None, at(10)).kind is ExposureKind.CANNOT_TELL
    assert exposure(VerdictCode.HANDOVER_READY, at(0), at(10)) == Exposure(
        ExposureKind.NOTHING, 0.0, "Nothing: neither side is written to, and the copy is whole."
    )


@dataclass(frozen=True)
class Look:
    """At ``second`` a status is read that was written ``age_s`` before. Its words were chosen after a share
    (``chosen``) of the time since the one before was written, and what is in them was known ``stale_s`` before that.
    The primary is asked or not, and knows of what was written ``lag_s`` before."""

    second: float
    age_s: float
    chosen: float
    stale_s: float
    lag_s: float
    share: float
    asked: bool


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[float], list[Look], tuple[float, float]]:
    """Times of writes, looks, and from when to when the line between the sites is cut."""
    every_s = draw(st.integers(1, 60))
    writes = sorted({*draw(st.lists(st.floats(0, 900), min_size=1, max_size=9)), *map(float, range(0, 1000, every_s))})
    parts = st.sampled_from((0.0, 0.3, 1.0))  # the ends are where it is tight
    shapes = st.tuples(
        st.sampled_from((1.0, 5.0, 30.0, 45.0)), st.floats(0, 3), parts, st.sampled_from((0.0, BEAT_S)),
        st.sampled_from((0.0, JOURNAL_LAG_S)), parts, st.booleans(),
    )  # fmt: skip
    looks, now = [], 0.0
    for gap, age_s, *rest in draw(st.lists(shapes, min_size=1, max_size=40)):
        now += gap
        looks.append(Look(now, min(age_s, now), *rest))
    cut_at = draw(st.floats(0, 1000))
    return writes, looks, (cut_at, cut_at + draw(st.floats(0, 1000)))


@settings(max_examples=300, deadline=None)
@given(histories(), st.floats(0, 60))
def test_it_never_shows_less_than_the_truth(
    history: tuple[list[float], list[Look], tuple[float, float]], later: float
) -> None:
    """The copy holds a prefix of the writes that only grows, and does not grow while the line is cut. A status knows of
    nothing that was written since its daemon was last in touch; the primary's own answer of nothing within the lag."""
    writes, looks, (cut_at, mended_at) = history
    track, held, told, written_at = Track(), 0, 0, 0.0
    for look in looks:
        before, written_at = written_at, max(written_at, look.second - look.age_s)
        chosen_at = before + look.chosen * (written_at - before)
        known_at = chosen_at - look.stale_s
        if cut_at <= known_at < mended_at:
            known_at = cut_at if chosen_at - cut_at <= BEAT_S else -math.inf  # else it finds no new words
        told = max(told, sum(1 for write in writes if write <= known_at - look.lag_s))
        cut = cut_at <= look.second < mended_at
        there = sum(1 for write in writes if write <= (cut_at if cut else look.second))
        held = max(held, int(there * look.share))
        sides = journal_sides(look.second, written_at, told, held)
        if look.asked:
            local = sum(1 for write in writes if write <= look.second - look.lag_s)
            journal = JournalFacts(entry(local), entry(held), True, at(look.second))
            sides[Side.A] = SideFacts(True, role(True, look.second), journal=journal)
        track = follow(track, sides, NO_SKEW)
        assert len(track.marks) <= MAX_MARKS
        now = look.second + later
        lost = [write for write in writes[held:] if write <= now]
        assert not lost or track.point_at is None or track.point_at <= at(lost[0])
        shown = seconds(track, now)
        assert not lost or shown is None or shown >= now - lost[0]
