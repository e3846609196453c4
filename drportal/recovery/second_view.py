"""Asks the surviving site's host what it sees of the silent one, beside what the portal sees itself now."""

from __future__ import annotations

import asyncio
from typing import Any

from drportal.drivers.base import CephSite
from drportal.drivers.errors import DriverError, Refused, Unreachable
from drportal.drivers.vantage import Echo, Seen
from drportal.engine.vantage import View, vantage
from drportal.inventory.models import Site
from drportal.inventory.sights import LOOK_S, Looked, addresses, look_from, look_from_here, sentence


async def look(source: Site, at_source: CephSite, target: Site, at_target: CephSite) -> tuple[dict[str, Any], Any]:
    """JSON values: {standing, sentence, alive, asked, views: [{what, address, alive, listens, sentence}]}; part of the
    evidence. And both looks, for the rows. Never raises for a site that does not answer."""
    asked = addresses(source)
    reached, from_here, from_there = await asyncio.gather(
        _portal_reaches(at_source),
        look_from_here(source.pk, asked),
        look_from(at_target, target.slug, source.pk, asked),
    )
    views, own = _views(from_there), _views(from_here)
    found = vantage(source.name, target.name, reached, views, own or ())
    told = {
        "standing": found.standing.value,
        "sentence": found.sentence,
        "alive": found.is_alive,
        "asked": target.slug,
        "trouble": from_there.trouble,
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
    return told, (from_here, from_there)


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


def _views(looked: Looked) -> tuple[View, ...] | None:
    if looked.seen is None:
        return None
    return tuple(_view(what, one) for what, one in zip(looked.asked, looked.seen, strict=True))


def _view(what: str, seen: Seen) -> View:
    alive = seen.echo is Echo.GREETS
    return View(what, str(seen.address), alive, alive or seen.echo is Echo.ACCEPTS, sentence(seen))
