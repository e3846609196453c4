"""What a look says of the site itself:

reachable or not and since when, its pools, and the raw answers that are kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import asdict

from drportal.drivers.base import Answer
from drportal.inventory.models import Observation, Pool, Site
from drportal.inventory.reading import Heard, SiteReading

KEEP_BULK = 200  # a site, of the answers that speak of a whole pool or front end
KEEP_OF_IMAGE = 4  # a site and image
OUTPUT_LIMIT = 256 * 1024
CLOUD_EVERY_S = 60.0  # OpenNebula's answers carry monitoring figures, so they are new each time
LARGE = 64 * 1024  # so is the status of a large pool, twice a minute
LARGE_EVERY_S = 600.0


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
        fields = {
            "mode": found.mode[:20],
            "peers": [asdict(peer) for peer in found.peers],
            "daemons": [asdict(daemon) for daemon in found.daemons],
            "health": found.health[:20],
            "daemon_health": found.daemon_health[:20],
        }
        row, made = Pool.objects.get_or_create(site=site, name=name, defaults=fields)
        changed |= made or any(getattr(row, field) != value for field, value in fields.items())
        Pool.objects.filter(pk=row.pk).update(read_at=reading.asked_at, **fields)
    return changed


class Keeper:
    """Keeps raw answers whose content is news. One per process: it remembers what it kept last."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, str], tuple[str, dt.datetime]] = {}

    def keep(self, site: Site, answers: Iterable[tuple[str, Answer]]) -> int:
        """Write what is new, and drop the oldest beyond what is kept. How many were written."""
        new = [
            Observation(
                site=site,
                subject=subject[:300],
                command=answer.command,
                at=answer.started_at,
                duration_s=answer.duration_s,
                exit_status=answer.exit_status,
                sha256=digest,
                output=shortened(answer.stdout or answer.stderr),
            )
            for subject, answer, digest in self._news(site, answers)
        ]
        Observation.objects.bulk_create(new)
        self._thin(site, {row.subject for row in new})
        return len(new)

    def _news(self, site: Site, answers: Iterable[tuple[str, Answer]]) -> Iterable[tuple[str, Answer, str]]:
        for subject, answer in answers:
            digest = hashlib.sha256((answer.stdout or answer.stderr).encode("utf-8", "replace")).hexdigest()
            last = self._last.get((site.pk, answer.command)) or self._stored(site, answer.command)
            if last and last[0] == digest:
                continue
            every_s = LARGE_EVERY_S if len(answer.stdout) > LARGE else CLOUD_EVERY_S if subject == "opennebula" else 0.0
            if last and (answer.started_at - last[1]).total_seconds() < every_s:
                continue
            self._last[(site.pk, answer.command)] = (digest, answer.started_at)
            yield subject, answer, digest

    @staticmethod
    def _stored(site: Site, command: str) -> tuple[str, dt.datetime] | None:
        newest = Observation.objects.filter(site=site, command=command).order_by("-at").first()
        return (newest.sha256, newest.at) if newest else None

    @staticmethod
    def _thin(site: Site, subjects: set[str]) -> None:
        bulk = Observation.objects.filter(site=site).exclude(subject__contains="/")
        rows = [(bulk, KEEP_BULK)] if any("/" not in subject for subject in subjects) else []
        rows += [
            (Observation.objects.filter(site=site, subject=subject), KEEP_OF_IMAGE)
            for subject in subjects
            if "/" in subject
        ]
        for kept, number in rows:
            old = list(kept.order_by("-at", "-pk").values_list("pk", flat=True)[number:])
            if old:
                Observation.objects.filter(pk__in=old).delete()


def shortened(text: str) -> str:
    """Long outputs are cut, and say so; NUL, which PostgreSQL can't keep, is made visible."""
    clean = text.replace("\x00", "\ufffd")
    return clean if len(clean) <= OUTPUT_LIMIT else clean[:OUTPUT_LIMIT] + f"\n[cut: {len(clean)} characters in all]"
