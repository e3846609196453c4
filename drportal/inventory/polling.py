"""The poller: one leader per pair looks at both sides every few seconds, and writes what changed.

Each side is read in a task of its own, so that a hung site delays nothing but itself. Only reads are ever sent, over
connections of its own and few at a time: a run that is going on does not notice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from sys import intern
from typing import ParamSpec, Protocol, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, transaction
from django.db.models import Max, Q
from django.utils import timezone

from drportal.drivers.base import CephSite, ImageRef, MirrorStatus, PoolReading
from drportal.drivers.opennebula import Memory
from drportal.drivers.told import Told
from drportal.engine.facts import Side
from drportal.errors import PortalError
from drportal.events import publish_all
from drportal.inventory import cloud, heard, installed, sights
from drportal.inventory.connect import Reach, SiteDrivers, site_drivers
from drportal.inventory.exposure import Sampler
from drportal.inventory.image_book import ImageBook
from drportal.inventory.memory import give_back
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.observations import Keeper
from drportal.inventory.reading import Heard, SiteReader, SiteReading, good_refs
from drportal.inventory.schedules import ScheduleWatch, write_schedules
from drportal.inventory.sights import Lookout
from drportal.inventory.witnesses import posts_of

logger = logging.getLogger(__name__)
Given = ParamSpec("Given")
Result = TypeVar("Result")

POLL_SESSIONS = 4
LOOK_DEADLINE_S = 20.0
LEASE_S = 15.0
# A program goes on as it was started: only a new conversation begins with the file that lies at the site then.
CONVERSATION_S = 300.0
SMALL_POOL = 16
AT_ONCE = 32
SUSPECTS_AT_ONCE = 64
PROOFS_OF_FEW = 4
EXACT_WITHIN_S = 60.0
DEFINITIONS_EVERY_S = 30.0
PAIRS_EVERY_S = 5.0
# Documents (VMs and images) of a front end that are asked for in every round, and how many a second beyond that.
CLOUD_SMALL, CLOUD_PER_S, CLOUD_AT_LEAST_EVERY_S = 500, 250.0, 60.0


class Turn:
    """Chooses the images whose role is read exactly in this round: all of a small pool; else those whose status is
    news, some of those that a run holds, and a share that comes round to each image within a minute.

    An exact read is a process at the site (some 60 ms of its processor), so a round has a bound: a run reads what it
    needs for itself, and the poller must not stand in its way.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.held: frozenset[str] = frozenset()
        self.suspects: frozenset[str] = frozenset()
        self._place = self._suspect_place = self._rounds = 0
        self._chosen: list[ImageRef] = []
        self._asked: dict[ImageRef, int] = {}  # in which round a primary was asked for its position
        self._said: dict[ImageRef, tuple[MirrorStatus | None, tuple[str, str]]] = {}
        self._due: dict[ImageRef, None] = {}  # in the order in which they became news
        self._listed: tuple[list[tuple[str, ...]], list[ImageRef]] = ([], [])

    def choose(self, pools: Mapping[str, PoolReading]) -> list[ImageRef]:
        self._chosen = self._choose(pools)
        return self._chosen

    def _choose(self, pools: Mapping[str, PoolReading]) -> list[ImageRef]:
        refs = self._refs(pools)
        for ref in refs:
            if self._is_news(ref, pools[ref.pool].statuses.get(ref.name)):
                self._due[ref] = None
        if len(refs) <= SMALL_POOL:
            self._due.clear()
            return refs
        news = list(self._due)[:AT_ONCE]
        for ref in news:
            del self._due[ref]
        share = -(-len(refs) * max(self.interval_s, 1.0) // EXACT_WITHIN_S)
        start = self._place % len(refs)
        round_from_here = refs[start:] + refs[:start]
        self._place = start + int(share)
        held = [ref for ref in round_from_here if str(ref) in self.held] if self.held else []
        return sorted({*news, *round_from_here[: int(share)], *held[:SMALL_POOL], *self.chosen_suspects(refs)})

    def proofs(self, pools: Mapping[str, PoolReading]) -> list[ImageRef]:
        """Of the images that were just chosen, those that do not follow here: to ask a primary for its position too is
        one more process. No more than some, and those first that were asked longest ago."""
        found = [ref for ref in self._chosen if _leads(pools[ref.pool].statuses.get(ref.name))]
        found.sort(key=lambda ref: self._asked.get(ref, 0))
        found = found[: PROOFS_OF_FEW if len(self._listed[1]) <= SMALL_POOL else AT_ONCE]
        self._rounds += 1
        self._asked.update(dict.fromkeys(found, self._rounds))
        return found

    def _refs(self, pools: Mapping[str, PoolReading]) -> list[ImageRef]:
        """Made anew only when a list of names is: a large pool's is the same object for as long as it says the same."""
        names = [reading.image_names for reading in pools.values()]
        if len(names) != len(self._listed[0]) or any(a is not b for a, b in zip(names, self._listed[0], strict=True)):
            self._listed = (names, good_refs(pools))
        return list(self._listed[1])

    def chosen_suspects(self, refs: Collection[ImageRef]) -> list[ImageRef]:
        """Copies that may be a second primary are read in every round, or every other: nothing else is as urgent."""
        found = sorted(ref for ref in refs if str(ref) in self.suspects) if self.suspects else []
        start = self._suspect_place % len(found) if found else 0
        self._suspect_place = start + SUSPECTS_AT_ONCE
        return (found + found)[start : start + min(SUSPECTS_AT_ONCE, len(found))]

    def _is_news(self, ref: ImageRef, status: MirrorStatus | None) -> bool:
        """The figures in a description change all the time; what stands before them does not."""
        before = self._said.get(ref)
        if before is not None and before[0] is status:
            return False
        said = (status.state, intern(status.description.split(", {", 1)[0])) if status else ("", "")
        self._said[ref] = (status, said)
        return before is None or before[1] != said


def _leads(status: MirrorStatus | None) -> bool:
    """Whether the image may be primary here, by what its daemon says."""
    return status is None or status.state != "up+replaying"


@dataclass(frozen=True, slots=True)
class RoundSeen:
    """A round that has been written: what was just read, and each image's facts of both sides as they are known now."""

    pair: SitePair
    readings: Mapping[Side, SiteReading]
    book: ImageBook
    now: dt.datetime


class Beside(Protocol):
    """What somebody above the inventory wants of each round."""

    def suspects(self, pair: SitePair) -> Mapping[Side, Collection[str]]:
        """Images (``pool/name``) at each side whose role and holders are read as often as can be."""
        ...

    def refused_since(self, pair: SitePair) -> Mapping[Side, int]:
        """From where on each site is asked what it has refused; a side that is not due is left out."""
        ...

    def seen(self, one: RoundSeen) -> None:
        """Within the transaction of the round."""
        ...


class Nobody:
    def suspects(self, pair: SitePair) -> Mapping[Side, Collection[str]]:
        return {}

    def refused_since(self, pair: SitePair) -> Mapping[Side, int]:
        return {}

    def seen(self, one: RoundSeen) -> None:
        return None


class SideWatch:
    """Looks at one site again and again; ``latest`` is the newest reading that nobody has written down yet."""

    def __init__(self, site: Site, pools: list[str], interval_s: float, held: Collection[str]) -> None:
        self.site = site
        self.pools = pools
        self.interval_s = interval_s
        self.turn = Turn(interval_s)
        self.turn.held = frozenset(held)
        self.refused_since: int | None = None  # None: it is not due to be asked what it refused
        self.latest: SiteReading | None = None
        self.news = asyncio.Event()
        self.talked_s = 0.0  # how old the first conversation is taken to be
        self._drivers: SiteDrivers | None = None
        self._drivers_at = 0.0
        self._cloud, self._cloud_at = Heard(None), 0.0
        self._memory = Memory()
        self._told: dict[str, Told] = {}
        self._schedules = ScheduleWatch()

    async def run(self) -> None:
        """Until cancelled. A fault of our own is logged and does not end the watch."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                try:
                    self.latest = await self.look()
                except Exception:
                    logger.exception("looking at %s failed", self.site.slug)
                self.news.set()
                await asyncio.sleep(max(0.1, self.interval_s - (loop.time() - began)))
        finally:
            self._schedules.stop()
            if self._drivers is not None:
                await self._drivers.close()

    def ceph(self) -> CephSite | None:
        """The site's, while there is a connection to it."""
        return self._drivers.ceph if self._drivers is not None else None

    async def look(self) -> SiteReading:
        clock = asyncio.get_running_loop().time
        if self._drivers is not None and clock() - self._drivers_at > CONVERSATION_S:
            self._schedules.stop()
            await self._drivers.close()
            self._drivers = None
        if self._drivers is None:
            self._drivers_at, self.talked_s = clock() - self.talked_s, 0.0
            try:
                self._drivers = await in_database(
                    site_drivers, self.site, Reach(sessions=POLL_SESSIONS, memory=self._memory, told=self._told)
                )
            except PortalError as error:
                unasked = Heard(False, error.detail)
                return SiteReading(asked_at=timezone.now(), ssh=unasked, ceph=unasked, cloud=unasked)
        with_cloud = clock() >= self._cloud_at
        reader = SiteReader(self._drivers)
        reading = await reader.look(
            self.pools,
            self.turn.choose,
            deadline_s=LOOK_DEADLINE_S,
            with_cloud=with_cloud,
            held_open=self.turn.suspects,
            proofs=self.turn.proofs,
        )
        if self.refused_since is not None:
            since, self.refused_since = self.refused_since, None
            await reader.refused(reading, since)
        self._pace_cloud(reading, with_cloud)
        self._schedules.go_on(reading, self._drivers.ceph, self.pools)
        return reading

    def _pace_cloud(self, reading: SiteReading, asked: bool) -> None:
        """A large front end is asked less often: its answer is documents of all VMs and images, whole each time."""
        if not asked:
            reading.cloud = self._cloud
            return
        self._cloud = reading.cloud
        found = reading.everything
        documents = len(found.vms) + len(found.images) if found else 0
        pause_s = 0.0 if documents <= CLOUD_SMALL else min(CLOUD_AT_LEAST_EVERY_S, documents / CLOUD_PER_S)
        self._cloud_at = asyncio.get_running_loop().time() + pause_s


class PairWatch:
    """Watches one pair for as long as it holds the lease."""

    def __init__(self, pair_id: int, owner: str, interval_s: float, beside: Beside | None = None) -> None:
        self.pair_id = pair_id
        self.beside = beside or Nobody()
        self.owner = owner
        self.interval_s = interval_s
        self.keeper = Keeper()
        self.definitions_at: dict[Side, dt.datetime] = {}
        self.sampler = Sampler(pair_id)
        self.book: ImageBook | None = None
        self.clouds: dict[Side, cloud.CloudBook] = {}

    async def run(self) -> None:
        """Until cancelled: wait to be the leader, then watch until the lease is lost or the settings have changed."""
        while True:
            try:
                if await in_database(take_lease, self.pair_id, self.owner):
                    await self.watch()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("pair %s: the database does not answer: %s", self.pair_id, error)
            except Exception:
                logger.exception("pair %s: the watch failed and begins again", self.pair_id)
            await asyncio.sleep(min(self.interval_s, 2.0))

    async def watch(self) -> None:
        pair, fingerprint, held = await in_database(load, self.pair_id)
        self.book, self.clouds = None, {}  # another poller may have written in between
        sides = {
            Side.A: SideWatch(pair.a, list(pair.pools), self.interval_s, held),
            Side.B: SideWatch(pair.b, list(pair.pools), self.interval_s, held),
        }
        posts = await in_database(posts_of, pair.a, pair.b)
        sides[Side.B].talked_s = CONVERSATION_S / 2  # a new one tells everything: one side at a time
        lookouts = [
            Lookout(watch.site, {sides[side.other].site.slug: sides[side.other].ceph, **posts.finders()})
            for side, watch in sides.items()
        ]
        tasks = [asyncio.create_task(side.run()) for side in sides.values()]
        tasks += [asyncio.create_task(lookout.run()) for lookout in lookouts]
        try:
            while await in_database(take_lease, self.pair_id, self.owner):
                await self.wait_for_news(sides)
                readings = {side: watch.latest for side, watch in sides.items() if watch.latest is not None}
                for watch in sides.values():
                    watch.latest = None
                await in_database(self.write, pair, readings)
                if looks := [look for one in lookouts for look in one.taken()]:
                    await in_database(sights.write, looks)
                large = any(reading.everything is not None for reading in readings.values())
                readings = {}
                if large:
                    await asyncio.to_thread(give_back)
                _, now_fingerprint, held = await in_database(load, self.pair_id)
                if now_fingerprint != fingerprint:
                    return
                suspects = await in_database(self.beside.suspects, pair)
                refused_since = await in_database(self.beside.refused_since, pair)
                for side, watch in sides.items():
                    watch.turn.held = frozenset(held)
                    watch.turn.suspects = frozenset(suspects.get(side, ()))
                    watch.refused_since = refused_since.get(side)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await posts.close()

    async def wait_for_news(self, sides: Mapping[Side, SideWatch]) -> None:
        """Until one side has been read, or an interval has passed: facts age, and verdicts with them."""
        waiting = [asyncio.create_task(watch.news.wait()) for watch in sides.values()]
        _, late = await asyncio.wait(waiting, timeout=self.interval_s, return_when=asyncio.FIRST_COMPLETED)
        if late and len(late) < len(waiting):
            # The other side is most often done a moment later: one transaction for both.
            await asyncio.wait(late, timeout=min(0.3, self.interval_s / 4))
        for task in waiting:
            task.cancel()
        for watch in sides.values():
            watch.news.clear()

    def write(self, pair: SitePair, readings: Mapping[Side, SiteReading]) -> int:
        """One round into rows, in one transaction, with hints for what changed. How many images changed."""
        try:
            return self._write(pair, readings, timezone.now())
        except Exception:
            self.book, self.clouds, self.keeper = None, {}, Keeper()  # they are ahead of the database now
            raise

    def _write(self, pair: SitePair, readings: Mapping[Side, SiteReading], now: dt.datetime) -> int:
        self.book = self.book or ImageBook(pair)
        with transaction.atomic():
            written = self.book.round(readings, now, sampler=self.sampler)
            self.sampler.flush(now)
            sites_changed, vms_changed = False, set[int]()
            for side, reading in readings.items():
                site = pair.a if side is Side.A else pair.b
                sites_changed |= heard.write_reach(site, reading, now)
                sites_changed |= installed.write_program(site, reading.hello, reading.asked_at)
                sites_changed |= heard.write_pools(site, reading)
                sites_changed |= write_schedules(site, reading, now)
                self.keeper.keep(site, reading.answers)
                vms_changed |= self.write_cloud(site, side, pair, reading)
            SitePair.objects.filter(pk=pair.pk).update(polled_at=now)
            self.beside.seen(RoundSeen(pair, readings, self.book, now))
            hint(pair, written.changed, vms_changed, overview=sites_changed or written.verdicts, sites=sites_changed)
        return len(written.changed)

    def write_cloud(self, site: Site, side: Side, pair: SitePair, reading: SiteReading) -> set[int]:
        if reading.everything is None:
            return set()
        book = self.clouds.setdefault(side, cloud.CloudBook())
        changed = cloud.write_vms(site, pair, reading.everything, reading.asked_at)
        last = self.definitions_at.get(side)
        if last is None or changed or (reading.asked_at - last).total_seconds() >= DEFINITIONS_EVERY_S:
            cloud.write_definitions(site, reading.everything, reading.asked_at, book)
            cloud.write_ground(site, reading.everything, reading.asked_at)
            self.definitions_at[side] = reading.asked_at
        return changed


def hint(pair: SitePair, images: Collection[int], vms: Collection[int], *, overview: bool, sites: bool) -> None:
    """Tell the pages what to fetch again."""
    topics: dict[str, int] = {}
    if images or vms:
        topics[f"pair:{pair.pk}"] = pair.version
        grouped = MirroredImage.objects.filter(Q(pk__in=images) | Q(disks__vm__in=vms), pair=pair)
        plans = set(grouped.values_list("disks__vm__membership__group__plan", flat=True)) - {None}
        topics |= {f"plan:{plan_id}": 0 for plan_id in plans}
    if overview or vms:
        topics["overview"] = 0
    if sites or vms:
        topics["sites"] = 0
    publish_all(topics)


def take_lease(pair_id: int, owner: str) -> bool:
    """Become or stay the pair's only poller. False while another one is."""
    now = timezone.now()
    free = Q(lease_owner=owner) | Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    until = now + dt.timedelta(seconds=LEASE_S)
    return SitePair.objects.filter(free, pk=pair_id).update(lease_owner=owner, lease_until=until) == 1


def give_up_leases(owner: str) -> None:
    """At the end: the next poller need not wait for the lease to run out."""
    SitePair.objects.filter(lease_owner=owner).update(lease_until=None)


def load(pair_id: int) -> tuple[SitePair, tuple[object, ...], list[str]]:
    """The pair, what its connections depend on, and the images that runs hold (``pool/name``)."""
    pair = SitePair.objects.select_related("a", "b").get(pk=pair_id)
    credentials = tuple(site.credentials.aggregate(at=Max("changed_at"))["at"] for site in (pair.a, pair.b))
    witnesses = tuple(pair.witnesses.values_list("pk", "version"))
    held = [str(row) for row in MirroredImage.objects.filter(pair=pair, runs__held=True).distinct()]
    return pair, (pair.version, tuple(pair.pools), pair.a.version, pair.b.version, witnesses, *credentials), held


def pair_ids() -> list[int]:
    return list(SitePair.objects.values_list("pk", flat=True))


async def in_database(work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """Run ``work`` in the one thread that holds the database connection; a broken connection is replaced before it."""

    def with_usable_connection() -> Result:
        close_old_connections()
        return work(*args, **kwargs)

    return await sync_to_async(with_usable_connection, thread_sensitive=True)()


class Poller:
    """All pairs, until stopped. New pairs are taken up, removed ones dropped."""

    def __init__(self, interval_s: float | None = None, beside: Beside | None = None) -> None:
        self.interval_s = interval_s or settings.POLL_INTERVAL_S
        self.beside = beside
        self.owner = f"{socket.gethostname()[:60]}:{os.getpid()}:{os.urandom(4).hex()}"
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        watches: dict[int, asyncio.Task[None]] = {}
        try:
            while not self.stopping.is_set():
                await self.keep_up(watches)
                try:
                    await asyncio.wait_for(self.stopping.wait(), PAIRS_EVERY_S)
                except TimeoutError:
                    continue
        finally:
            for task in watches.values():
                task.cancel()
            await asyncio.gather(*watches.values(), return_exceptions=True)
            await in_database(give_up_leases, self.owner)

    async def keep_up(self, watches: dict[int, asyncio.Task[None]]) -> None:
        """One watch for each pair that there is."""
        try:
            wanted = set(await in_database(pair_ids))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the database does not answer: %s", error)
            return
        for pair_id in watches.keys() - wanted:
            watches.pop(pair_id).cancel()
        for pair_id in wanted - watches.keys():
            watch = PairWatch(pair_id, self.owner, self.interval_s, self.beside)
            watches[pair_id] = asyncio.create_task(watch.run())
