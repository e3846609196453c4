"""The time until the service was back, against what was agreed."""

from __future__ import annotations

import datetime as dt

import pytest

from drportal.engine.recovery_time import TimeWord, recovery_time

LOST = dt.datetime(2026, 4, 1, 2, 0, tzinfo=dt.UTC)


def at(seconds: int) -> dt.datetime:
    return LOST + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("target", "running", "word", "says"),
    [
        (
            300,
            [at(200), at(300)],
            TimeWord.WITHIN,
            "300 s from when contact was lost until the last VM",
        ),
        (300, [at(301), at(20)], TimeWord.BEYOND, "1 s beyond the target of 300 s"),
        (None, [at(30)], TimeWord.NO_TARGET, "no target was agreed"),
        (300, [at(20), None], TimeWord.NOT_BACK, "1 of 2 VMs were not seen running"),
        (300, [], TimeWord.NOT_MEASURED, "brought no VM back"),
    ],
)
def test_it_is_measured_to_the_last_vm(
    target: int | None, running: list[dt.datetime | None], word: TimeWord, says: str
) -> None:
    found = recovery_time(target, LOST, "contact was lost", running)
    assert found.word is word
    assert says in found.sentence
    assert (found.measured_s is None) == (word in (TimeWord.NOT_BACK, TimeWord.NOT_MEASURED))


def test_without_a_beginning_nothing_is_measured() -> None:
    found = recovery_time(300, None, "no VM was powered off by this run", [at(3)])
    assert (found.word, found.measured_s) == (TimeWord.NOT_MEASURED, None)
    assert found.sentence == "Not known: no VM was powered off by this run."
