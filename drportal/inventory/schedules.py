"""Snapshot schedules: asked of both sites now and then beside the looks, kept a row a pool and site, with what changed.

Ceph's manager answers for them and it alone: it may be silent while the rest of a cluster answers. So nothing waits for
it, and what it does not tell stays as it was last told, with its age.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from drportal.drivers.base import CephSite, SnapshotSchedules
from drportal.drivers.errors import DriverError
from drportal.engine.schedule_gaps import SiteSchedule
from drportal.engine.schedules import Interval, Level, PoolSchedules, ScheduleEntry
from drportal.inventory import models
from drportal.inventory.changes import Change, note
from drportal.inventory.models import InventoryChange, Pool, Site
from drportal.inventory.reading import SchedulesHeard, SiteReading

EVERY_S = 60.0
OLD_S = 600.0  # not told for so long: no longer known

# --- asking


async def ask(ceph: CephSite, pools: Sequence[str]) -> dict[str, SchedulesHeard]:
    """Of each pool. Raises nothing that a site is the cause of."""

    async def one(pool: str) -> SchedulesHeard:
        asked_at = dt.datetime.now(dt.UTC)
        try:
            return SchedulesHeard(asked_at, await ceph.schedules(pool))
        except DriverError as error:
            return SchedulesHeard(asked_at, None, error.detail)
        except ValueError as error:  # a pool's name that no command may have
            return SchedulesHeard(asked_at, None, str(error))

    return dict(zip(pools, await asyncio.gather(*map(one, pools)), strict=True))


class ScheduleWatch:
    """Of one site that is looked at again and again."""

    def __init__(self) -> None:
        self._task: asyncio.Task[dict[str, SchedulesHeard]] | None = None
        self._asked_at_s = -math.inf

    def go_on(self, reading: SiteReading, ceph: CephSite, pools: Sequence[str]) -> None:
        """What was heard meanwhile goes into this reading; and it is asked again when it is time."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            put(reading, task.result())
        now_s = asyncio.get_running_loop().time()
        if self._task is None and reading.ceph.ok and now_s >= self._asked_at_s + EVERY_S:
            self._asked_at_s, self._task = now_s, asyncio.create_task(ask(ceph, pools))

    def stop(self) -> None:
        """Before the connection goes; it is asked again soon over the next one."""
        if self._task is not None:
            self._task.cancel()
            self._task, self._asked_at_s = None, -math.inf


def put(reading: SiteReading, heard: Mapping[str, SchedulesHeard]) -> None:
    """As a part of this reading, with what was answered as evidence."""
    reading.schedules = dict(heard)
    reading.answers += [(pool, one.found.answer) for pool, one in heard.items() if one.found is not None]


# --- writing


def write_schedules(site: Site, reading: SiteReading, now: dt.datetime) -> bool:
    """Bring the rows up to date. True when a schedule is another, or whether they can be told."""
    if reading.ceph.ok is False:
        return False  # it is said of the site already
    changed = False
    for pool in Pool.objects.filter(site=site, name__in=reading.schedules):
        heard = reading.schedules[pool.name]
        row = models.SnapshotSchedules.objects.filter(pool=pool).first() or models.SnapshotSchedules(pool=pool)
        changed |= bool(row.trouble) != bool(heard.trouble)
        row.trouble = heard.trouble
        if heard.found is not None:
            entries = _kept(heard.found)
            if row.read_at is not None and entries != row.entries:
                note(site, changes(pool.name, site.name, schedules_of(row.entries), schedules_of(entries)), now)
            changed |= row.read_at is None or entries != row.entries
            row.entries, row.read_at = entries, heard.asked_at
        row.save()
    return changed


def _kept(found: SnapshotSchedules) -> list[list[str]]:
    """As the row keeps them: [pool, image, interval, start] each, in an order that does not jump."""
    return sorted([line.pool, line.image, line.interval, line.start_time] for line in found.lines)


def schedules_of(entries: Iterable[Sequence[str]]) -> PoolSchedules:
    """From what a row keeps."""
    found: dict[tuple[Level, str], list[Interval]] = {}
    for pool, image, text, start in entries:
        level = Level.IMAGE if image else Level.POOL if pool else Level.ALL_POOLS
        found.setdefault((level, image), []).append(Interval(text, start))
    return PoolSchedules(ScheduleEntry(level, image, tuple(some)) for (level, image), some in found.items())


def changes(pool: str, site: str, before: PoolSchedules, after: PoolSchedules) -> Iterator[Change]:
    then, now = before.told(), after.told()
    for image in sorted(then.keys() | now.keys()):
        was, said = then.get(image), now.get(image)
        if was == said:
            continue
        if not image:
            words = f"{said} (was {was or 'none'})" if said else f"none any more (was {was})"
            sentence = f"Pool {pool} at {site}: the snapshot schedule of its images is {words}."
            yield Change(InventoryChange.Kind.POOL, pool, pool, "schedule", sentence)
            continue
        ref = f"{pool}/{image}"
        rest = f"the pool's, {now['']}" if "" in now else "none"
        words = f"{said} (was {was or 'none of its own'})" if said else f"{rest} (its own was {was})"
        sentence = f"{ref}: its snapshot schedule at {site} is {words}."
        yield Change(InventoryChange.Kind.IMAGE, ref, ref, "schedule", sentence)


# --- reading


class KnownSchedules:
    """Of some sites and all their pools, as last told; what was told too long ago is not known."""

    def __init__(self, sites: Collection[Site], now: dt.datetime) -> None:
        rows = models.SnapshotSchedules.objects.filter(pool__site__in=sites).select_related("pool")
        self.rows = {(row.pool.site_id, row.pool.name): row for row in rows}
        self._found: Mapping[tuple[int, str], PoolSchedules] = {
            key: schedules_of(row.entries) for key, row in self.rows.items() if is_known(row, now)
        }
        self._names = {site.pk: site.name for site in sites}

    def of_pool(self, site_id: int, pool: str) -> PoolSchedules | None:
        """None: not known."""
        return self._found.get((site_id, pool))

    def at(self, site: Site, pool: str, image: str) -> SiteSchedule:
        found = self.of_pool(site.pk, pool)
        return SiteSchedule(site.name, found is not None, found.of(image) if found is not None else None)

    def words(self, site_ids: Iterable[int], pool: str, image: str) -> str:
        """At each of these sites where it is known; empty where it is known at none."""
        told = []
        for site_id in site_ids:
            found = self.of_pool(site_id, pool)
            if found is not None:
                schedule = found.of(image)
                told.append(f"{schedule.text if schedule else 'none'} at {self._names[site_id]}")
        return ", ".join(told)


def is_known(row: Any, now: dt.datetime) -> bool:
    """``row``: models.SnapshotSchedules."""
    return row.read_at is not None and (now - row.read_at).total_seconds() <= OLD_S
