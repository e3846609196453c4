"""Who sees what of a site: the portal, the other site's host and witnesses, each looking at every address that is known
of it.

Rows keep since when it is so. One place that gets no answer is a place that gets no answer; it is no dead site.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from drportal.drivers.errors import DriverError
from drportal.drivers.vantage import Address, Echo, Seen
from drportal.events import publish
from drportal.inventory.models import Sight, Site
from drportal.site_program.reach import reach

logger = logging.getLogger(__name__)

HERE = "portal"
LOOK_S = 25.0
EVERY_S = 10.0
MOST_FURTHER = 6  # what one request of the site program takes, less the two that every site has
ECHO_WORDS = {
    Echo.GREETS: "answers",
    Echo.ACCEPTS: "accepts a connection and says nothing",
    Echo.REFUSES: "refuses: the host is there, and nobody listens",
    Echo.SILENT: "is silent",
    Echo.NO_WAY: "cannot be reached from there",
}


class Eyes(Protocol):
    """A host elsewhere that can be asked what it sees."""

    async def look_at(self, addresses: Sequence[Address]) -> tuple[tuple[Seen, ...], object]: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """What one viewpoint saw of a site: each address by its name for people. ``seen`` None: it could not be asked, and
    ``trouble`` says why."""

    site_id: int
    viewpoint: str
    at: dt.datetime
    asked: dict[str, Address]
    seen: tuple[Seen, ...] | None
    trouble: str = ""


def addresses(site: Site) -> dict[str, Address]:
    """What is known to listen at a site, by its name for people: its SSH host, OpenNebula, and what administrators
    named besides (monitors, other hosts)."""
    url = urlsplit(site.opennebula_url)
    found = {"SSH host": Address(site.ssh_host, site.ssh_port)}
    if url.hostname:
        found["OpenNebula"] = Address(url.hostname, url.port or (443 if url.scheme == "https" else 80))
    further = {one["what"]: Address(one["host"], one["port"]) for one in site.looked_for[:MOST_FURTHER]}
    return {**further, **found}


async def look_from_here(site_id: int, asked: dict[str, Address]) -> Looked:
    """As the portal's own host sees it: TCP connections, nothing is sent. At most some 4 s, but for a name that is
    looked up."""
    targets = [{"host": address.host, "port": address.port} for address in asked.values()]
    at = timezone.now()
    try:
        async with asyncio.timeout(LOOK_S):
            told = await asyncio.to_thread(reach, targets)
    except TimeoutError:
        return Looked(site_id, HERE, at, asked, None, f"No answer in {LOOK_S:.0f} s.")
    seen = (Seen(address, Echo(one["answer"]), one["text"]) for address, one in zip(asked.values(), told, strict=True))
    return Looked(site_id, HERE, at, asked, tuple(seen))


async def look_from(eyes: Eyes, viewpoint: str, site_id: int, asked: dict[str, Address]) -> Looked:
    """As the other site's host, or a witness, sees it."""
    at = timezone.now()
    try:
        async with asyncio.timeout(LOOK_S):
            seen, _ = await eyes.look_at(list(asked.values()))
    except DriverError as error:
        return Looked(site_id, viewpoint, at, asked, None, error.detail)
    except TimeoutError:
        return Looked(site_id, viewpoint, at, asked, None, f"No answer in {LOOK_S:.0f} s.")
    return Looked(site_id, viewpoint, at, asked, seen)


def sentence(one: Seen) -> str:
    listens = one.echo in (Echo.GREETS, Echo.ACCEPTS)
    return f"{ECHO_WORDS[one.echo]}{f' ({one.text})' if one.text and not listens else ''}"


def write(looked: Iterable[Looked]) -> bool:
    """Into rows; ``since`` moves only where the answer is another. True when one is."""
    changed = False
    with transaction.atomic():
        for look in looked:
            changed |= _write_one(look)
        if changed:
            publish("sites")
    return changed


def _write_one(look: Looked) -> bool:
    mine = Sight.objects.filter(site_id=look.site_id, viewpoint=look.viewpoint)
    mine.exclude(what__in=look.asked).delete()
    before = {row.what: row for row in mine}
    changed = False
    for number, (what, address) in enumerate(look.asked.items()):
        one = look.seen[number] if look.seen is not None else None
        echo, said = (one.echo.value, sentence(one)) if one is not None else ("", f"could not be asked: {look.trouble}")
        row = before.get(what)
        if row is not None and (row.address, row.echo) == (str(address), echo):
            continue
        changed = True
        fields = {"address": str(address), "echo": echo, "sentence": said, "since": look.at, "seen_at": look.at}
        Sight.objects.update_or_create(site_id=look.site_id, viewpoint=look.viewpoint, what=what, defaults=fields)
    mine.update(seen_at=look.at)
    return changed


def sights_of(site: Site) -> list[dict[str, Any]]:
    """JSON values, for evidence and pages: who sees what since when."""
    rows = Sight.objects.filter(site=site).order_by("viewpoint", "what")
    return [
        {
            "viewpoint": row.viewpoint,
            "what": row.what,
            "address": row.address,
            "echo": row.echo,
            "sentence": row.sentence,
            "since": row.since.isoformat(),
            "seen_at": row.seen_at.isoformat(),
        }
        for row in rows
    ]


class Lookout:
    """Looks at one site from the portal and from other hosts, again and again, beside the poller's reading.

    ``eyes``: how each viewpoint is asked, as long as there is a connection to it.
    """

    def __init__(self, site: Site, eyes: Mapping[str, Callable[[], Eyes | None]]) -> None:
        self.site = site
        self.eyes = eyes
        self._latest: Sequence[Looked] = ()

    async def run(self) -> None:
        """Until cancelled. A fault of our own is logged and does not end the watch."""
        while True:
            try:
                self._latest = await self.look()
            except Exception:
                logger.exception("looking for %s failed", self.site.slug)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> Sequence[Looked]:
        asked = addresses(self.site)
        there = {viewpoint: find() for viewpoint, find in self.eyes.items()}
        return await asyncio.gather(
            look_from_here(self.site.pk, asked), *(self._from(eyes, name, asked) for name, eyes in there.items())
        )

    async def _from(self, eyes: Eyes | None, viewpoint: str, asked: dict[str, Address]) -> Looked:
        if eyes is None:
            return Looked(self.site.pk, viewpoint, timezone.now(), asked, None, "there is no connection to it")
        return await look_from(eyes, viewpoint, self.site.pk, asked)

    def taken(self) -> Sequence[Looked]:
        """The newest look that nobody has written down yet."""
        latest, self._latest = self._latest, ()
        return latest
