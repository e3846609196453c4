"""Asks the surviving site's host what it sees of the silent one, beside what the portal sees itself now."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from drportal.drivers.base import CephSite
from drportal.drivers.errors import DriverError, Refused, Unreachable
from drportal.drivers.vantage import Address, Echo, Seen
from drportal.engine.vantage import View, vantage
from drportal.inventory.models import Site

LOOK_S = 25.0
_WORDS = {
    Echo.GREETS: "answers",
    Echo.ACCEPTS: "accepts a connection and says nothing",
    Echo.REFUSES: "refuses: the host is there, and nobody listens",
    Echo.SILENT: "is silent",
    Echo.NO_WAY: "cannot be reached from there",
}


def addresses(site: Site) -> dict[str, Address]:
    """What is known to listen at a site, by its name for people."""
    url = urlsplit(site.opennebula_url)
    found = {"SSH host": Address(site.ssh_host, site.ssh_port)}
    if url.hostname:
        found["OpenNebula"] = Address(url.hostname, url.port or (443 if url.scheme == "https" else 80))
    return found


async def look(source: Site, at_source: CephSite, target: Site, at_target: CephSite) -> dict[str, Any]:
    """JSON values: {standing, sentence, alive, asked, views: [{what, address, alive, listens, sentence}]}; part of the
    evidence. Never raises for a site that does not answer."""
    asked = addresses(source)
    reached, (views, trouble) = await asyncio.gather(_portal_reaches(at_source), _views(at_target, asked))
    found = vantage(source.name, target.name, reached, views)
    return {
        "standing": found.standing.value,
        "sentence": found.sentence,
        "alive": found.is_alive,
        "asked": target.slug,
        "trouble": trouble,
        "views": [
            {
                "what": view.what,
                "address": view.address,
                "alive": view.alive,
                "listens": view.listens,
                "sentence": view.sentence,
            }
            for view in views or ()
        ],
    }


async def _portal_reaches(ceph: CephSite) -> bool | None:
    """Whether the site's host answers the portal now. None: somebody answered, but not surely that host."""
    try:
        async with asyncio.timeout(LOOK_S):
            await ceph.version()
    except Refused:
        return True
    except (Unreachable, TimeoutError):
        return False
    except DriverError:
        return None
    return True


async def _views(ceph: CephSite, asked: dict[str, Address]) -> tuple[tuple[View, ...] | None, str]:
    """None and why, where the other site cannot be asked."""
    try:
        async with asyncio.timeout(LOOK_S):
            seen, _ = await ceph.look_at(list(asked.values()))
    except DriverError as error:
        return None, error.detail
    except TimeoutError:
        return None, f"No answer in {LOOK_S:.0f} s."
    return tuple(_view(what, one) for what, one in zip(asked, seen, strict=True)), ""


def _view(what: str, seen: Seen) -> View:
    alive = seen.echo is Echo.GREETS
    listens = alive or seen.echo is Echo.ACCEPTS
    quoted = f" ({seen.text})" if seen.text and not listens else ""
    return View(what, str(seen.address), alive, listens, f"{_WORDS[seen.echo]}{quoted}")
