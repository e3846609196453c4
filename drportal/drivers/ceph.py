"""Ceph at one site, through the ``rbd`` client on a host that we reach over SSH."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    JournalReading,
    MirrorClients,
    MirrorStatus,
    Order,
    PoolReading,
    Shell,
    SnapshotReading,
    SnapshotSchedules,
    WatcherReading,
)
from drportal.drivers.ceph_errors import raise_for_act, raise_for_read
from drportal.drivers.errors import DriverError, Reason, Refused, Unreachable
from drportal.drivers.names import is_good_name
from drportal.drivers.observation import ImageObservation, Measured, Part, PoolObservation
from drportal.drivers.orders import Receipt, Warrant
from drportal.drivers.rbd_commands import SITE_CLOCK, RbdCommands, command_line, kept_name, one_line
from drportal.drivers.vantage import Address, Seen


class RbdOverSsh:
    """The ``CephSite`` of a site: builds a command, sends it, reads its answer, raises only ``drivers.errors``."""

    def __init__(
        self, shell: Shell, *, ceph_user: str | None = None, deadline_s: float = 10.0, patience_s: float = 90.0
    ) -> None:
        self._shell = shell
        self._commands = RbdCommands(ceph_user)
        self._deadline_s = deadline_s
        self._patience_s = patience_s

    async def _read(self, argv: Sequence[str]) -> Answer:
        answer = await self._shell.read(argv, deadline_s=self._deadline_s)
        raise_for_read(answer)
        return answer

    async def _act(self, act: str, ref: ImageRef) -> Answer:
        answer = await self._shell.act(self._commands.act(act, ref), patience_s=self._patience_s)
        raise_for_act(answer, act)
        return answer

    async def pool(self, pool: str) -> PoolReading:
        """Info, status, list and clock of one pool, asked at the same time. One that fails fails the whole reading."""
        commands = self._commands
        clock, info, status, listing = await _all(
            self._read(SITE_CLOCK),
            self._read(commands.pool_info(pool)),
            self._read(commands.pool_status(pool)),
            self._read(commands.list_images(pool)),
        )
        site_now = parse.site_clock(clock)
        mode, site_name, peers = parse.parsed(info, parse.pool_info)
        health, daemon_health, daemons = parse.parsed(status, parse.pool_health)
        names, parents = parse.parsed(listing, parse.image_list)
        return PoolReading(
            pool=pool,
            mode=mode,
            site_name=site_name,
            peers=peers,
            health=health,
            daemon_health=daemon_health,
            daemons=daemons,
            statuses=parse.parsed(status, lambda data: parse.pool_statuses(data, site_now)),
            image_names=names,
            parents=parents,
            site_clock_skew_s=_skew_s(clock, site_now),
            answers=(info, status, listing, clock),
        )

    async def info(self, ref: ImageRef) -> ImageInfo:
        return parse.info(ref, await self._read(self._commands.info(ref)))

    async def status(self, ref: ImageRef) -> tuple[MirrorStatus, Answer]:
        clock, answer = await _all(self._read(SITE_CLOCK), self._read(self._commands.image_status(ref)))
        return parse.status(answer, parse.site_clock(clock)), answer

    async def journal(self, ref: ImageRef) -> JournalReading:
        return parse.journal(ref, await self._read(self._commands.journal_status(ref)))

    async def snapshots(self, ref: ImageRef) -> SnapshotReading:
        return parse.snapshots(ref, await self._read(self._commands.snapshots(ref)))

    async def watchers(self, ref: ImageRef) -> WatcherReading:
        return parse.watchers(ref, await self._read(self._commands.watchers(ref)))

    async def mirror_clients(self, pool: str) -> MirrorClients:
        return parse.mirror_clients(pool, await self._read(self._commands.mirror_daemons(pool)))

    async def schedules(self, pool: str) -> SnapshotSchedules:
        return parse.schedules(pool, await self._read(self._commands.schedules(pool)))

    async def measure(self, ref: ImageRef, since_snapshot: int | None) -> tuple[Measured, Answer]:
        raise Refused(
            f"Only the site program measures what {ref} holds that its peer never had, and this site is asked without "
            "it. Nothing was changed.",
            Reason.OTHER,
        )

    async def observe(
        self, pool: str, parts: Collection[Part], names: Collection[str] | None = None
    ) -> PoolObservation:
        """See ``CephSite.observe``: a command per part and image, as many at once as the shell has sessions."""
        reading = await self.pool(pool) if names is None or {Part.POOL, Part.STATUS} & set(parts) else None
        wanted = list(reading.statuses) if names is None and reading is not None else sorted(names or ())
        refs = [ImageRef(pool, name) for name in wanted if is_good_name(name)]
        seen = await asyncio.gather(*(self._observation(ref, parts, reading) for ref in refs))
        return PoolObservation(
            images={image.ref.name: image for image in seen},
            pool=reading if Part.POOL in parts else None,
            mirror_clients=await self.mirror_clients(pool) if Part.MIRROR_CLIENTS in parts else None,
            answers=reading.answers if reading is not None else (),
        )

    async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
        """See ``CephSite.image``: a command per part, one after the other."""
        return await self._observation(ref, parts, await self.pool(ref.pool) if Part.STATUS in parts else None)

    async def _observation(self, ref: ImageRef, parts: Collection[Part], pool: PoolReading | None) -> ImageObservation:
        readers: dict[Part, Callable[[ImageRef], Coroutine[Any, Any, Any]]] = {
            Part.INFO: self.info,
            Part.JOURNAL: self.journal,
            Part.SNAPSHOTS: self.snapshots,
            Part.WATCHERS: self.watchers,
        }
        found, troubles = dict[str, Any](), dict[Part, DriverError]()
        silent: Unreachable | None = None
        for part, read in readers.items():
            if part not in parts:
                continue
            if silent is not None:  # it would not answer the next question either, and each waits its time
                troubles[part] = silent
                continue
            info = found.get(Part.INFO)
            if part is Part.JOURNAL and info is not None and "journaling" not in info.features:
                continue
            try:
                found[part.value] = await read(ref)
            except DriverError as error:
                if isinstance(error, Refused) and error.reason is Reason.NOT_FOUND and not found:
                    return ImageObservation(ref, absent=True)
                troubles[part] = error
                if isinstance(error, Unreachable):
                    silent = error
        if Part.STATUS in parts and pool is not None:
            found["status"] = pool.statuses.get(ref.name)
        return ImageObservation(ref, troubles=troubles, **found)

    async def demote(self, order: Order) -> Answer:
        return await self._act("demote", order.ref)

    async def promote(self, order: Order) -> Answer:
        return await self._act("promote", order.ref)

    async def force_promote(self, order: Order, warrant: Warrant) -> Answer:
        """It can hang for as long as the mirror daemon clings to the dead peer: then OutcomeUnknown, and it goes on."""
        argv = self._commands.force_promote(order.ref, warrant)
        answer = await self._shell.act(argv, patience_s=self._patience_s)
        raise_for_act(answer, "promote")
        return answer

    async def resync(self, order: Order) -> Answer:
        """Only sets a flag; the mirror daemon discards the copy and makes it anew, once the other side is primary."""
        return await self._act("resync", order.ref)

    async def free(self, order: Order, address: str) -> Answer:
        """Take from a mirror daemon what it has open (``RbdCommands.free``)."""
        answer = await self._shell.act(self._commands.free(address), patience_s=self._patience_s)
        raise_for_act(answer, "free")
        return answer

    async def shut_out(self, order: Order, addresses: Sequence[str]) -> Answer:
        """Always Refused: nobody there keeps who was shut out, for letting them in again."""
        raise Refused("A site that is reached through the rbd client alone shuts nobody out.", Reason.OTHER)

    async def let_in(self, order: Order, addresses: Sequence[str]) -> Answer:
        raise Refused("A site that is reached through the rbd client alone lets nobody in again.", Reason.OTHER)

    def shut_out_command_for(self, addresses: Sequence[str]) -> str:
        return one_line(self._commands.shut_out(address) for address in addresses)

    def let_in_command_for(self, addresses: Sequence[str]) -> str:
        return one_line(self._commands.let_in(address) for address in addresses)

    async def salvage(self, order: Order) -> Answer:
        """Always Refused: nobody there looks after a file that a cut connection leaves half written."""
        raise Refused("A site that is reached through the rbd client alone saves nothing.", Reason.OTHER)

    async def keep_copy(self, order: Order) -> Answer:
        """Always Refused, for the same reason."""
        raise Refused("A site that is reached through the rbd client alone keeps no copies.", Reason.OTHER)

    async def receipt(self, operation_id: str) -> Receipt | None:
        """Always None: a shell keeps no receipts."""
        return None

    async def version(self) -> tuple[str, Answer]:
        answer = await self._read(self._commands.version())
        return parse.version(answer), answer

    async def look_at(self, addresses: Sequence[Address]) -> tuple[tuple[Seen, ...], Answer]:
        """Always Refused: the ``rbd`` client cannot look anywhere but into its own cluster."""
        raise Refused("A site that is reached through the rbd client alone cannot be asked what it sees.", Reason.OTHER)

    def command_for(self, act: str, ref: ImageRef) -> str:
        """Raises KeyError for a word other than ``demote`` and ``promote``."""
        return command_line(self._commands.act(act, ref))

    def forced_command_for(self, ref: ImageRef, warrant: Warrant) -> str:
        return command_line(self._commands.force_promote(ref, warrant))

    def keep_command_for(self, ref: ImageRef, operation_id: str) -> str:
        return one_line(self._commands.keep_copy(ref, kept_name(ref.name, operation_id)))

    def free_command_for(self, address: str) -> str:
        return command_line(self._commands.free(address))


async def _all(*reads: Coroutine[Any, Any, Answer]) -> list[Answer]:
    """All of them, to the end, before the first error is raised: so that no read goes on behind our back."""
    answers: list[Answer] = []
    for result in await asyncio.gather(*reads, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        answers.append(result)
    return answers


def _skew_s(clock: Answer, site_now: dt.datetime | None) -> float | None:
    """How far the site's clock is ahead of the portal's, seconds (``date`` gives whole ones, so +-1 s is nothing)."""
    if site_now is None:
        return None
    middle = clock.started_at + dt.timedelta(seconds=clock.duration_s / 2)
    return (site_now - middle).total_seconds()
