"""The two sites as a run sees them: reads that come back as facts, shared where many steps ask for the same thing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from drportal.drivers.base import (
    Answer,
    CephSite,
    ImageRef,
    MirrorClients,
    MirrorSnapshot,
    PoolReading,
    Shell,
    SnapshotReading,
    WatcherReading,
)
from drportal.drivers.base_cloud import CloudImage, CloudReading, CloudSite, Vm
from drportal.drivers.errors import DriverError, Reason, Refused, Unreachable
from drportal.drivers.observation import ImageObservation, Part
from drportal.drivers.orders import Receipt
from drportal.engine.approvals import ApprovalFacts
from drportal.engine.exact_loss import ExactLoss
from drportal.engine.facts import (
    HoldFacts,
    JournalFacts,
    Mode,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    VmFacts,
    WatcherFacts,
)
from drportal.inventory import facts
from drportal.recovery.made_primary import HandedOver
from drportal.recovery.news import News
from drportal.recovery.pace import Pace
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, VmCopy
from drportal.recovery.shared_reads import SharedRead
from drportal.recovery.silence import Silence

Clock = Callable[[], dt.datetime]
Value = TypeVar("Value")


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Located:
    """The VM of a plan at one site.

    None: the front end answered that it has none. ``several``: more than one bears our marker.
    """

    vm: Vm | None
    facts: VmFacts
    several: tuple[int, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """What a look will ask of an image at either site. ``source_first``: the target is asked when the source has
    answered."""

    source: frozenset[Part] = frozenset()
    target: frozenset[Part] = frozenset()
    source_first: bool = False


NOTHING = Asked()


@dataclass(slots=True)
class SiteEnd:
    """One site during a run. Reads raise what the drivers raise, except that "not found" is a fact.

    ``look()`` gives the same site for one look of one step: what several gates ask of one image is read once, and
    nothing is remembered for the next look.
    """

    slug: str
    name: str
    host: str
    ceph: CephSite
    cloud: CloudSite
    pace: Pace
    shell: Shell | None = None  # None where nothing is ever sent (readiness), and where the site keeps receipts
    ceph_silence: Silence | None = None  # None: each read waits for itself
    cloud_silence: Silence | None = None
    seen: Callable[[CephSite, ImageObservation], None] | None = None  # hears of every image that a look reads in one go
    _pools: dict[str, SharedRead[PoolReading]] = field(default_factory=dict)
    _mirroring: dict[str, SharedRead[MirrorClients]] = field(default_factory=dict)
    _clouds: list[SharedRead[CloudReading]] = field(default_factory=list)
    _seen: dict[tuple[str, ImageRef], asyncio.Future[Any]] | None = None
    _parts: frozenset[Part] = frozenset()  # of an image that a look reads in one go
    _first: SiteEnd | None = None  # the same look's other site, where that is read before this one

    def goes_on(self, command: str) -> bool:
        """Whether this act, sent by us and left running, is known not to have ended yet."""
        return self.shell is not None and command in self.shell.unfinished_acts

    def look(self, parts: frozenset[Part] = frozenset(), first: SiteEnd | None = None) -> SiteEnd:
        """``parts``: what will be asked of each image; the first question reads them all, when ``first`` has answered
        or failed."""
        return replace(self, _seen={}, _parts=parts, _first=first)

    def expect_silence(self) -> None:
        for silence in (self.ceph_silence, self.cloud_silence):
            if silence is not None:
                silence.expect()

    async def _ceph(self, read: Callable[[], Awaitable[Value]]) -> Value:
        return await (read() if self.ceph_silence is None else self.ceph_silence.hear(read))

    async def _cloud(self, read: Callable[[], Awaitable[Value]]) -> Value:
        return await (read() if self.cloud_silence is None else self.cloud_silence.hear(read))

    async def _once(self, what: str, ref: ImageRef, read: Callable[[], Awaitable[Value]]) -> Value:
        if self._seen is None:
            return await read()
        if (what, ref) not in self._seen:
            self._seen[what, ref] = asyncio.ensure_future(read())
        value: Value = await self._seen[what, ref]
        return value

    async def _part(self, part: Part, ref: ImageRef, alone: Callable[[], Awaitable[Value]]) -> Value:
        found: Value | None = await self._read_together(part, ref)
        return found if found is not None else await self._once(part.value, ref, lambda: self._ceph(alone))

    async def _read_together(self, part: Part, ref: ImageRef) -> Any:
        """The part as this look has read it with the others; None where it is to be asked for by itself, in which case
        it also says in its own words that there is nothing of the kind. Raises what the part by itself would."""
        if part not in self._parts:
            return None
        if self._first is not None:
            with contextlib.suppress(DriverError):  # who asks there hears of it
                await self._first._together(ref)
        image = await self._together(ref)
        if part in image.troubles:
            raise image.troubles[part]
        return getattr(image, part.value)

    async def _together(self, ref: ImageRef) -> ImageObservation:
        async def read() -> ImageObservation:
            image = await self.ceph.image(ref, self._parts)
            for trouble in image.troubles.values():
                if isinstance(trouble, Unreachable):  # a silence is to be heard of as when it is asked by itself
                    raise trouble
            if self.seen is not None:
                self.seen(self.ceph, image)
            return image

        return await self._once("parts", ref, lambda: self._ceph(read))

    async def pool(self, pool: str, max_age_s: float | None = None) -> PoolReading:
        shared = self._pools.setdefault(pool, SharedRead(lambda: self._ceph(lambda: self.ceph.pool(pool))))
        return await shared.get(self.pace.shared_read_s if max_age_s is None else max_age_s)

    async def everything(self, max_age_s: float) -> CloudReading:
        if not self._clouds:
            self._clouds.append(SharedRead(lambda: self._cloud(self.cloud.everything)))
        return await self._clouds[0].get(max_age_s)

    async def role(self, ref: ImageRef) -> tuple[RoleFacts, Answer | None]:
        return await self._once("role", ref, lambda: self._role(ref))

    async def role_now(self, ref: ImageRef) -> tuple[RoleFacts, Answer | None]:
        """Read anew, although this look has read it: a long wait for another site has made that old."""
        if self._seen is not None:
            self._seen.pop(("role", ref), None)
            self._seen.pop(("parts", ref), None)
        return await self.role(ref)

    async def _role(self, ref: ImageRef) -> tuple[RoleFacts, Answer | None]:
        asked_at = utc_now()
        try:
            info = await self._read_together(Part.INFO, ref) or await self._ceph(lambda: self.ceph.info(ref))
        except Refused as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            return facts.absent_role(asked_at), error.answer
        return facts.role_facts(info), info.answer

    async def journal(self, ref: ImageRef) -> tuple[JournalFacts, Answer]:
        reading = await self._part(Part.JOURNAL, ref, lambda: self.ceph.journal(ref))
        return facts.journal_facts(reading), reading.answer

    async def _snapshots(self, ref: ImageRef) -> SnapshotReading:
        return await self._part(Part.SNAPSHOTS, ref, lambda: self.ceph.snapshots(ref))

    async def snapshots(self, ref: ImageRef) -> tuple[SnapshotFacts, Answer]:
        reading = await self._snapshots(ref)
        return facts.snapshot_facts(reading), reading.answer

    async def newest_snapshot(self, ref: ImageRef) -> MirrorSnapshot | None:
        """The newest mirror snapshot here, as this look has read it."""
        reading = await self._snapshots(ref)
        return reading.mirror_snapshots[-1] if reading.mirror_snapshots else None

    async def mirroring(self, pool: str) -> MirrorClients:
        shared = self._mirroring.setdefault(pool, SharedRead(lambda: self._mirror_clients(pool)))
        return await shared.get(self.pace.shared_read_s)

    async def watchers(self, ref: ImageRef) -> tuple[WatcherFacts, Answer]:
        """Who has the image open. Which of them are mirror daemons is asked once for all images of the pool."""
        mirroring, reading = await asyncio.gather(self.mirroring(ref.pool), self._watchers(ref))
        return facts.watcher_facts(reading, mirroring), reading.answer

    async def _watchers(self, ref: ImageRef) -> WatcherReading:
        return await self._part(Part.WATCHERS, ref, lambda: self.ceph.watchers(ref))

    async def _mirror_clients(self, pool: str) -> MirrorClients:
        return await self._ceph(lambda: self.ceph.mirror_clients(pool))

    async def receipt(self, operation_id: str) -> Receipt | None:
        return await self._ceph(lambda: self.ceph.receipt(operation_id))

    async def vm(self, one_id: int) -> tuple[Vm, Answer]:
        return await self._cloud(lambda: self.cloud.vm(one_id))

    async def holders(self, ref: ImageRef) -> tuple[frozenset[str], Answer]:
        """Addresses of those who have the image open and are no mirror daemon's; read anew."""
        mirroring = await self._mirror_clients(ref.pool)
        reading = await self._watchers(ref)
        foreign = {watcher.address for watcher in reading.watchers if watcher.client not in mirroring.clients}
        return frozenset(foreign), reading.answer

    async def hold(self, ref: ImageRef) -> tuple[HoldFacts, Answer]:
        """Which mirror daemons of this site have the image open.

        Which of all are its own its manager tells; while that is away too, all count (a dead peer's have no watch).
        """
        mirroring = await self._mirror_clients(ref.pool)
        try:
            daemons = (await self.pool(ref.pool)).daemons
        except DriverError:
            daemons = ()
        reading = await self._watchers(ref)
        return facts.hold_facts(reading, mirroring, daemons), reading.answer

    async def side(self, image: ImageCopy, *, positions: bool) -> tuple[SideFacts, list[Answer]]:
        """Role and shared status; with ``positions`` also the journal's positions or the mirror snapshots, read
        after the role.
        """
        (role, answer), pool = await asyncio.gather(self.role(ref_of(image)), self.pool(image.pool))
        answers = [answer] if answer else []
        status = pool.statuses.get(image.name)
        journal, snapshots = None, None
        if positions and role.exists and image.mode == Mode.JOURNAL:
            journal, raw = await self.journal(ref_of(image))
            answers.append(raw)
        elif positions and role.exists:
            snapshots, raw = await self.snapshots(ref_of(image))
            answers.append(raw)
        side = SideFacts(
            reachable=True,
            role=role,
            status=facts.status_facts(status, facts.read_time(pool)) if status else None,
            journal=journal,
            snapshots=snapshots,
            daemon_healthy=facts.daemon_healthy(pool),
            peer_direction=facts.peer_direction(pool),
            last_heard=role.read_at,
        )
        return side, [*answers, *(part_about(image.name, raw) for raw in pool.answers[1:2])]

    async def image_records(self, image: ImageCopy, max_age_s: float = 0.0) -> tuple[tuple[CloudImage, ...], Answer]:
        reading = await self.everything(max_age_s)
        return tuple(record for record in reading.images if record.source == image.source), reading.answers[2]


def ref_of(image: ImageCopy) -> ImageRef:
    return ImageRef(image.pool, image.name)


def part_about(name: str, answer: Answer) -> Answer:
    """Of a pool's status, what it says about one image: the evidence of 128 images is not 128 whole pools."""
    text, opening = answer.stdout, '{"name":"'
    begin = text.find(f'{opening}{name}"')
    if begin < 0:
        return answer
    end = text.find(opening, begin + 1)
    part = text[begin : end if end > 0 else len(text)]
    return replace(answer, stdout=f"[of {len(text)} characters, what is said of {name}:]\n{part}")


# Steps that look at the sites at the same time. Where each read is a process of its own, more of them would make what
# is read first stale before what is read last comes back; the site program answers all at once.
LOOKS_BY_PROCESS, LOOKS_BY_PROGRAM = 12, 256


@dataclass(slots=True)
class World:
    """Source and target of one run, and what it was built from. ``news``: None where looking together is not cheap."""

    source: SiteEnd
    target: SiteEnd
    plan: PlanCopy
    pace: Pace
    definitions: dict[int, str]  # CapturedDefinition id -> VM document
    # VM key -> the newest capture's hash, and when it was last seen to be true
    definitions_now: dict[str, tuple[str, dt.datetime]]
    clock: Clock = utc_now
    group_token: str = ""
    run_id: int = 0
    plan_version: int = 0
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKS_BY_PROCESS))
    news: News | None = None
    approval: Callable[[], Awaitable[ApprovalFacts | None]] | None = None  # the run's, read from the database each time
    # keys of images that a run of the portal made primary at the target, this one included; read each time
    made_primary: Callable[[], Awaitable[frozenset[str]]] | None = None
    # image key, what was measured of it, the same as a sentence: kept with the image; None where nothing is kept
    keep_loss: Callable[[str, ExactLoss, str], Awaitable[None]] | None = None
    # image key -> the source's mirror snapshot that was the last to be whole at the target, by the evidence
    replicated_snapshots: dict[str, int] = field(default_factory=dict)
    shown_whole: dict[str, str] = field(default_factory=dict)  # image key -> image id of the copy shown whole before
    handed_over: dict[str, HandedOver] = field(default_factory=dict)  # by image key, of the target (``made_primary``)
    forced_at_source: frozenset[str] = frozenset()  # keys of images whose copy at the source was forced (``g_peer``)

    def definition_now(self, vm: VmCopy) -> tuple[str | None, dt.datetime | None]:
        return self.definitions_now.get(vm.key, (None, None))

    def end(self, slug: str) -> SiteEnd:
        return self.source if self.source.slug == slug else self.target

    def other(self, end: SiteEnd) -> SiteEnd:
        return self.target if end.slug == self.source.slug else self.source

    def look(self, asked: Asked = NOTHING) -> World:
        """The same two sites for one look of one step (``SiteEnd.look``), which will ask this of images."""
        source = self.source.look(asked.source)
        target = self.target.look(asked.target, source if asked.source_first else None)
        return replace(self, source=source, target=target)

    async def locate(self, end: SiteEnd, vm: VmCopy, max_age_s: float = 0.0) -> Located:
        """The home VM at home (by its id and its disks), the portal's copy elsewhere (by its marker; at home too, when
        the old one is gone).
        """
        if end.slug == self.plan.home_site:
            asked_at = utc_now()
            try:
                found, answer = await end.vm(vm.home_one_id)
                if found.phase != "gone" and _has_its_disks(found, vm):
                    return Located(found, facts.vm_facts(found, answer.started_at), (), answer)
            except Refused as error:
                if error.reason is not Reason.NOT_FOUND:
                    raise
                answer = error.answer or Answer("", end.host, None, "", error.detail, asked_at, 0.0)
        reading = await end.everything(max_age_s)
        answer = reading.answers[1]
        copies = [found for found in reading.vms if found.marker == vm.marker and found.phase != "gone"]
        if not copies:
            return Located(None, facts.gone_vm_facts(answer.started_at), (), answer)
        several = tuple(copy.vm_id for copy in copies) if len(copies) > 1 else ()
        return Located(copies[0], facts.vm_facts(copies[0], answer.started_at), several, answer)


def _has_its_disks(found: Vm, vm: VmCopy) -> bool:
    """An OpenNebula that was installed anew counts from 0 again: one of its VMs may have the number of ours, and would
    be powered off in its place."""
    ours = {image.source for image in vm.images}
    return any(disk.source in ours for disk in found.disks)
