"""Find out what there is at both sites: pools, images, VMs and what they need. Deletions leave tombstones.

Works when one side is dark: what is dark keeps its last facts, and they age.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from drportal.drivers.base import ImageRef, PoolReading
from drportal.drivers.errors import DriverError
from drportal.engine.facts import Side
from drportal.errors import NotFound, PortalError
from drportal.events import publish
from drportal.inventory import cloud, heard
from drportal.inventory.connect import SiteDrivers, site_drivers
from drportal.inventory.image_book import write_images
from drportal.inventory.models import SitePair
from drportal.inventory.observations import Keeper
from drportal.inventory.reading import Heard, SiteReader, SiteReading, good_refs
from drportal.inventory.schedules import ask, put, write_schedules
from drportal.settings import DISCOVER_MINUTES

LOOK_DEADLINE_S = 300.0
DISCOVER_EVERY = dt.timedelta(minutes=DISCOVER_MINUTES)
AGAIN_AFTER = dt.timedelta(minutes=10)
UNMIRRORED = "disabled"


def discover(pair_id: int) -> SitePair:
    """Read both sides whole, write what was found, and say in ``pair.discovery`` how it went.

    Raises NotFound; and whatever went wrong here (never for a dark site), after noting it.
    """
    pair = SitePair.objects.select_related("a", "b").filter(pk=pair_id).first()
    if pair is None:
        raise NotFound("This pair of sites is not known (any more).")
    note(pair, "running", "Reading both sites…", done=0, started=True)
    try:
        readings = look_at_both(pair)
        note(pair, "running", "Writing down what was found…", done=1)
        write(pair, readings)
    except Exception as error:
        note(pair, "failed", f"Discovery failed and what was known stays: {error}")
        raise
    said = summary(pair, readings)
    note(pair, "idle", said, done=2)
    return pair


def next_to_discover(now: dt.datetime) -> int | None:
    """The pair that was not looked at whole for longest, if that is ``DISCOVER_EVERY`` ago. A pair's first discovery is
    asked for by a person; one that failed, or that nobody ends, is tried again after ``AGAIN_AFTER``.
    """
    for pair in SitePair.objects.exclude(discovery={}).order_by("discovered_at", "pk"):
        at = [moment for moment in (pair.discovered_at, _started_at(pair)) if moment is not None]
        rested = max(at, default=now) <= now - AGAIN_AFTER
        if rested and (pair.discovered_at is None or pair.discovered_at <= now - DISCOVER_EVERY):
            return pair.pk
    return None


def _started_at(pair: SitePair) -> dt.datetime | None:
    said = pair.discovery.get("started_at")
    return dt.datetime.fromisoformat(said) if said else None


def note(pair: SitePair, state: str, sentence: str, *, done: int | None = None, started: bool = False) -> None:
    """Progress, for the page."""
    kept: dict[str, Any] = {} if started else dict(pair.discovery)
    kept |= {"state": state, "sentence": sentence, "total": 2, "done": kept.get("done", 0) if done is None else done}
    if started:
        kept["started_at"] = timezone.now().isoformat()
    pair.discovery = kept
    SitePair.objects.filter(pk=pair.pk).update(discovery=kept)
    publish(f"pair:{pair.pk}", pair.version)


def look_at_both(pair: SitePair) -> dict[Side, SiteReading]:
    """Two whole readings, at the same time. A site without credentials is dark, with a sentence."""
    drivers: dict[Side, SiteDrivers] = {}
    readings: dict[Side, SiteReading] = {}
    for side, site in ((Side.A, pair.a), (Side.B, pair.b)):
        try:
            drivers[side] = site_drivers(site)
        except PortalError as error:
            unasked = Heard(False, error.detail)
            readings[side] = SiteReading(asked_at=timezone.now(), ssh=unasked, ceph=unasked, cloud=unasked)
    readings |= asyncio.run(_look(drivers, list(pair.pools)))
    return readings


async def _look(drivers: Mapping[Side, SiteDrivers], pools: list[str]) -> dict[Side, SiteReading]:
    try:
        named = await asyncio.gather(*(_pools_of(one) for one in drivers.values()))
        wanted = sorted(set(pools).union(*named))
        looks = (_whole(one, wanted) for one in drivers.values())
        return dict(zip(drivers, await asyncio.gather(*looks), strict=True))
    finally:
        await asyncio.gather(*(one.close() for one in drivers.values()), return_exceptions=True)


async def _whole(drivers: SiteDrivers, pools: list[str]) -> SiteReading:
    look = SiteReader(drivers).look(pools, exact_where_mirrored, deadline_s=LOOK_DEADLINE_S)
    reading, schedules = await asyncio.gather(look, ask(drivers.ceph, pools))
    put(reading, schedules)
    return reading


async def _pools_of(drivers: SiteDrivers) -> set[str]:
    """The pools that the site's front end keeps images in; none where it does not answer (the look will say why)."""
    try:
        return cloud.ceph_pools(await drivers.cloud.everything())
    except DriverError:
        return set()


def exact_where_mirrored(pools: Mapping[str, PoolReading]) -> list[ImageRef]:
    """Every image of every pool that is set up for mirroring."""
    return good_refs({name: found for name, found in pools.items() if found.mode != UNMIRRORED})


def write(pair: SitePair, readings: Mapping[Side, SiteReading], keeper: Keeper | None = None) -> None:
    """Both readings into rows, in one transaction."""
    now = timezone.now()
    for reading in readings.values():
        for name in [
            name for name, found in reading.pools.items() if found.mode == UNMIRRORED and name not in pair.pools
        ]:
            del reading.pools[name]
    with transaction.atomic():
        keep_pools(pair, readings)
        written = write_images(pair, readings, now)
        for side, site in ((Side.A, pair.a), (Side.B, pair.b)):
            reading = readings[side]
            heard.write_reach(site, reading, now)
            heard.write_pools(site, reading)
            write_schedules(site, reading, now)
            (keeper or Keeper()).keep(site, reading.answers)
            if reading.everything is not None:
                cloud.write_vms(site, pair, reading.everything, reading.asked_at)
                cloud.write_definitions(site, reading.everything, reading.asked_at)
                cloud.write_ground(site, reading.everything, reading.asked_at)
        SitePair.objects.filter(pk=pair.pk).update(discovered_at=now, polled_at=now)
        pair.discovered_at = pair.polled_at = now
        for topic in ("overview", "sites"):
            publish(topic)
        if written.changed:
            publish(f"pair:{pair.pk}", pair.version)


def keep_pools(pair: SitePair, readings: Mapping[Side, SiteReading]) -> None:
    """A mirrored pool that was found is watched from now on."""
    found = {name for reading in readings.values() for name in reading.pools}
    pools = sorted(found | set(pair.pools))
    if pools != sorted(pair.pools):
        pair.pools, pair.version = pools, pair.version + 1
        SitePair.objects.filter(pk=pair.pk).update(pools=pair.pools, version=pair.version)


def summary(pair: SitePair, readings: Mapping[Side, SiteReading]) -> str:
    """One sentence a site."""
    sentences = []
    for side, site in ((Side.A, pair.a), (Side.B, pair.b)):
        reading = readings[side]
        dark = [part.sentence for part in (reading.ssh, reading.ceph, reading.cloud) if part.ok is False]
        if dark:
            sentences.append(f"{site.name}: {dark[0]} What was known of it is kept.")
        else:
            images = sum(len(found.image_names) for found in reading.pools.values())
            vms = len(reading.everything.vms) if reading.everything else 0
            sentences.append(f"{site.name}: {images} images, {vms} VMs.")
    return " ".join(sentences)
