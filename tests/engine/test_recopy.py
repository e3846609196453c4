"""How far a copy is that is made anew: never more than is known, and never what was once so."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.engine.facts import CopyLook, SideFacts, StatusFacts
from drportal.engine.recopy import KEPT, STALE_S, CopyState, Recopy, percents_seen, recopy, together

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SIZE = 1000


def at(second: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=second)


def status(
    second: float, percent: int | None, *, age_s: float | None = 4, state: str = "up+syncing", rate: float | None = None
) -> StatusFacts:
    """As a site told it at ``second`` + 4; its daemon wrote it at ``second``."""
    return StatusFacts(state, "words", True, age_s, None, at(second + 4), bytes_per_second=rate, copied_percent=percent)


def watched(*seen: tuple[float, int], rate: float | None = None) -> SideFacts:
    looks: tuple[CopyLook, ...] = ()
    for second, percent in seen:
        last = status(second, percent, rate=rate)
        looks = percents_seen(looks, last)
    return SideFacts(True, status=last, copying=looks)


def told(side: SideFacts, now: float, size: int | None = SIZE) -> Recopy:
    found = recopy(side, size, at(now))
    assert found is not None
    return found


def test_one_look_tells_the_bytes_and_no_rate() -> None:
    found = told(watched((0, 21)), 5)
    assert (found.state, found.total_bytes, found.copied_bytes, found.told_at) == (CopyState.COPYING, 1000, 210, at(0))
    assert (found.bytes_per_second, found.eta_s) == (None, None)
    assert "not known yet" in found.sentence


def test_two_percents_make_a_rate_and_a_time_left() -> None:
    found = told(watched((0, 20), (30, 50)), 35)
    assert (found.bytes_per_second, found.eta_s) == (10.0, 50.0)


def test_a_copy_that_stands_still_grows_slower_and_never_faster() -> None:
    going, standing = told(watched((0, 20), (30, 50)), 35), told(watched((0, 20), (30, 50), (60, 50), (90, 50)), 95)
    assert going.bytes_per_second and standing.bytes_per_second and going.eta_s and standing.eta_s
    assert standing.bytes_per_second < going.bytes_per_second
    assert standing.eta_s > going.eta_s


def test_the_daemons_own_rate_counts_until_a_percent_has_passed() -> None:
    assert told(watched((0, 20), rate=40.0), 5).bytes_per_second == 40.0
    assert told(watched((0, 20), (30, 50), rate=40.0), 35).bytes_per_second == 10.0
    assert told(watched((0, 20), rate=0.0), 5).bytes_per_second is None, "nothing read lately is no rate"


def test_a_copy_that_is_begun_again_forgets_the_one_before() -> None:
    side = watched((0, 60), (30, 90), (60, 5))
    assert side.copying == (CopyLook(at(60), 5),)
    assert told(side, 65).bytes_per_second is None
    assert percents_seen(side.copying, None) == ()
    assert percents_seen(side.copying, status(90, None)) == (), "no percent: it is no copy that is made"


def test_a_figure_of_unknown_age_adds_nothing() -> None:
    side = watched((0, 20), (30, 50))
    assert percents_seen(side.copying, status(60, 70, age_s=None)) == side.copying


@pytest.mark.parametrize(
    ("side", "now", "why"),
    [
        (watched((0, 20), (30, 50)), 31 + STALE_S, "nothing new"),
        (SideFacts(True, status=status(0, 50, state="down+syncing")), 5, "daemon there does not answer"),
        (SideFacts(False, status=status(0, 50)), 5, "site does not answer"),
        (SideFacts(True, status=status(0, 50, age_s=None)), 5, "How old"),
    ],
)
def test_what_is_not_of_now_has_neither_rate_nor_end(side: SideFacts, now: float, why: str) -> None:
    found = told(side, now)
    assert (found.state, found.bytes_per_second, found.eta_s) == (CopyState.UNTOLD, None, None)
    assert found.copied_bytes == 500, "what it was then is still said, with its age"
    assert why in found.sentence


def test_without_a_percent_or_a_size_the_bytes_are_unknown() -> None:
    found = told(SideFacts(True, status=status(0, None)), 5)
    assert (found.state, found.copied_bytes) == (CopyState.COPYING, None)
    assert told(watched((0, 20)), 5, None).copied_bytes is None


def test_where_no_copy_is_made_there_is_nothing_to_tell() -> None:
    follows = StatusFacts("up+replaying", "replaying, {}", False, 4, 0, at(4), caught_up_once=True)
    later_snapshot = StatusFacts("up+replaying", "replaying, {}", True, 4, None, at(4), caught_up_once=True)
    for said in (follows, later_snapshot, None):
        assert recopy(SideFacts(True, status=said), SIZE, at(5)) is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 100)), min_size=1, max_size=40))
def test_no_order_of_looks_makes_a_negative_rate_or_a_long_memory(seen: list[tuple[int, int]]) -> None:
    side = watched(*sorted(seen, key=lambda one: one[0]))
    assert len(side.copying) <= KEPT
    found = told(side, 10**6 + 5)
    assert found.bytes_per_second is None or found.bytes_per_second >= 0
    assert found.eta_s is None or found.eta_s >= 0


def one(state: CopyState, copied: int | None, rate: float | None = None, told_s: float | None = None) -> Recopy:
    return Recopy(state, SIZE, copied, None, rate, None, at(told_s) if told_s is not None else None, "")


def test_of_a_run_the_sums_are_told_and_an_end_only_where_every_rate_is_known() -> None:
    whole, waits = one(CopyState.WHOLE, 1000), one(CopyState.NOT_BEGUN, 0)
    fast, slow = one(CopyState.COPYING, 500, 30.0, 20), one(CopyState.COPYING, 100, 10.0, 10)
    all_known = together([whole, waits, fast, slow])
    assert (all_known.total_bytes, all_known.copied_bytes, all_known.bytes_per_second) == (4000, 1600, 40.0)
    assert (all_known.eta_s, all_known.told_at) == (60.0, at(10))
    assert all_known.sentence == "1 whole, 2 being copied, 1 not begun."
    new = together([whole, fast, one(CopyState.COPYING, 10, None, 20)])
    assert (new.copied_bytes, new.bytes_per_second, new.eta_s) == (1510, None, None)
    silent = together([fast, one(CopyState.UNTOLD, None)])
    assert (silent.copied_bytes, silent.untold, silent.bytes_per_second, silent.eta_s) == (500, 1, 30.0, None)
