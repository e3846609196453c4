"""From two readings to image rows and their verdicts. Only rows that changed are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import replace

from django.db.models import Q

from drportal.drivers.base import ImageRef
from drportal.drivers.names import RULE
from drportal.engine.facts import Side, SideFacts
from drportal.engine.recopy import percents_seen
from drportal.engine.verdicts import Verdict, VerdictCode, VerdictPolicy, verdict
from drportal.inventory.facts import (
    absent_role,
    daemon_healthy,
    peer_direction,
    read_time,
    status_facts,
)
from drportal.inventory.models import MirroredImage, SitePair, VmDisk
from drportal.inventory.reading import SiteReading

# In a large pool each image's role is read once a minute (polling.py); a status is read in every round.
POLICY = VerdictPolicy(max_age_s=75.0)
SET_BACK_S = 5.0
Readings = Mapping[Side, SiteReading]


def contested() -> Q:
    """Images that are primary at both sites, or were when both were last seen (``two_primaries_since``)."""
    return Q(verdict=VerdictCode.TWO_PRIMARIES.value) | Q(two_primaries_since__isnull=False)


def home_sides(pair: SitePair) -> dict[int, Side]:
    """Image id -> the side where its group is at home, for images of grouped VMs."""
    grouped = MirroredImage.objects.filter(pair=pair, disks__vm__membership__isnull=False)
    homes = grouped.values_list("pk", "disks__vm__membership__group__home_site_id")
    return {image_id: Side.A if site_id == pair.a_id else Side.B for image_id, site_id in homes}


def used_images(pair: SitePair) -> set[int]:
    """Ids of images that are disks of VMs that are there. Clones and volatile disks end with their VM: mirroring them
    is no remedy, and the VM's own gap has one."""
    disks = VmDisk.objects.filter(image__pair=pair, vm__gone_at=None, kind="persistent")
    return set(disks.values_list("image_id", flat=True))


def clock_skews(pair: SitePair, readings: Readings) -> dict[Side, float | None]:
    """How far each site's clock is ahead, from this look or else as last read."""
    skews: dict[Side, float | None] = {Side.A: pair.a.clock_skew_s, Side.B: pair.b.clock_skew_s}
    for side, reading in readings.items():
        found = [pool.site_clock_skew_s for pool in reading.pools.values() if pool.site_clock_skew_s is not None]
        skews[side] = min(found) if found else skews[side]
    return skews


def judge(
    sides: Mapping[Side, SideFacts],
    pair: SitePair,
    home: Side | None,
    now: dt.datetime,
    policy: VerdictPolicy,
    *,
    usable_name: bool = True,
) -> Verdict:
    """The engine's verdict. An image of no group is at home wherever it is primary."""
    if not usable_name:
        sentence = f"Cannot tell: the portal does not use this name in a command. It allows {RULE}."
        return Verdict(VerdictCode.CANNOT_TELL, None, sentence, (), ("another name",))
    if home is None:
        b = sides[Side.B].role
        home = Side.B if b is not None and b.primary else Side.A
    return verdict(sides[Side.A], sides[Side.B], policy, now, home=home, names=(pair.a.name, pair.b.name))


def never_younger(before: SideFacts, after: SideFacts) -> SideFacts:
    """A status that has not been written again grows old by our clock, whatever the site's own shows. (The last hour of
    summer time comes twice; what a dead daemon wrote in the first would be fresh in the second.)"""
    old, new = before.status, after.status
    if old is None or new is None or old.age_s is None or new.age_s is None or not new.last_update:
        return after
    if (old.last_update, old.state, old.description) != (new.last_update, new.state, new.description):
        return after
    least = old.age_s + (new.read_at - old.read_at).total_seconds()
    if new.age_s >= least - SET_BACK_S:  # clocks are read in whole seconds, and go a little apart
        return after
    return replace(after, status=replace(new, age_s=least))


def updated_side(
    kept: SideFacts,
    pool: str,
    name: str,
    ref: ImageRef | None,
    reading: SiteReading,
    now: dt.datetime,
    *,
    names: Collection[str] | None = None,
) -> SideFacts:
    """One side's facts after a look at it. ``names``: the pool's images, where the caller has them as a set."""
    found = reading.pools.get(pool)
    if found is None:
        dark = reading.ssh.ok is False or reading.ceph.ok is False
        if not dark:
            return kept
        since = kept.unreachable_since if kept.reachable is False else reading.asked_at
        return replace(kept, reachable=False, unreachable_since=since)
    names = found.image_names if names is None else names
    read_at = read_time(found)
    status = found.status(name)
    said = status_facts(status, read_at) if status else None
    role = reading.role(ref) if ref else None
    if role is None:
        role = kept.role if name in names and kept.role and kept.role.exists else None
    if role is None and name not in names:
        role = absent_role(read_at)
    return SideFacts(
        reachable=True,
        role=role,
        status=said,
        journal=(reading.journals.get(ref) if ref else None) or kept.journal,
        snapshots=(reading.snapshots.get(ref) if ref else None) or kept.snapshots,
        daemon_healthy=daemon_healthy(found),
        peer_direction=peer_direction(found),
        last_heard=max(read_at, kept.last_heard) if kept.last_heard else read_at,
        unreachable_since=None,
        copying=percents_seen(kept.copying, said),
    )
