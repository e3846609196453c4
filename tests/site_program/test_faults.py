"""Killed, hung or cut off at each of seven points of each verb that changes something: never a second effect, and the
outcome is found. On the stand-in for Ceph, and on real Ceph with both engines, images of both modes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.site_program.running import POINTS, SiteProcess
from tests.site_program.worlds import CASES, Case, CephWorld, FakeWorld, World, ended

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
# On real Ceph an act takes some 20 to 80 ms: not each of them can be met half-way.
MET_AT_LEAST = len(CASES) // 3


@pytest.fixture(
    params=["fake", pytest.param("librbd", marks=REAL), pytest.param("rbd", marks=REAL)],
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld(tmp_path)
        return
    real = CephWorld(tmp_path / "work", request.getfixturevalue("real_lab"), request.param)
    yield real
    real.end()


def faulty(world: World, point: str, verb: str, number: int, fields: dict[str, Any]) -> SiteProcess:
    """A program that gets this signal at that point of its act."""
    return world.start(point=f"{point} {verb} {number}", env=world.begun(fields))


def wrong(world: World, case: Case, fields: dict[str, Any], point: str, state: str) -> list[str]:
    """What must not be: a second effect or start, an unknown outcome, a receipt that says other than Ceph."""
    effects, calls = world.effects(case, fields), world.calls(fields)
    said = f"{case} {point}: {state}, started {calls} times, {effects} effects"
    if effects not in (0, 1) or calls > 1 or state not in ("done", "not-done") or (state == "done") != (effects == 1):
        return [said]
    return [said] if CERTAIN.get(point, effects) != effects else []


@pytest.mark.parametrize("point", POINTS)
def test_killed(world: World, point: str) -> None:
    """SIGKILL to the program; then, as the portal does, the same request again over a new connection."""

    def one(case: Case, fields: dict[str, Any]) -> tuple[bool, list[str]]:
        with faulty(world, point, case.verb, signal.SIGKILL, fields) as doomed:
            doomed.send(case.verb, **fields, wait_s=60)
            doomed.killed()
        with world.start() as later:
            answer = later.ask(case.verb, **fields, wait_s=60)
            assert answer["ok"], f"{case} {point}: {answer}"
            return not doomed.too_quick, wrong(world, case, fields, point, ended(later, fields["op"])["state"])

    report(world, point, one)


@pytest.mark.parametrize("point", POINTS)
def test_hung(world: World, point: str) -> None:
    """The host stops: the program, and the client that it has started. The portal asks for the receipt, barring what
    has not begun; then all wakes up and goes on."""

    def one(case: Case, fields: dict[str, Any]) -> tuple[bool, list[str]]:
        with faulty(world, point, case.verb, signal.SIGSTOP, fields) as hung:
            number = hung.send(case.verb, **fields, wait_s=60)
            hung.stopped()
            clients = hung.clients()
            for client in clients:
                os.kill(client, signal.SIGSTOP)
            with world.start() as later:
                first = later.receipt(fields["op"], bar=True)
                if clients:
                    assert first["alive"] and world.calls(fields) == 1, f"{case}: its client has stopped, not ended"
                for client in clients:
                    os.kill(client, signal.SIGCONT)
                hung.go_on()
                answer = hung.answer(number)
                state = ended(later, fields["op"])["state"]
            if point == "before-intent":
                assert (first["how"], answer["ok"], state) == ("barred", False, "not-done")
                assert (world.effects(case, fields), world.calls(fields)) == (0, 0)
                return True, []
            assert answer["receipt"]["state"] == "done", f"{case}: {answer}"
            return not hung.too_quick, wrong(world, case, fields, "before-answer", state)

    report(world, point, one)


@pytest.mark.parametrize("point", POINTS)
def test_cut_off(world: World, point: str) -> None:
    """Nobody writes to it and nobody reads any more: what has begun is carried to its end, and written down."""

    def one(case: Case, fields: dict[str, Any]) -> tuple[bool, list[str]]:
        with faulty(world, point, case.verb, signal.SIGSTOP, fields) as alone:
            alone.send(case.verb, **fields, wait_s=60)
            alone.stopped()
            alone.hang_up()
            assert alone.nobody_reads(), "what it says from now on ends in EPIPE"
            alone.go_on()
            assert alone.wait(90) == 0
        with world.start() as later:
            receipt = later.receipt(fields["op"], bar=True)
            # Its input may have ended before the intent was written, or just after: both are said as they are.
            maybe = "during-act" if point == "before-intent" else "before-answer"
            return not alone.too_quick, wrong(world, case, fields, maybe, receipt["state"])

    report(world, point, one)


def test_a_stale_number_has_no_effect(world: World) -> None:
    """Each verb, from a run that another has taken over from."""
    prepared = [world.prepared(case) for case in CASES]
    with world.start() as program:
        newer = {**world.prepared(Case("fence")), "fence": 9}
        assert program.ask("fence", **newer)["receipt"]["state"] == "done"
        for case, fields in zip(CASES, prepared, strict=True):
            error = program.refused(case.verb, **fields)
            assert (error["code"], error["facts"]) == ("stale-fence", {"fence": 9}), case
            assert (world.effects(case, fields), world.calls(fields)) == (0, 0), case
            assert program.refused("receipt", op=fields["op"])["code"] == "no-receipt"
    # And the number alone was in the way: the same requests with the newer one are carried out, once.
    with world.start() as program:
        for case, fields in zip(CASES, prepared, strict=True):
            assert program.ask(case.verb, **{**fields, "fence": 9})["receipt"]["state"] == "done", case
            assert (world.effects(case, fields), world.calls(fields)) == (1, 1), case


def report(world: World, point: str, one: Callable[[Case, dict[str, Any]], tuple[bool, list[str]]]) -> None:
    """All verbs side by side, each on an image of its own."""
    prepared = [world.prepared(case) for case in CASES]
    with ThreadPoolExecutor(4) as cases:
        found = list(cases.map(one, CASES, prepared))
    assert not [line for _, lines in found for line in lines]
    met = sum(was_met for was_met, _ in found)
    needed = MET_AT_LEAST if point == "during-act" and not world.during_is_certain else len(CASES)
    assert met >= needed, f"only {met} of {len(CASES)} acts were at the point {point}"
