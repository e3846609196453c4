"""Steps that wait are woken by what moves at the sites; looking asks for no more than decides their gates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drportal.drivers.base import CephSite, ImageRef, MirrorSnapshot, SnapshotReading
from drportal.drivers.observation import ImageObservation, Part, PoolObservation
from drportal.engine.facts import Mode
from drportal.engine.states import StepState
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.recovery.news import News
from drportal.recovery.pace import Pace
from drportal.recovery.step_runner import Control, History, StepRunner

JOURNAL, SNAPSHOT = ImageRef("one", "one-1"), ImageRef("one", "one-2")


class Site:
    """Says of each image what ``said`` has of it, after ``takes_s``."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.asked: list[tuple[str, tuple[Part, ...], tuple[str, ...]]] = []
        self.said: dict[str, Any] = {"one-1": True, "one-2": True}
        self.takes_s = takes_s

    async def observe(self, pool: str, parts: Collection[Part], names: Collection[str]) -> PoolObservation:
        self.asked.append((pool, tuple(parts), tuple(names)))
        await asyncio.sleep(self.takes_s)
        images = {name: ImageObservation(ImageRef(pool, name), absent=self.said[name]) for name in names}
        return PoolObservation(images=images, pool=None, mirror_clients=None, answers=())


async def _until(ready: Callable[[], bool]) -> None:
    for _ in range(1000):
        if ready():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within five seconds")


async def test_whose_image_moved_is_woken_and_nobody_else_and_each_is_asked_for_in_its_own_mode() -> None:
    site = Site()
    news = News((cast("CephSite", site),), 0.01)
    running = asyncio.ensure_future(news.run())
    with news.listen(JOURNAL, Mode.JOURNAL) as one, news.listen(SNAPSHOT, Mode.SNAPSHOT) as two:
        await _until(lambda: len(site.asked) >= 4)
        assert set(site.asked) == {
            ("one", (Part.JOURNAL,), ("one-1",)),
            ("one", (Part.SNAPSHOTS,), ("one-2",)),
        }
        assert not one.is_set()
        site.said["one-2"] = False
        await asyncio.wait_for(two.wait(), 5)
        assert not one.is_set()
    await asyncio.sleep(0.05)
    before = len(site.asked)
    await asyncio.sleep(0.05)
    assert len(site.asked) == before, "nobody listens"
    running.cancel()


async def test_slow_looks_leave_the_site_four_fifths_of_the_time() -> None:
    site = Site(takes_s=0.04)
    news = News((cast("CephSite", site),), 0.001)
    running = asyncio.ensure_future(news.run())
    with news.listen(JOURNAL, Mode.JOURNAL):
        await asyncio.sleep(1.0)
    running.cancel()
    assert 2 <= len(site.asked) <= 6, "0.04 s of looking, then 0.16 s of rest"
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_site_that_hangs_keeps_no_news_of_the_other() -> None:
    hangs, site = Site(takes_s=60.0), Site()
    news = News((cast("CephSite", hangs), cast("CephSite", site)), 0.01)
    running = asyncio.ensure_future(news.run())
    with news.listen(JOURNAL, Mode.JOURNAL) as moved:
        await _until(lambda: len(site.asked) >= 2)
        site.said["one-1"] = False
        await asyncio.wait_for(moved.wait(), 5)
    running.cancel()


def shown(*snap_ids: int, copying: int | None = None) -> SnapshotReading:
    """Whole ones, and after them one of which so many objects are copied."""
    snapshots = [MirrorSnapshot(n, f"s{n}", "demoted", True, False, "u", n, None) for n in snap_ids]
    if copying is not None:
        number = snap_ids[-1] + 1
        snapshots.append(MirrorSnapshot(number, f"s{number}", "demoted", False, False, "u", number, copying))
    return SnapshotReading(SNAPSHOT, tuple(snapshots), (), cast("Any", None))


async def test_what_moved_after_a_steps_own_look_is_news_although_nobody_else_has_looked_before() -> None:
    class Shows(Site):
        async def observe(self, pool: str, parts: Collection[Part], names: Collection[str]) -> PoolObservation:
            self.asked.append((pool, tuple(parts), tuple(names)))
            images = {name: ImageObservation(ImageRef(pool, name), snapshots=shown(7, 8)) for name in names}
            return PoolObservation(images=images, pool=None, mirror_clients=None, answers=())

    site = cast("CephSite", Shows())
    news = News((site,), 0.01)
    running = asyncio.ensure_future(news.run())
    with news.listen(SNAPSHOT, Mode.SNAPSHOT) as moved:
        news.seen(site, ImageObservation(SNAPSHOT, snapshots=shown(7)))
        news.seen(site, ImageObservation(SNAPSHOT))  # a look at the role alone
        await asyncio.wait_for(moved.wait(), 5)
        moved.clear()
        news.seen(site, ImageObservation(SNAPSHOT, snapshots=shown(7, 8)))
        await asyncio.sleep(0.05)
        assert not moved.is_set(), "it is as the step has seen it"
    running.cancel()


async def test_a_mirror_snapshot_is_news_when_it_is_whole_and_not_while_it_is_copied() -> None:
    class Copies(Site):
        copied: int | None = None

        async def observe(self, pool: str, parts: Collection[Part], names: Collection[str]) -> PoolObservation:
            self.asked.append((pool, tuple(parts), tuple(names)))
            said = shown(7, 8) if self.copied == 100 else shown(7, copying=self.copied)
            images = {name: ImageObservation(ImageRef(pool, name), snapshots=said) for name in names}
            return PoolObservation(images=images, pool=None, mirror_clients=None, answers=())

    site = Copies()
    news = News((cast("CephSite", site),), 0.001)
    running = asyncio.ensure_future(news.run())
    with news.listen(SNAPSHOT, Mode.SNAPSHOT) as moved:
        for site.copied in (0, 40, 99):
            before = len(site.asked)
            await _until(lambda: len(site.asked) > before + 1)  # noqa: B023
            assert not moved.is_set()
        site.copied = 100
        await asyncio.wait_for(moved.wait(), 5)
    running.cancel()


class Looks(StepRunner):
    """A step's turns without its looks: at the first its image moves just after it was read, the second is the last."""

    def __init__(self, news: News) -> None:
        kind = StepKind.IMAGE_PROMOTE
        image = SimpleNamespace(pool="one", name="one-1", mode="journal")
        step = SimpleNamespace(
            kind=kind, state=StepState.PENDING, vm_key="1", sentence="", task=SimpleNamespace(image=image),
            spec=STEP_KINDS[kind],
        )  # fmt: skip
        pace = Pace(poll_first_s=30.0)
        world = SimpleNamespace(news=news, pace=pace, turns=asyncio.Semaphore(1))
        nothing = cast("Any", None)
        super().__init__(cast("Any", world), cast("Any", step), nothing, nothing, Control(), History(), "")
        self.looks = 0

    async def _decide(self) -> bool:
        self.looks += 1
        if self.looks == 1:
            for event in self.world.news._listening[JOURNAL]:  # type: ignore[union-attr]
                event.set()
            return False
        self.step.state = StepState.SUCCEEDED
        return True


async def test_what_moves_between_a_look_and_the_rest_after_it_is_not_missed() -> None:
    news = News((), 0.01)
    looks = Looks(news)
    assert await asyncio.wait_for(looks.perform(), 5) is StepState.SUCCEEDED
    assert looks.looks == 2
    assert not news._listening, "who is done listens no more"
