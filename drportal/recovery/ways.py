"""Whether a site answers now, way by way, asked while evidence is collected: what the poller knew may be old."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Sequence
from typing import Any

from drportal.drivers.base import CephSite
from drportal.drivers.base_cloud import CloudSite
from drportal.drivers.errors import DriverError, Refused, Unreachable
from drportal.inventory.models import Site
from drportal.inventory.sights import LOOK_S

Answered = dict[str, tuple[bool | None, str]]


async def look(ceph: CephSite, cloud: CloudSite) -> Answered:
    """Way -> (whether it answers, why not). Ceph itself is asked about each image. Never raises for a silent site."""
    ssh, opennebula = await asyncio.gather(_answers(ceph.version()), _answers(cloud.version()))
    return {"ssh": ssh, "opennebula": opennebula}


def told(source: Site, answered: Answered, by_image: Sequence[bool], now: dt.datetime) -> dict[str, list[Any]]:
    """JSON values: way -> [whether it answers, since when, a sentence, when it was asked]. Since when is the poller's
    to say, as long as it saw the same; else it is so since now."""
    seen = {**answered, "ceph": (any(by_image), "" if any(by_image) else "No image of the group could be read there.")}
    kept = {
        "ssh": (source.ssh_reachable, source.ssh_since, source.ssh_sentence),
        "ceph": (source.ceph_reachable, source.ceph_since, source.ceph_sentence),
        "opennebula": (source.opennebula_reachable, source.opennebula_since, source.opennebula_sentence),
    }
    found: dict[str, list[Any]] = {}
    for way, (before, since, sentence) in kept.items():
        ok, why = seen[way]
        if way == "ceph" and ok is False and before is None and found["ssh"][0] is False:
            before, since, sentence = False, source.ssh_since, why  # the poller can't tell it from its silent host
        if ok is before and since is not None:
            found[way] = [ok, since.isoformat(), sentence, now.isoformat()]
        else:
            found[way] = [ok, now.isoformat(), why, now.isoformat()]
    return found


async def _answers(asked: Awaitable[Any]) -> tuple[bool | None, str]:
    """None: somebody answered, but not surely that site."""
    try:
        async with asyncio.timeout(LOOK_S):
            await asked
    except Refused:
        return True, ""
    except Unreachable as error:
        return False, error.detail
    except TimeoutError:
        return False, f"No answer in {LOOK_S:.0f} s."
    except DriverError as error:
        return None, error.detail
    return True, ""
