"""Snapshot schedules in the inventory: kept with their history, and honest about what could not be read."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from drportal.drivers.base import Answer, ScheduleLine, SnapshotSchedules
from drportal.drivers.errors import Unreachable
from drportal.inventory.models import InventoryChange, MirroredImage, Pool, Site, SitePair
from drportal.inventory.models import SnapshotSchedules as Row
from drportal.inventory.reading import Heard, SchedulesHeard, SiteReading
from drportal.inventory.schedules import EVERY_S, OLD_S, ScheduleWatch, write_schedules
from tests.conftest import Person

ANSWER = Answer("rbd mirror snapshot schedule ls", "a", 0, "[]", "", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 0.1)
OF_POOL, OF_IMAGE = ScheduleLine("one", "", "1m", ""), ScheduleLine("one", "one-1", "1h", "14:00:00")


def heard(site: Site, *lines: ScheduleLine, trouble: str = "", at: dt.datetime | None = None) -> bool:
    at = at or timezone.now()
    found = None if trouble else SnapshotSchedules("one", lines, ANSWER)
    reading = SiteReading(at, ceph=Heard(True), schedules={"one": SchedulesHeard(at, found, trouble)})
    return write_schedules(site, reading, at)


@pytest.fixture
def row(pair: SitePair) -> MirroredImage:
    for site in (pair.a, pair.b):
        Pool.objects.create(site=site, name="one")
    return MirroredImage.objects.create(pair=pair, pool="one", name="one-1", mode="snapshot", primary_side="a")


def told(viewer: Person, image: MirroredImage) -> dict[str, Any]:
    shown: dict[str, Any] = viewer.read(f"/images/{image.pk}")["schedules"]
    return shown


def test_they_are_kept_an_image_and_shown_on_its_page_and_the_pools(viewer: Person, row: MirroredImage) -> None:
    assert told(viewer, row) == {}, "never asked for"
    assert heard(row.pair.a, OF_POOL, OF_IMAGE)
    assert heard(row.pair.b)
    a, b = told(viewer, row)["site-a"], told(viewer, row)["site-b"]
    assert (a["known"], a["text"], a["every_s"], a["level"]) == (True, "every 1h from 14:00:00", 3600, "image")
    assert (b["known"], b["text"], b["every_s"], b["level"]) == (True, "", None, None)
    sides = viewer.read(f"/pairs/{row.pair_id}/pools/one")["sides"]
    assert (sides["site-a"]["schedules"]["text"], sides["site-a"]["schedules"]["own"]) == ("every 1m", 1)
    MirroredImage.objects.update(mode="journal")
    assert told(viewer, row) == {}, "it needs none"


def test_what_changes_is_history_and_what_a_first_look_finds_is_not(row: MirroredImage) -> None:
    site = row.pair.a

    def history() -> list[tuple[str, str]]:
        found = list(InventoryChange.objects.order_by("pk").values_list("subject", "sentence"))
        InventoryChange.objects.all().delete()
        return found

    assert heard(site, OF_POOL)
    assert not heard(site, OF_POOL), "the same"
    assert history() == []
    assert heard(site, OF_POOL, OF_IMAGE)
    words = "one/one-1: its snapshot schedule at Site-A is"
    assert history() == [("one/one-1", f"{words} every 1h from 14:00:00 (was none of its own).")]
    assert heard(site, OF_POOL)
    assert history() == [("one/one-1", f"{words} the pool's, every 1m (its own was every 1h from 14:00:00).")]
    assert heard(site)
    pool = "Pool one at Site-A: the snapshot schedule of its images is"
    assert history() == [("one", f"{pool} none any more (was every 1m).")]
    assert heard(site, ScheduleLine("", "", "2h", ""))
    assert history() == [("one", f"{pool} every 2h (was none).")]


def test_what_could_not_be_read_stands_with_its_age_until_it_is_too_old(viewer: Person, row: MirroredImage) -> None:
    site = row.pair.a
    heard(site, OF_POOL)
    assert heard(site, trouble="The manager is silent.")
    shown = told(viewer, row)["site-a"]
    assert (shown["known"], shown["text"], shown["trouble"]) == (True, "every 1m", "The manager is silent.")
    Row.objects.update(read_at=timezone.now() - dt.timedelta(seconds=OLD_S + 1))
    assert told(viewer, row)["site-a"]["known"] is False
    assert heard(site, OF_POOL)
    assert told(viewer, row)["site-a"]["trouble"] == ""
    assert InventoryChange.objects.count() == 0
    now = timezone.now()
    dark = SiteReading(now, ceph=Heard(False), schedules={"one": SchedulesHeard(now, None, "dark")})
    assert not write_schedules(site, dark, now), "that the site is dark is said elsewhere"


class Manager:
    """Stands in for a site's Ceph: answers when it is let."""

    def __init__(self) -> None:
        self.asked, self.may = 0, asyncio.Event()

    async def schedules(self, pool: str) -> SnapshotSchedules:
        self.asked += 1
        await self.may.wait()
        if pool == "silent":
            raise Unreachable("It did not answer.")
        return SnapshotSchedules(pool, (OF_POOL,), ANSWER)


async def test_no_look_waits_for_the_manager() -> None:
    manager, watch = Manager(), ScheduleWatch()

    def look(*, ceph: bool = True) -> SiteReading:
        reading = SiteReading(timezone.now(), ceph=Heard(ceph))
        watch.go_on(reading, manager, ["one", "silent"])  # type: ignore[arg-type]
        return reading

    assert look(ceph=False).schedules == {}
    await asyncio.sleep(0)
    assert manager.asked == 0, "a dark site is not asked"
    for _ in range(3):
        assert look().schedules == {}
        await asyncio.sleep(0)
    assert manager.asked == 2, "once for each pool, however often it is looked"
    manager.may.set()
    await asyncio.sleep(0.01)
    found = look()
    assert (found.schedules["one"].trouble, found.schedules["silent"].trouble) == ("", "It did not answer.")
    assert found.schedules["silent"].found is None
    assert [subject for subject, _ in found.answers] == ["one"], "the raw answer is evidence"
    await asyncio.sleep(0.01)
    assert manager.asked == 2, f"not again within {EVERY_S:.0f} s"
    watch.stop()
    look()
    await asyncio.sleep(0.01)
    assert manager.asked == 2
