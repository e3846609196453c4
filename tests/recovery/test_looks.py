"""What a step's look asks of an image is read in one go, and says what each part by itself would have said."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Collection
from typing import Any, cast

import pytest

from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    MirrorClients,
    MirrorMode,
    MirrorSnapshot,
    SnapshotReading,
    WatcherReading,
)
from drportal.drivers.errors import Reason, Refused, Unreachable
from drportal.drivers.observation import ImageObservation, Part
from drportal.engine.facts import Mode
from drportal.engine.gates import GateId
from drportal.recovery.gate_readings import parts_of
from drportal.recovery.pace import Pace
from drportal.recovery.world import Asked, SiteEnd

REF = ImageRef("one", "one-7")
SAID = Answer("observe-image one/one-7", "ceph-a", 0, "{}", "", dt.datetime(2026, 5, 4, tzinfo=dt.UTC), 0.01)
INFO = ImageInfo(REF, "10a", 4096, (), None, MirrorMode.SNAPSHOT, "enabled", "g-7", True, SAID)
NEWEST = MirrorSnapshot(7, ".mirror.primary.g-7", "primary", True, True, None, None, None)
SNAPSHOTS = SnapshotReading(REF, (NEWEST,), (), SAID)
WATCHERS = WatcherReading(REF, (), SAID)
ALL = frozenset({Part.INFO, Part.SNAPSHOTS, Part.WATCHERS})


class Site:
    """Of the reads of a ``CephSite`` those that are asked here. ``image``: what it says of its parts together."""

    def __init__(self, image: ImageObservation) -> None:
        self.told, self.asked = image, list[str]()

    async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
        self.asked.append(" ".join(sorted(parts)))
        return self.told

    async def mirror_clients(self, pool: str) -> MirrorClients:
        return MirrorClients(pool, frozenset(), SAID)

    async def info(self, ref: ImageRef) -> ImageInfo:
        self.asked.append("info alone")
        raise Refused("There is no image one-7 at ceph-a.", Reason.NOT_FOUND, SAID)

    async def snapshots(self, ref: ImageRef) -> SnapshotReading:
        self.asked.append("snapshots alone")
        return SNAPSHOTS


def end_of(site: Site) -> SiteEnd:
    lacking: Any = None
    ceph: Any = site
    return SiteEnd("site-a", "Site A", "ceph-a", ceph, lacking, Pace())


def told(**parts: Any) -> ImageObservation:
    return ImageObservation(REF, **parts)


async def read_all(end: SiteEnd) -> list[Any]:
    reads: list[Callable[[ImageRef], Awaitable[Any]]] = [end.role, end.snapshots, end.watchers, end.newest_snapshot]
    return list(await asyncio.gather(*(read(REF) for read in reads)))


async def test_a_look_reads_the_parts_of_an_image_once_and_the_next_look_reads_them_again() -> None:
    site = Site(told(info=INFO, snapshots=SNAPSHOTS, watchers=WATCHERS))
    end = end_of(site)
    for looks in (1, 2):
        (role, answer), (snapshots, _), (watchers, _), newest = await read_all(end.look(ALL))
        assert (role.primary, role.image_id, answer) == (True, "10a", SAID)
        assert (snapshots.read_at, watchers.foreign) == (SAID.started_at, ())
        assert newest == NEWEST
        assert site.asked == ["info snapshots watchers"] * looks


async def test_a_role_that_is_wanted_anew_is_read_anew() -> None:
    site = Site(told(info=INFO))
    look = end_of(site).look(frozenset({Part.INFO}))
    await look.role(REF)
    await look.role_now(REF)
    assert site.asked == ["info", "info"]


async def test_the_trouble_with_one_part_is_not_that_of_another() -> None:
    trouble = Refused("Not allowed.", Reason.NO_RIGHTS, SAID)
    look = end_of(Site(told(info=INFO, watchers=WATCHERS, troubles={Part.SNAPSHOTS: trouble}))).look(ALL)
    assert (await look.role(REF))[0].primary is True
    with pytest.raises(Refused) as caught:
        await look.snapshots(REF)
    assert caught.value is trouble


async def test_a_silence_about_one_part_is_heard_of_and_fails_the_look() -> None:
    silent, heard = Unreachable("Ceph did not answer."), list[BaseException]()

    class Ear:
        async def hear(self, read: Callable[[], Awaitable[Any]]) -> Any:
            try:
                return await read()
            except Unreachable as error:
                heard.append(error)
                raise

    end = end_of(Site(told(info=INFO, troubles={Part.SNAPSHOTS: silent})))
    end.ceph_silence = cast("Any", Ear())
    with pytest.raises(Unreachable):
        await end.look(ALL).role(REF)
    assert heard == [silent]


async def test_an_image_that_is_not_there_says_so_in_its_own_words() -> None:
    site = Site(told(absent=True))
    role, answer = await end_of(site).look(ALL).role(REF)
    assert (role.exists, answer) == (False, SAID)
    assert site.asked == ["info snapshots watchers", "info alone"]


async def test_a_part_that_was_not_told_is_asked_for_by_itself() -> None:
    site = Site(told(info=INFO))
    assert (await end_of(site).look(ALL).snapshots(REF))[1] == SAID
    assert site.asked == ["info snapshots watchers", "snapshots alone"]


@pytest.mark.parametrize("silent", [False, True])
async def test_a_site_that_is_read_first_has_answered_or_failed_when_the_other_is_asked(silent: bool) -> None:
    order: list[str] = []

    class Slow(Site):
        async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
            await asyncio.sleep(0)
            order.append("source")
            if silent:
                raise Unreachable("ceph-a does not answer. Nothing was changed.")
            return self.told

    class Second(Site):
        async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
            order.append("target")
            return self.told

    source = end_of(Slow(told(info=INFO, snapshots=SNAPSHOTS))).look(ALL)
    target = end_of(Second(told(info=INFO, snapshots=SNAPSHOTS))).look(ALL, source)
    asked = await asyncio.gather(target.role(REF), source.role(REF), target.snapshots(REF), return_exceptions=True)
    assert order == ["source", "target"]
    assert [isinstance(answer, Unreachable) for answer in asked] == [False, silent, False]


def test_the_targets_snapshots_are_never_read_before_the_sources_role() -> None:
    """G-DEMOTED: positions from before the demotion prove nothing."""
    both = frozenset({Part.INFO, Part.SNAPSHOTS})
    assert parts_of([GateId.DEMOTED], Mode.SNAPSHOT) == Asked(both, both, source_first=True)
    journal = Asked(frozenset({Part.INFO, Part.JOURNAL}), frozenset({Part.INFO}))  # which is read after the role there
    assert parts_of([GateId.DEMOTED], Mode.JOURNAL) == journal


def test_what_a_demotions_gates_ask_of_both_sides() -> None:
    gates = (GateId.OFF, GateId.PATH, GateId.SYNC)
    assert parts_of(gates, Mode.SNAPSHOT) == Asked(ALL, frozenset({Part.INFO, Part.SNAPSHOTS}))
    assert parts_of(gates, Mode.JOURNAL) == Asked(ALL - {Part.SNAPSHOTS} | {Part.JOURNAL}, frozenset({Part.INFO}))
