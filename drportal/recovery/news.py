"""What moves at the sites while steps wait: all waiting images are read together, and whose image moved looks again.

A hint and nothing more: the step that is woken reads for itself. Only where a site answers for many images in one
exchange; with a process for each read, looking often would cost more than waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from drportal.drivers.base import CephSite, ImageRef
from drportal.drivers.errors import DriverError
from drportal.drivers.observation import ImageObservation, Part
from drportal.engine.facts import Mode

logger = logging.getLogger(__name__)
# What decides whether a waiting gate is met. Not the roles: they change by our own acts, and cost three times as much.
PART_OF = {Mode.JOURNAL: Part.JOURNAL, Mode.SNAPSHOT: Part.SNAPSHOTS}
# Looking takes no more than this share of the time: on a busy machine the acts come first.
SHARE = 0.2


class News:
    """``listen(ref, mode)`` while a step waits; ``run()`` beside the steps until cancelled."""

    def __init__(self, sites: tuple[CephSite, ...], every_s: float) -> None:
        self._sites, self._every_s = sites, every_s
        self._listening: dict[ImageRef, list[asyncio.Event]] = defaultdict(list)
        self._modes: dict[ImageRef, Mode] = {}
        self._said: dict[tuple[int, ImageRef], str] = {}
        self._some = asyncio.Event()

    @contextmanager
    def listen(self, ref: ImageRef, mode: Mode) -> Iterator[asyncio.Event]:
        """The event is set once the image is not what it was when the listening began (or a little before)."""
        event = asyncio.Event()
        self._modes[ref] = mode
        self._listening[ref].append(event)
        self._some.set()
        try:
            yield event
        finally:
            self._listening[ref].remove(event)
            if not self._listening[ref]:
                del self._listening[ref]

    def seen(self, site: CephSite, image: ImageObservation) -> None:
        """What a step has seen of an image: from now on news is what is not the same. Without it, what moves between a
        step's look and our first one would be no news to us, and the step would wait until its next look is due."""
        if image.journal is not None or image.snapshots is not None:
            self._said[self._sites.index(site), image.ref] = _said(image)

    async def run(self) -> None:
        """Each site at its own pace: one that hangs keeps no news of the other."""
        await asyncio.gather(*(self._follow(number, site) for number, site in enumerate(self._sites)))

    async def _follow(self, number: int, site: CephSite) -> None:
        while True:
            await self._some.wait()
            if not self._listening:
                self._some.clear()
                continue
            began = time.monotonic()
            await self._look(number, site)
            took_s = time.monotonic() - began
            await asyncio.sleep(max(self._every_s, took_s / SHARE - took_s))

    async def _look(self, number: int, site: CephSite) -> None:
        pools = defaultdict(list)
        for ref in self._listening:
            pools[ref.pool, self._modes[ref]].append(ref.name)
        for (pool, mode), names in pools.items():
            try:
                seen = await site.observe(pool, (PART_OF[mode],), names)
            except DriverError as error:
                logger.info("no news of %s: %s", pool, error)
                continue
            for image in seen.images.values():
                self._compare(number, image)

    def _compare(self, number: int, image: ImageObservation) -> None:
        said = _said(image)
        before = self._said.get((number, image.ref))
        self._said[number, image.ref] = said
        if before is not None and before != said:
            for event in self._listening.get(image.ref, ()):
                event.set()


def _said(image: ImageObservation) -> str:
    """What decides gates: positions, and the newest mirror snapshot that is whole. (One that is being copied says
    something else at every look, and no step can go on before it has come to its end.)"""
    positions = image.journal.clients if image.journal else ()
    snapshots = image.snapshots.mirror_snapshots if image.snapshots else ()
    whole = [snapshot for snapshot in snapshots if snapshot.complete]
    return repr((image.absent, positions, whole[-1:]))
