"""Told once, after the rule's patience, and once more when it is over; not in quiet hours."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.engine.alerts import AlertKind, Condition, OpenAlert, QuietHours, decide

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
TWO = AlertKind.TWO_PRIMARIES


def condition(key: str, kind: AlertKind = TWO) -> Condition:
    return Condition(kind, key, f"{key} is so")


def known(key: str, seconds_ago: float, *, fired: bool = False) -> OpenAlert:
    return OpenAlert(key, NOW - dt.timedelta(seconds=seconds_ago), fired)


def test_a_rule_without_patience_tells_at_once_and_then_never_again() -> None:
    first = decide(TWO, 0, [condition("a"), condition("x", AlertKind.RUN_WAITS)], [], NOW)
    assert ([new.key for new in first.begin], first.fire, first.end) == (["a"], ("a",), ())
    again = decide(TWO, 0, [condition("a")], [known("a", 500, fired=True)], NOW)
    assert (again.begin, again.fire, again.end) == ((), (), ())


def test_patience_is_waited_for_and_what_passes_by_itself_is_not_told() -> None:
    assert decide(TWO, 300, [condition("a")], [], NOW).fire == ()
    assert decide(TWO, 300, [condition("a")], [known("a", 299)], NOW).fire == ()
    assert decide(TWO, 300, [condition("a")], [known("a", 300)], NOW).fire == ("a",)
    passed = decide(TWO, 300, [], [known("a", 200)], NOW)
    assert (passed.fire, passed.end) == ((), ("a",))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 5))
def test_over_any_history_it_fires_once_for_each_long_enough_spell(history: list[bool], patience: int) -> None:
    open_now: dict[str, OpenAlert] = {}
    fired = 0
    for second, holds in enumerate(history):
        now = NOW + dt.timedelta(seconds=second)
        decision = decide(TWO, patience, [condition("a")] if holds else [], list(open_now.values()), now)
        for new in decision.begin:
            open_now[new.key] = OpenAlert(new.key, now, False)
        for key in decision.fire:
            assert not open_now[key].fired
            open_now[key] = OpenAlert(key, open_now[key].began_at, True)
            fired += 1
        for key in decision.end:
            del open_now[key]
    spells = "".join("x" if holds else " " for holds in history).split()
    assert fired == sum(1 for spell in spells if len(spell) > patience)


@pytest.mark.parametrize(
    ("begin", "end", "at", "until"),
    [
        ((22, 0), (6, 0), (21, 59), None),
        ((22, 0), (6, 0), (23, 0), (2, 6, 0)),
        ((22, 0), (6, 0), (5, 59), (1, 6, 0)),
        ((22, 0), (6, 0), (6, 0), None),
        ((12, 0), (13, 0), (12, 30), (1, 13, 0)),
        ((12, 0), (12, 0), (12, 0), None),
    ],
)
def test_quiet_hours(
    begin: tuple[int, int], end: tuple[int, int], at: tuple[int, int], until: tuple[int, int, int] | None
) -> None:
    quiet = QuietHours(dt.time(*begin), dt.time(*end), "UTC")
    found = quiet.until(dt.datetime(2026, 7, 1, *at, tzinfo=dt.UTC))
    assert found == (None if until is None else dt.datetime(2026, 7, until[0], until[1], until[2], tzinfo=dt.UTC))


def test_quiet_hours_are_those_of_the_place() -> None:
    quiet = QuietHours(dt.time(22), dt.time(6), "Europe/Berlin")
    assert quiet.until(dt.datetime(2026, 7, 1, 20, 30, tzinfo=dt.UTC)) == dt.datetime(2026, 7, 2, 4, tzinfo=dt.UTC)
