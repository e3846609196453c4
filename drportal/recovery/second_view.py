"""Asks the surviving site's host and the witnesses what they see of the silent site, beside what the portal sees itself
now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from drportal.drivers.base import CephSite
from drportal.drivers.errors import DriverError, Refused, Unreachable
from drportal.drivers.vantage import Address, Echo, Seen
from drportal.engine.vantage import View, WitnessView, vantage
from drportal.inventory.models import Site
from drportal.inventory.sights import LOOK_S, Eyes, Looked, addresses, look_from, look_from_here, sentence
from drportal.inventory.witnesses import PREFIX, Posts


async def look(
    source: Site, at_source: CephSite, target: Site, at_target: CephSite, posts: Posts
) -> tuple[dict[str, Any], Sequence[Looked]]:
    """JSON values: {standing, contact, sentence, alive, asked, views: [{what, address, alive, listens, sentence}],
    witnesses: [{name, trouble, views}]}; part of the evidence. And all looks, for the rows. Never raises for a host
    that does not answer."""
    asked = addresses(source)
    reached, (from_here, from_there, *others) = await asyncio.gather(
        _portal_reaches(at_source),
        asyncio.gather(
            look_from_here(source.pk, asked),
            look_from(at_target, target.slug, source.pk, asked),
            *(_from_witness(eyes, name, source.pk, asked) for name, eyes in posts.eyes.items()),
        ),
    )
    views, own = _views(from_there), _views(from_here)
    witnesses = [WitnessView(one.viewpoint.removeprefix(PREFIX), _views(one), one.trouble) for one in others]
    found = vantage(source.name, target.name, reached, views, own or (), witnesses)
    told = {
        "standing": found.standing.value,
        "contact": found.contact.value,
        "sentence": found.sentence,
        "alive": found.is_alive,
        "asked": target.slug,
        "trouble": from_there.trouble,
        "views": _told(views),
        "witnesses": [{"name": one.name, "trouble": one.trouble, "views": _told(one.views)} for one in witnesses],
    }
    return told, (from_here, from_there, *others)


async def _from_witness(eyes: Eyes | None, viewpoint: str, site_id: int, asked: dict[str, Address]) -> Looked:
    if eyes is None:
        return Looked(site_id, viewpoint, timezone.now(), asked, None, "its key cannot be opened")
    return await look_from(eyes, viewpoint, site_id, asked)


def _told(views: Sequence[View] | None) -> list[dict[str, Any]]:
    return [asdict(view) for view in views or ()]


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
