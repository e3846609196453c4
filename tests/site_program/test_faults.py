"""Killed, hung or cut off at each of seven points of each verb that changes something: never a second effect, and the
outcome is found. On the stand-in for Ceph, and on real Ceph with both engines.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.site_program.running import POINTS
from tests.site_program.worlds import CephWorld, FakeWorld, World, ended

REAL = [pytest.mark.ceph, pytest.mark.slow]
# Not begun: the same request may still begin it. Begun, and not yet done: it never happens. Done: it stays done.
CERTAIN = {
    "before-intent": 1,
    "after-intent": 0,
    "before-act": 0,
    "after-act": 1,
    "before-receipt": 1,
    "before-answer": 1,
}


@pytest.fixture(
    params=["fake", pytest.param("librbd", marks=REAL), pytest.param("rbd", marks=REAL)],
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "fake":
        return FakeWorld(tmp_path)
    return CephWorld(tmp_path / "work", request.getfixturevalue("real_lab"), request.param)


def told(verb: str, point: str, state: str, effects: int) -> str:
    return f"{verb} {point}: {state}, {effects} effects"


def wrong(verb: str, point: str, state: str, effects: int) -> list[str]:
    """What must not be: a second effect, an unknown outcome, a receipt that says other than Ceph."""
    said = told(verb, point, state, effects)
    if effects not in (0, 1) or state not in ("done", "not-done") or (state == "done") != (effects == 1):
        return [said]
    return [said] if CERTAIN.get(point, effects) != effects else []


@pytest.mark.parametrize("point", POINTS)
def test_killed(world: World, point: str) -> None:
    """SIGKILL to the program; then, as the portal does, the same request again over a new connection."""

    def one(verb: str, fields: dict[str, Any]) -> list[str]:
        with world.start(point=f"{point} {verb} {int(signal.SIGKILL)}") as doomed:
            doomed.send(verb, **fields, wait_s=60)
            doomed.killed()
        with world.start() as later:
            answer = later.ask(verb, **fields, wait_s=60)
            assert answer["ok"], told(verb, point, str(answer), -1)
            return wrong(verb, point, ended(later, fields["op"])["state"], world.effects(verb, fields))

    report(world, one)


@pytest.mark.parametrize("point", POINTS)
def test_hung(world: World, point: str) -> None:
    """The program stops; the portal asks for the receipt, barring what has not begun; then it wakes up and goes on."""

    def one(verb: str, fields: dict[str, Any]) -> list[str]:
        with world.start(point=f"{point} {verb} {int(signal.SIGSTOP)}") as hung:
            number = hung.send(verb, **fields, wait_s=60)
            hung.stopped()
            with world.start() as later:
                first = later.receipt(fields["op"], bar=True)
                hung.go_on()
                answer = hung.answer(number)
                state = ended(later, fields["op"])["state"]
            if point == "before-intent":
                assert (first["how"], answer["ok"]) == ("barred", False)
                assert (state, world.effects(verb, fields)) == ("not-done", 0)
                return []
            assert answer["receipt"]["state"] == "done" or point == "during-act"
            effects = world.effects(verb, fields)
            return [] if (state, effects) == ("done", 1) else [told(verb, point, state, effects)]

    report(world, one)


@pytest.mark.parametrize("point", POINTS)
def test_cut_off(world: World, point: str) -> None:
    """Nobody writes to it and nobody reads any more: what has begun is carried to its end, and written down."""

    def one(verb: str, fields: dict[str, Any]) -> list[str]:
        with world.start(point=f"{point} {verb} {int(signal.SIGSTOP)}") as alone:
            alone.send(verb, **fields, wait_s=60)
            alone.stopped()
            alone.hang_up()
            alone.go_on()
            assert alone.wait(90) == 0
        with world.start() as later:
            receipt = later.receipt(fields["op"], bar=True)
            effects = world.effects(verb, fields)
            # Its input may have ended before the intent was written, or just after: both are said as they are.
            possible = [("done", 1), ("not-done", 0)] if point == "before-intent" else [("done", 1)]
            return [] if (receipt["state"], effects) in possible else [told(verb, point, receipt["state"], effects)]

    report(world, one)


def report(world: World, one: Callable[[str, dict[str, Any]], list[str]]) -> None:
    """All verbs side by side, each on an image of its own."""
    prepared = [world.prepared(verb) for verb in world.verbs]
    with ThreadPoolExecutor(4) as cases:
        found = [line for lines in cases.map(one, world.verbs, prepared) for line in lines]
    assert not found
