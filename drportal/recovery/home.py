"""What stands for a VM at home before a failback, as facts; and what a VM that is gone there is made anew on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import CloudReading
from drportal.drivers.opennebula_templates import networks_of
from drportal.engine.facts import WatcherFacts
from drportal.engine.home_gates import HostFacts, lost_sight_of
from drportal.recovery.plan_copy import VmCopy
from drportal.recovery.world import Located, SiteEnd, ref_of


async def proof_of(
    end: SiteEnd, vm: VmCopy, located: Located
) -> tuple[HostFacts | None, tuple[WatcherFacts, ...] | None, tuple[Answer, ...]]:
    """The host of a VM that OpenNebula has lost sight of, and who has its images open there. Of any other VM nothing is
    read: its state says it."""
    if located.vm is None or not lost_sight_of(located.facts):
        return None, None, ()
    reading, seen = await asyncio.gather(
        end.everything(0.0), asyncio.gather(*(end.watchers(ref_of(image)) for image in vm.images))
    )
    name, asked = located.vm.host or "", reading.answers[5]
    word = next((host.state_word for host in reading.hosts if host.name == name), "")
    answers = (asked, *(answer for _, answer in seen))
    return HostFacts(name, word, asked.started_at), tuple(watchers for watchers, _ in seen), answers


def networks_at_home(vm_xml: str, there: Iterable[tuple[int, str]]) -> tuple[dict[int | str, int], tuple[str, ...]]:
    """Network of the captured definition -> number at home, and the names of those that are not there any more.
    ``there``: number and name of each that is.

    By its number; where that is gone, by its name if exactly one has it: a network that was made again has another
    number. Raises TemplateError.
    """
    numbers, by_name = set(), defaultdict[str, list[int]](list)
    for number, name in there:
        numbers.add(number)
        by_name[name].append(number)
    found: dict[int | str, int] = {}
    missing: list[str] = []
    for number, name in networks_of(vm_xml):
        namesakes = by_name[name]
        if number in numbers:
            found[number] = number
        elif len(namesakes) == 1:
            found[number] = namesakes[0]
        else:
            missing.append(f"{name or 'without a name'} ({number})")
    return found, tuple(dict.fromkeys(missing))


def named(reading: CloudReading) -> list[tuple[int, str]]:
    return [(network.network_id, network.name) for network in reading.networks]
