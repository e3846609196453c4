"""What a look says of the site itself: reachable or not and since when, and its pools."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from drportal.inventory.changes import note, pool_came_or_went, pool_changes, told, version_change
from drportal.inventory.models import Pool, Site
from drportal.inventory.reading import Heard, SiteReading


def write_reach(site: Site, reading: SiteReading, now: dt.datetime) -> bool:
    """Note which parts of the site answer. True when one of them came or went (or says something else)."""
    fields: dict[str, object] = {}
    for part, heard in (("ssh", reading.ssh), ("ceph", reading.ceph), ("opennebula", reading.cloud)):
        fields |= _reach_fields(site, part, heard, reading.asked_at)
    changed = bool(fields)
    if reading.ssh.ok or reading.cloud.ok:
        fields["last_heard"] = reading.asked_at
    skews = [pool.site_clock_skew_s for pool in reading.pools.values() if pool.site_clock_skew_s is not None]
    if skews and (site.clock_skew_s is None or abs(skews[0] - site.clock_skew_s) >= 1.0):
        fields["clock_skew_s"] = round(skews[0], 1)
    if reading.ceph_version and reading.ceph_version != site.ceph_version:
        fields["ceph_version"] = reading.ceph_version[:60]
    if reading.everything and reading.everything.version != site.opennebula_version:
        fields["opennebula_version"] = reading.everything.version[:60]
    versions = (("Ceph", "ceph_version"), ("OpenNebula", "opennebula_version"))
    news = [
        version_change(site.name, program, getattr(site, name), str(fields[name]))
        for program, name in versions
        if name in fields
    ]
    note(site, told(news), now)
    if fields:
        Site.objects.filter(pk=site.pk).update(**fields)
        for name, value in fields.items():
            setattr(site, name, value)
    return changed


def _reach_fields(site: Site, part: str, heard: Heard, at: dt.datetime) -> dict[str, object]:
    fields: dict[str, object] = {}
    if getattr(site, f"{part}_reachable") != heard.ok or getattr(site, f"{part}_since") is None:
        fields |= {f"{part}_reachable": heard.ok, f"{part}_since": at}
    if fields or (getattr(site, f"{part}_sentence") == "") != (heard.sentence == ""):
        fields[f"{part}_sentence"] = heard.sentence
    return fields


def write_pools(site: Site, reading: SiteReading) -> bool:
    """Bring the pool rows up to date. True when something other than the time is new."""
    changed = False
    for name, found in reading.pools.items():
        fields: dict[str, Any] = {
            "mode": found.mode[:20],
            "peers": [asdict(peer) for peer in found.peers],
            "daemons": [asdict(daemon) for daemon in found.daemons],
            "health": found.health[:20],
            "daemon_health": found.daemon_health[:20],
            "gone_at": None,
        }
        row, made = Pool.objects.get_or_create(site=site, name=name, defaults=fields)
        if not made:
            before = {"mode": row.mode, "peers": row.peers, "daemons": row.daemons}
            back = [pool_came_or_went(name, site.name, there=True)] if row.gone_at is not None else []
            note(site, [*back, *pool_changes(name, site.name, before, fields)], reading.asked_at)
        changed |= made or any(getattr(row, field) != value for field, value in fields.items())
        Pool.objects.filter(pk=row.pk).update(read_at=reading.asked_at, **fields)
    return changed | _bury_pools(site, reading)


def _bury_pools(site: Site, reading: SiteReading) -> bool:
    """A pool that was there and is not any more keeps its row, as a tombstone."""
    rows = list(Pool.objects.filter(site=site, name__in=reading.no_such_pools, gone_at=None))
    note(site, [pool_came_or_went(row.name, site.name, there=False) for row in rows], reading.asked_at)
    Pool.objects.filter(pk__in=[row.pk for row in rows]).update(gone_at=reading.asked_at)
    return bool(rows)
