"""Two sites, their mirror daemons, and every image: the whole state of the embedded lab's storage.

Pure: time comes from the `clock` callable (seconds since the epoch) and nothing happens between two calls.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from drportal.lab.embedded.copies import JOURNAL, SNAPSHOT, Published, Replay, Role, Snap, Watcher, new_uuid
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.progress import rebase
from drportal.lab.embedded.replaying import advance, daemon_goes_on, daemon_gone, daemon_stands
from drportal.lab.embedded.schedules import Schedules
from drportal.lab.embedded.storage import StorageError
from drportal.lab.embedded.timing import Timing
from drportal.lab.embedded.writelog import Content, Point

SITES = ("a", "b")


@dataclass(slots=True)
class Daemon:
    """rbd-mirror of one site. Its beat starts at `first_tick`."""

    site: str
    first_tick: float
    running: bool = True
    hung: bool = False
    died: float = -math.inf  # or since when it stands still
    shut_out: bool = False  # while it stood still
    service_id: int = 4111
    old_service_id: int | None = None

    def works(self) -> bool:
        return self.running and not self.hung

    def seen_up(self, now: float, watch_s: float) -> bool:
        """Whether Ceph shows "up+": a dead daemon is noticed only when its watch expires."""
        if self.works() and now >= self.first_tick:
            return True
        return now < self.died + watch_s


@dataclass(slots=True)
class Site:
    """One Ceph cluster. `up` is False while it is dead or hung."""

    key: str
    name: str
    mirror_uuid: str
    peer_uuid: str
    daemon: Daemon
    up: bool = True
    rate_limit_per_s: float | None = None  # the slow-replay fault, in journal entries of 16 KiB
    snap_ids: int = 10
    blocklist: dict[str, float] = field(default_factory=dict)  # address -> until
    schedules: Schedules = field(default_factory=lambda: Schedules("one"))


@dataclass(slots=True)
class World:
    """All of it. Implements pair.Surroundings."""

    clock: Callable[[], float]
    timing: Timing = field(default_factory=Timing)
    pool: str = "one"
    write_rate_per_s: float = 2.0  # per disk a VM has open
    sites: dict[str, Site] = field(default_factory=dict)
    pairs: dict[str, Pair] = field(default_factory=dict)
    room_bytes: int = 1 << 44  # what `ceph df` tells
    _parted: set[str] = field(default_factory=set)  # why the line between the sites is cut
    _services: count[int] = field(default_factory=lambda: count(4111, 162))

    def __post_init__(self) -> None:
        began = self.clock() - self.timing.tick_s * 3
        for offset, key in enumerate(SITES):
            daemon = Daemon(key, began + offset * self.timing.tick_s / 6, service_id=4111 - 2 * offset)
            self.sites[key] = Site(key, f"site-{key}", new_uuid(), new_uuid(), daemon, schedules=Schedules(self.pool))
        next(self._services)

    # ---- pair.Surroundings

    def other(self, site: str) -> str:
        return "b" if site == "a" else "a"

    def site_up(self, site: str) -> bool:
        return self.sites[site].up

    def daemon_works(self, site: str) -> bool:
        return self.sites[site].up and self.sites[site].daemon.works()

    def replay_rate_per_s(self, site: str) -> float:
        if not self.daemon_works(site) or not self.sites[self.other(site)].up or self._parted:
            return 0.0
        limit = self.sites[site].rate_limit_per_s
        return self.timing.entries_per_s if limit is None else max(limit, 1e-9)

    def parted(self) -> bool:
        return bool(self._parted) and all(site.up for site in self.sites.values())

    def tick_number(self, site: str, at: float) -> int:
        return math.floor((at - self.sites[site].daemon.first_tick) / self.timing.tick_s)

    def tick_time(self, site: str, number: int) -> float:
        return self.sites[site].daemon.first_tick + number * self.timing.tick_s

    def schedule_s(self, site: str, image: str) -> float | None:
        minutes = self.sites[site].schedules.minutes(image)
        return None if minutes is None else minutes * self.timing.schedule_s

    def next_snap_id(self, site: str) -> int:
        self.sites[site].snap_ids += 1
        return self.sites[site].snap_ids

    # ---- images

    def pair(self, name: str) -> Pair:
        """The image, brought to now. Raises Refused(2) if no site has it."""
        found = self.pairs.get(name)
        if found is None:
            raise Refused(2, "no such image")
        advance(found, self.clock())
        return found

    def pairs_at(self, site: str) -> list[Pair]:
        """Every image this site has, by name, brought to now."""
        now = self.clock()
        for pair in self.pairs.values():
            advance(pair, now)
        return [pair for name, pair in sorted(self.pairs.items()) if site in pair.copies]

    def create(self, site: str, name: str, size_bytes: int) -> Pair:
        """`rbd create`: not mirrored yet. Raises Refused(17) if this site has it already."""
        now = self.clock()
        pair = self.pairs.get(name)
        if pair is None or not pair.copies:
            pair = Pair(name, size_bytes, self, now)
            pair.phase = zlib.crc32(name.encode()) % 1000 / 1000 * self.timing.poll_s
            pair.ticked = {key: self.tick_number(key, now) for key in SITES}
        pair.create(site, now)
        self.pairs[name] = pair
        return pair

    def copy_image(self, site: str, name: str, new: str) -> None:
        """`rbd copy`: what a reader at that site gets now, as an image that is not mirrored. Raises Refused."""
        source, now = self.pair(name), self.clock()
        content = source.content(site, now)
        copy = self.create(site, new, source.size_bytes).copies[site]
        copy.base = copy.log.base = content
        for segment in copy.log.segments:
            segment.before = content

    def rename(self, site: str, name: str, new: str) -> None:
        """`rbd rename` of an image that is not mirrored. Raises Refused."""
        pair = self.pair(name)
        pair.copy(site)
        if new in self.pairs and self.pairs[new].copies:
            raise Refused(17, "image exists")
        self.pairs[new] = self.pairs.pop(name)
        pair.name = new

    def settled_pair(self, site: str, name: str, size_bytes: int, mode: str) -> Pair:
        """An image that has been mirrored from `site` for a while: both copies there, equal, status known."""
        now = self.clock()
        pair = self.create(site, name, size_bytes)
        ours, far = pair.copies[site], self.other(site)
        pair.mode, ours.role = mode, Role.PRIMARY
        ours.base = Content.named("as installed", name)
        ours.log.segments.clear()
        ours.log.epochs.clear()
        ours.log.base = ours.base
        ours.log.begin_epoch(None, ours.base, 1, now - self.timing.tick_s, entries=4)
        theirs = pair.new_copy(far, ours.base, now)
        theirs.role, theirs.point = Role.REPLICA, Point(ours.log.number, 4)
        theirs.replay = Replay(now - self.timing.tick_s * 2, 4, 4, self.replay_rate_per_s(far))
        pair.touch(now)
        if mode == SNAPSHOT:
            pair.take_snap(ours, now - self.timing.tick_s * 1.5, demoted=False).peer_linked = False
            snap = pair.take_snap(ours, now - self.timing.tick_s, demoted=False)
            mine = Snap(self.next_snap_id(far), new_uuid(), snap.created, False, snap.content)
            mine.source_id, mine.source_created = snap.id, snap.created
            theirs.snaps.append(mine)
        pair.ticked = {key: self.tick_number(key, now) - 1 for key in SITES}
        advance(pair, now)
        return pair

    # ---- the sites' health

    def settle(self) -> None:
        """Bring everything to now: needed before anything changes for all images at once."""
        now = self.clock()
        for pair in self.pairs.values():
            advance(pair, now)

    def _changed(self) -> None:
        now = self.clock()
        for pair in self.pairs.values():
            for copy in pair.copies.values():
                rebase(pair, copy, now)
            pair.touch(now)

    def kill_daemon(self, site: str) -> None:
        self.settle()
        now, daemon = self.clock(), self.sites[site].daemon
        if daemon.running:
            if not daemon.hung:
                daemon.died = now
            daemon.running, daemon.hung = False, False
            for pair in self.pairs.values():
                daemon_gone(pair, site, now)

    def hang_daemon(self, site: str) -> None:
        """SIGSTOP: like dead to everybody who looks, but it keeps what it holds until it is killed or goes on."""
        self.settle()
        now, daemon = self.clock(), self.sites[site].daemon
        if daemon.works():
            daemon.hung, daemon.died = True, now
            for pair in self.pairs.values():
                daemon_stands(pair, site, now)

    def thaw_daemon(self, site: str) -> None:
        """SIGCONT: it goes on where it stood, but for one that was shut out meanwhile: it comes back as a new client.
        Nothing happens to one that does not stand still."""
        self.settle()
        now, daemon = self.clock(), self.sites[site].daemon
        if not daemon.hung:
            return
        if daemon.shut_out:
            daemon.running, daemon.hung = False, False
            self.start_daemon(site)
            return
        stood_s, daemon.hung, daemon.died = now - daemon.died, False, -math.inf
        for pair in self.pairs.values():
            daemon_goes_on(pair, site, now, stood_s)

    def start_daemon(self, site: str) -> None:
        """Start rbd-mirror where it is dead. It works once its predecessor's watch has expired."""
        self.settle()
        now, daemon = self.clock(), self.sites[site].daemon
        if daemon.running or not self.sites[site].up:
            return
        ready = max(now + self.timing.restart_s, daemon.died + self.timing.watch_s)
        fresh = Daemon(site, ready, died=daemon.died, service_id=next(self._services))
        fresh.old_service_id = daemon.service_id
        self.sites[site].daemon = fresh
        for pair in self.pairs.values():
            pair.ticked[site] = -1
            pair.published_far[site] = None
            pair.touch(now)

    def fail_site(self, site: str) -> None:
        """The cluster stops answering, and its rbd-mirror with it."""
        if self.sites[site].up:
            self.kill_daemon(site)
            self.sites[site].up = False
            self._changed()

    def restore_site(self, site: str) -> None:
        if not self.sites[site].up:
            self.settle()
            self.sites[site].up = True
            self._changed()
            self.start_daemon(site)

    def part_sites(self, why: str) -> None:
        """The line between the sites is cut: both go on, and nothing is copied."""
        self.settle()
        self._parted.add(why)
        self._changed()

    def join_sites(self, why: str) -> None:
        """That is over; the line is whole when nothing else cuts it."""
        if why in self._parted:
            self.settle()
            self._parted.remove(why)
            self._changed()

    def limit_replay(self, site: str, entries_per_s: float | None) -> None:
        self.settle()
        self.sites[site].rate_limit_per_s = entries_per_s
        self._changed()

    def daemon_watcher(self, of: str, at: str) -> Watcher | None:
        """The handle of the rbd-mirror of one site at a site; a dead daemon's stays for `watch_s`."""
        daemon = self.sites[of].daemon
        if not (self.sites[of].up and daemon.works()) and self.clock() >= daemon.died + self.timing.watch_s:
            return None
        client = daemon.service_id + (2 if of == at else 5)
        return Watcher(client, 0x560000000000 + client, f"127.0.0.1:0/{1_000_000 + client}")

    # ---- fences

    def blocklisted(self, site: str) -> dict[str, float]:
        now, kept = self.clock(), self.sites[site].blocklist
        for address in [address for address, until in kept.items() if until <= now]:
            del kept[address]
        return kept

    def blocklist(self, site: str, address: str, expire_s: float) -> None:
        """Shut these clients out of the cluster: what they have open is theirs no more. `address` is IP:PORT/NONCE, or
        IP:0/0 for every client of a host."""
        now, host = self.clock(), address.removesuffix(":0/0")
        self.sites[site].blocklist[address] = now + expire_s
        for pair in self.pairs_at(site):
            users = pair.copies[site].users
            for name in [n for n, w in users.items() if w.address == address or w.address.rpartition(":")[0] == host]:
                pair.detach(site, name, now)
        own = self.daemon_watcher(site, site)
        if own is not None and own.address == address:
            self._shut_out_daemon(site)

    def _shut_out_daemon(self, site: str) -> None:
        """Its watches and locks are gone at once; it comes back as a new client, unless it stands still."""
        hung = self.sites[site].daemon.hung
        self.kill_daemon(site)
        now, daemon = self.clock(), self.sites[site].daemon
        daemon.died = now - self.timing.watch_s
        for pair in self.pairs_at(site):
            pair.copies[site].lock_until = now
            pair.touch(now)
        if hung:
            daemon.running, daemon.hung, daemon.shut_out = True, True, True
        else:
            self.start_daemon(site)

    # ---- what rbd-mirror said

    def shown(self, pair: Pair, of: str, at_site: str) -> tuple[str, Published | None]:
        """The status that the daemon of site `of` wrote into the cluster `at_site`: ("up" or "down", what)."""
        said = (pair.published if of == at_site else pair.published_far).get(of)
        if said is None:
            return "down", None
        return ("up" if self.sites[of].daemon.seen_up(self.clock(), self.timing.watch_s) else "down"), said


@dataclass(slots=True)
class SiteStorage:
    """One site's images as hypervisors and image drivers use them: implements storage.Storage."""

    world: World
    site: str
    host_of: Callable[[str], str] = lambda client: "127.0.0.1"

    def attach(self, source: str, client: str) -> None:
        self._there(source).attach(self.site, client, self.host_of(client), self.world.clock())

    def detach(self, source: str, client: str) -> None:
        pair = self.world.pairs.get(self._name(source))
        if pair is not None:
            self.world.pair(pair.name).detach(self.site, client, self.world.clock())

    def exists(self, source: str) -> bool:
        try:
            self._there(source)
        except StorageError:
            return False
        return True

    def size_bytes(self, source: str) -> int:
        return self._there(source).size_bytes

    def create(self, source: str, size_bytes: int) -> None:
        self._alive()
        try:
            self.world.create(self.site, self._name(source), size_bytes)
        except Refused as refused:
            raise StorageError(f"rbd: create error: (17) File exists ({source}): {refused.why}") from refused

    def remove(self, source: str) -> None:
        try:
            self._there(source).remove(self.site, self.world.clock())
        except Refused as refused:
            raise StorageError(f"rbd: error: image still has watchers ({source})") from refused

    def primary(self, source: str) -> bool:
        return self._there(source).writable(self.site)

    def _there(self, source: str) -> Pair:
        self._alive()
        name = self._name(source)
        try:
            pair = self.world.pair(name)
            pair.copy(self.site)
        except Refused as refused:
            raise StorageError(f"rbd: error opening image {name}: (2) No such file or directory") from refused
        return pair

    def _name(self, source: str) -> str:
        pool, _, name = source.partition("/")
        if pool != self.world.pool or not name:
            raise StorageError(f"rbd: error opening pool '{pool}': (2) No such file or directory")
        return name

    def _alive(self) -> None:
        if not self.world.site_up(self.site):
            raise StorageError("rbd: couldn't connect to the cluster!")


__all__ = ["JOURNAL", "SITES", "SNAPSHOT", "Daemon", "Site", "SiteStorage", "World"]
