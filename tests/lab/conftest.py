"""A model of two sites under a clock that only moves when told, and two people with an `rbd` each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from drportal.lab.embedded.pair import Pair
from drportal.lab.embedded.rbd import Outcome, Rbd
from drportal.lab.embedded.timing import Timing
from drportal.lab.embedded.world import World

START = 1795395000.0
JOURNAL_IMAGES = ("one-0-0-0", "one-1", "one-2-2-0")
SNAPSHOT_IMAGE = "one-9-9-0"
MIB = 2**20


@dataclass(slots=True)
class HandClock:
    now: float = START

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Bench:
    clock: HandClock
    world: World
    rbd: dict[str, Rbd]

    async def run(self, site: str, command: str) -> Outcome:
        """`command` without "rbd"; no word in it has a blank."""
        return await self.rbd[site].run(command.split())

    async def ok(self, site: str, command: str) -> str:
        outcome = await self.run(site, command)
        assert outcome.exit_code == 0, f"{site}: rbd {command}: {outcome}"
        return outcome.stdout

    def pair(self, name: str) -> Pair:
        return self.world.pair(name)

    def fill(self, site: str, name: str, seed: str) -> None:
        self.pair(name).fill(site, seed, self.clock.now)

    def content(self, site: str, name: str) -> object:
        return self.pair(name).content(site, self.clock.now)

    def equal(self, name: str) -> bool:
        return self.content("a", name) == self.content("b", name)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    async def until_promoted(self, site: str, name: str, patience_s: float = 120.0) -> float:
        """Promote unforced, again and again. Returns how long it took."""
        began = self.clock.now
        while True:
            outcome = await self.run(site, f"mirror image promote one/{name}")
            if outcome.exit_code == 0:
                return self.clock.now - began
            assert outcome.exit_code in (16, 30), outcome
            assert self.clock.now < began + patience_s, f"{name} was not promoted at {site} in {patience_s} s"
            self.wait(0.2)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> MakeBench:
    def make(
        *,
        journal: tuple[str, ...] = JOURNAL_IMAGES,
        snapshot: tuple[str, ...] = (SNAPSHOT_IMAGE,),
        logging: bool = False,
    ) -> Bench:
        clock = HandClock()
        world = World(clock, Timing(schedule_s=1e12))  # the captures had no snapshot schedule
        for name in journal:
            world.settled_pair("a", name, 16 * MIB, "journal")
        for name in snapshot:
            world.settled_pair("a", name, 16 * MIB, "snapshot")
        return Bench(clock, world, {s: Rbd(world, s, default_logging=logging, sleep=clock.sleep) for s in ("a", "b")})

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()
