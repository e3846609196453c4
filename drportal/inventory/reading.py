"""One look at one site: everything that discovery and polling want, read at the same time, with what went wrong in
words.

Reads only. Never raises for a site that is dark or talks nonsense: that is a result too.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    MirrorClients,
    MirrorMode,
    PoolReading,
    SnapshotSchedules,
)
from drportal.drivers.base_cloud import CloudReading
from drportal.drivers.errors import DriverError, IdentityChanged, Reason, Refused, Unreachable
from drportal.drivers.names import is_good_name
from drportal.drivers.observation import Part, PoolObservation
from drportal.drivers.refusals import Refusals
from drportal.drivers.site_program import SiteProgram
from drportal.engine.facts import JournalFacts, RoleFacts, SnapshotFacts, WatcherFacts
from drportal.inventory.connect import SiteDrivers
from drportal.inventory.facts import absent_role, journal_facts, role_facts, snapshot_facts, watcher_facts

Wanted = Callable[[Mapping[str, PoolReading]], Iterable[ImageRef]]


def none_of_them(pools: Mapping[str, PoolReading]) -> Iterable[ImageRef]:
    return ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Whether a part of a site answered. ``ok`` None: not asked, because what leads there is dark."""

    ok: bool | None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class SchedulesHeard:
    """Of one pool. ``found`` None: they could not be read, and ``trouble`` says why."""

    asked_at: dt.datetime
    found: SnapshotSchedules | None
    trouble: str = ""


@dataclass(slots=True)
class SiteReading:
    """What one look brought. A pool, role or position that is not in here was not read; nothing follows from that."""

    asked_at: dt.datetime
    ssh: Heard = Heard(None)
    ceph: Heard = Heard(None)
    cloud: Heard = Heard(None)
    pools: dict[str, PoolReading] = field(default_factory=dict)
    no_such_pools: set[str] = field(default_factory=set)  # of those asked for: the site says that they are not there
    roles: dict[ImageRef, RoleFacts] = field(default_factory=dict)  # beyond those that ``infos`` tell
    infos: dict[ImageRef, ImageInfo] = field(default_factory=dict)
    infos_at: dict[str, dt.datetime] = field(default_factory=dict)  # pool -> when all its infos were read (again)
    journals: dict[ImageRef, JournalFacts] = field(default_factory=dict)
    snapshots: dict[ImageRef, SnapshotFacts] = field(default_factory=dict)
    watchers: dict[ImageRef, WatcherFacts] = field(default_factory=dict)
    schedules: dict[str, SchedulesHeard] = field(default_factory=dict)  # asked beside the look, now and then
    ceph_version: str = ""
    hello: dict[str, Any] | None = None  # what the site program said of itself, where it is one that answers
    refusals: Refusals | None = None  # what the site has refused since it was asked last; None: not asked, or not told
    everything: CloudReading | None = None
    answers: list[tuple[str, Answer]] = field(default_factory=list)  # (subject, raw answer), for Observations

    def role(self, ref: ImageRef) -> RoleFacts | None:
        """As read in this look; None: it was not."""
        info = self.infos.get(ref)
        return role_facts(info, self.infos_at.get(ref.pool)) if info is not None else self.roles.get(ref)


class SiteReader:
    """Looks at one site through its drivers."""

    def __init__(self, drivers: SiteDrivers) -> None:
        self.drivers = drivers

    async def look(
        self,
        pools: Iterable[str],
        wanted: Wanted,
        *,
        deadline_s: float = 20.0,
        with_cloud: bool = True,
        held_open: Collection[str] = (),
        proofs: Wanted = none_of_them,
    ) -> SiteReading:
        """``wanted`` chooses, from the pools just read, the images whose role is read exactly. Of those that are in
        ``held_open`` (``pool/name``) it is read too who has them open. ``proofs`` is asked next, and chooses those of
        them whose position is read though they are primary, where that is a process for each; the site program tells it
        of all.

        Ends within ``deadline_s``. ``with_cloud`` false: OpenNebula is left in peace this time.
        """
        reading = SiteReading(asked_at=dt.datetime.now(dt.UTC))
        parts = [asyncio.create_task(self._storage(reading, list(pools), wanted, held_open, proofs))]
        if with_cloud:
            parts.append(asyncio.create_task(self._cloud(reading)))
        try:
            _, late = await asyncio.wait(parts, timeout=deadline_s)
        finally:
            for part in parts:
                part.cancel()
        for part in parts:
            if part not in late:
                part.result()
        if parts[0] in late and reading.ceph.ok is None:
            reading.ceph = Heard(False, f"Ceph did not answer within {deadline_s:.0f} s.")
        if with_cloud and parts[1] in late:
            reading.cloud = Heard(False, f"OpenNebula did not answer within {deadline_s:.0f} s.")
        return reading

    # --- Ceph

    async def _storage(
        self, reading: SiteReading, pools: list[str], wanted: Wanted, held_open: Collection[str], proofs: Wanted
    ) -> None:
        try:
            reading.ceph_version, said = await self.drivers.ceph.version()
        except DriverError as error:
            reading.ssh, reading.ceph = heard_of(error)
            return
        reading.ssh = Heard(True)
        at_once = self.drivers.shell is None  # the site program answers for all images in one exchange
        reading.hello = json.loads(said.stdout) if at_once else None
        await asyncio.gather(*(self._pool(reading, pool, with_roles=at_once) for pool in pools))
        if not pools:
            reading.ceph = Heard(None, "No pool is named for this pair, so Ceph was not asked.")
        if not reading.pools:
            return
        reading.ceph = Heard(True)
        chosen = wanted_refs = list(wanted(reading.pools))
        proven = frozenset[ImageRef]()
        if at_once:
            await self._positions_at_once(reading, [reading.infos[ref] for ref in chosen if ref in reading.infos])
            chosen = [ref for ref in chosen if ref not in reading.infos]
        else:
            proven = frozenset(proofs(reading.pools))
        suspects = [ref for ref in wanted_refs if str(ref) in held_open]
        images = (self._image(reading, ref, proven=ref in proven) for ref in chosen)
        await asyncio.gather(*images, self._held_open(reading, suspects))

    async def _held_open(self, reading: SiteReading, refs: list[ImageRef]) -> None:
        """Who has them open besides mirror daemons. Not read is not known; nothing follows from that."""
        for pool in {ref.pool for ref in refs}:
            try:
                mirroring = await self.drivers.ceph.mirror_clients(pool)
            except DriverError:
                continue

            async def one(ref: ImageRef, mirroring: MirrorClients = mirroring) -> None:
                with contextlib.suppress(DriverError):
                    reading.watchers[ref] = watcher_facts(await self.drivers.ceph.watchers(ref), mirroring)

            await asyncio.gather(*(one(ref) for ref in refs if ref.pool == pool))

    async def _pool(self, reading: SiteReading, pool: str, *, with_roles: bool) -> None:
        """``with_roles``: and the role of every mirrored image of it."""
        try:
            if with_roles:
                seen = await self.drivers.ceph.observe(pool, (Part.INFO, Part.POOL))
                assert seen.pool is not None
                found = seen.pool
                self._keep_all(reading, seen)
            else:
                found = await self.drivers.ceph.pool(pool)
        except (DriverError, ValueError) as error:
            if isinstance(error, Refused) and error.reason is Reason.NOT_FOUND:
                reading.no_such_pools.add(pool)
            if reading.ceph.ok is None:
                reading.ssh, reading.ceph = heard_of(error)
            return
        reading.pools[pool] = found
        # The clock's answer is new each second and says nothing that the others do not.
        reading.answers += [(pool, answer) for answer in found.answers[:-1]]

    def _keep_all(self, reading: SiteReading, seen: PoolObservation) -> None:
        """Where the site tells only what is news, that alone is kept as evidence."""
        infos = [image.info for image in seen.images.values() if image.info is not None]
        reading.infos.update((info.ref, info) for info in infos)
        if seen.news is None:
            reading.answers += [(str(info.ref), info.answer) for info in infos]
        else:
            reading.answers += [(answer.command.split(" ")[1], answer) for answer in seen.news]
        if seen.asked_at is not None and seen.pool is not None:
            reading.infos_at[seen.pool.pool] = seen.asked_at

    def _keep(self, reading: SiteReading, info: ImageInfo) -> None:
        reading.infos[info.ref] = info
        reading.answers.append((str(info.ref), info.answer))

    async def _positions_at_once(self, reading: SiteReading, infos: list[ImageInfo]) -> None:
        """As ``_positions``, for many images in one exchange a pool."""
        pools: dict[str, list[str]] = {}
        for info in infos:
            pools.setdefault(info.ref.pool, []).append(info.ref.name)
        for pool, names in pools.items():
            try:
                seen = await self.drivers.ceph.observe(pool, (Part.JOURNAL, Part.SNAPSHOTS), names)
            except DriverError:
                continue  # not read: the verdict will say that it cannot tell
            for image in seen.images.values():
                mode = reading.infos[image.ref].mode
                if mode is MirrorMode.SNAPSHOT and image.snapshots is not None:
                    reading.snapshots[image.ref] = snapshot_facts(image.snapshots)
                if mode is MirrorMode.JOURNAL and image.journal is not None:
                    reading.journals[image.ref] = journal_facts(image.journal)

    async def _image(self, reading: SiteReading, ref: ImageRef, *, proven: bool) -> None:
        """The role, and after it the positions where both might be needed. One image's trouble is its own."""
        asked_at = dt.datetime.now(dt.UTC)
        try:
            info = await self.drivers.ceph.info(ref)
        except Refused as error:
            if error.reason is Reason.NOT_FOUND:
                reading.roles[ref] = absent_role(asked_at)
            return
        except DriverError:
            return
        self._keep(reading, info)
        await self._positions(reading, info, proven=proven)

    async def _positions(self, reading: SiteReading, info: ImageInfo, *, proven: bool) -> None:
        """Positions decide about a copy in snapshot mode, and about any image that is primary nowhere. In journal mode
        the primary's is what an exposure is measured by."""
        try:
            if info.mode is MirrorMode.SNAPSHOT:
                reading.snapshots[info.ref] = snapshot_facts(await self.drivers.ceph.snapshots(info.ref))
            elif info.mode is MirrorMode.JOURNAL:
                status = reading.pools[info.ref.pool].statuses.get(info.ref.name)
                follows = status is not None and status.state == "up+replaying"
                if proven if info.primary else not follows:
                    reading.journals[info.ref] = journal_facts(await self.drivers.ceph.journal(info.ref))
        except DriverError:
            return  # not read: the verdict will say that it cannot tell

    async def refused(self, reading: SiteReading, since: int) -> None:
        """Into the reading: what the site has refused since then, if what answered there tells it."""
        program = self.drivers.ceph
        if isinstance(program, SiteProgram) and reading.hello is not None and reading.hello.get("refusals") is True:
            with contextlib.suppress(DriverError):
                reading.refusals = await program.refusals(since)

    # --- OpenNebula

    async def _cloud(self, reading: SiteReading) -> None:
        try:
            reading.everything = await self.drivers.cloud.everything()
        except DriverError as error:
            reading.cloud = Heard(False, error.detail)
            return
        reading.cloud = Heard(True)
        reading.answers += [("opennebula", answer) for answer in reading.everything.answers]


def heard_of(error: Exception) -> tuple[Heard, Heard]:
    """(ssh, ceph) after a failed read. An answer with an exit status proves that the host itself was reached."""
    detail = error.detail if isinstance(error, DriverError) else str(error)
    if isinstance(error, IdentityChanged):
        return Heard(False, detail), Heard(None, "Not asked: the host's identity is not the accepted one.")
    answer = error.answer if isinstance(error, DriverError) else None
    if isinstance(error, Unreachable) and (answer is None or answer.exit_status is None):
        return Heard(False, detail), Heard(None, "Not asked: the SSH host did not answer.")
    return Heard(True), Heard(False, detail)


def good_refs(pools: Mapping[str, PoolReading]) -> list[ImageRef]:
    """Every listed image whose name may stand in a command."""
    return [
        ImageRef(pool, name)
        for pool, reading in pools.items()
        if is_good_name(pool)
        for name in reading.image_names
        if is_good_name(name)
    ]
