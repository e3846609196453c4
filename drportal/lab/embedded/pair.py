"""One image on two sites and the laws it obeys: promote, demote, resync, write, and the traps in them.

Nothing here runs by itself. `advance(now)` (replaying.py) plays everything up to `now` that rbd-mirror would have done
by then; every method below must be called on a pair that has been advanced to the same `now`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from drportal.lab.embedded.copies import (
    JOURNAL,
    SNAPSHOT,
    Copy,
    Published,
    Role,
    Snap,
    new_image_id,
    new_uuid,
    new_watcher,
)
from drportal.lab.embedded.progress import replayed, stop
from drportal.lab.embedded.timing import Timing
from drportal.lab.embedded.writelog import Content, Point, WriteLog

_MOST_SNAPS = 5  # rbd_mirroring_max_mirroring_snapshots


class Refused(Exception):
    """Ceph says no. `why` names the case; rbd.py knows the words for it."""

    def __init__(self, exit_code: int, why: str) -> None:
        super().__init__(f"{why} (exit {exit_code})")
        self.exit_code = exit_code
        self.why = why


class Surroundings(Protocol):
    """What a pair needs to know of the two sites."""

    timing: Timing
    write_rate_per_s: float

    def other(self, site: str) -> str: ...

    def site_up(self, site: str) -> bool: ...

    def daemon_works(self, site: str) -> bool:
        """The rbd-mirror of this site runs and its own cluster answers."""

    def replay_rate_per_s(self, site: str) -> float:
        """Entries per second that this site's rbd-mirror applies now; 0 while it cannot reach the peer."""

    def parted(self) -> bool:
        """The line between the sites is cut, and both live."""

    def tick_number(self, site: str, at: float) -> int:
        """How many status beats of this site's rbd-mirror have passed; below 0 before its first."""

    def tick_time(self, site: str, number: int) -> float: ...

    def schedule_s(self, site: str, image: str) -> float | None:
        """Between two mirror snapshots that this site's manager takes of the image; None: it takes none."""

    def next_snap_id(self, site: str) -> int: ...


@dataclass(slots=True)
class Pair:
    """The image `name` of the pool, on both sites. `mode` is None while it is not mirrored."""

    name: str
    size_bytes: int
    around: Surroundings = field(repr=False)
    at: float
    mode: str | None = None
    global_id: str = field(default_factory=new_uuid)
    copies: dict[str, Copy] = field(default_factory=dict)
    published: dict[str, Published | None] = field(default_factory=dict)  # by site's daemon, in its own cluster
    published_far: dict[str, Published | None] = field(default_factory=dict)  # by site's daemon, in the peer's cluster
    ticked: dict[str, int] = field(default_factory=dict)
    calm: int = 0  # beats since something last happened: afterwards beats are skipped
    due_at: float = -math.inf  # nothing happens by itself before; not known after something was done to it
    create_at: dict[str, float] = field(default_factory=dict)
    logs: dict[int, WriteLog] = field(default_factory=dict)
    phase: float = 0.0  # of the journal poll

    # ---- reading

    def copy(self, site: str) -> Copy:
        """Raises Refused(2) if the image does not exist at that site."""
        if site not in self.copies:
            raise Refused(2, "no such image")
        return self.copies[site]

    def far(self, site: str) -> Copy | None:
        return self.copies.get(self.around.other(site))

    def writable(self, site: str) -> bool:
        return self.copy(site).role in (None, Role.PRIMARY)

    def content(self, site: str, now: float) -> Content:
        """Identity of what a reader at that site gets."""
        copy = self.copy(site)
        if self.writable(site):
            return copy.log.content_at(copy.log.length_at(now))
        if copy.syncing:
            return Content.named("not yet copied", copy.image_id)
        last, source = copy.last_snap, self.far(site)
        if last is not None and not last.complete:
            return copy.base.mixed_with(last.content, "torn")
        if self.mode == JOURNAL and copy.replay is not None and source is not None:
            return source.log.content_at(replayed(self, copy, now))
        return copy.base

    def blocked_until(self, site: str, now: float, *, force: bool = False) -> float:
        """Until when a promotion has to wait: for a dead rbd-mirror's lock (time), or for ever (inf)."""
        copy = self.copy(site)
        if copy.role is Role.PRIMARY or (copy.role is Role.REPLICA and not force):
            return now
        return max(now, copy.lock_until)

    # ---- acting

    def new_copy(self, site: str, content: Content, now: float) -> Copy:
        log = WriteLog(content, self.size_bytes)
        self.logs[log.number] = log
        copy = Copy(site, new_image_id(), now, now, content, log)
        self.copies[site] = copy
        return copy

    def create(self, site: str, now: float) -> None:
        if site in self.copies:
            raise Refused(17, "image exists")
        copy = self.new_copy(site, Content.named("zeroes", self.size_bytes), now)
        copy.log.begin_epoch(None, copy.base, 1, now)

    def enable(self, site: str, mode: str, now: float) -> None:
        copy = self.copy(site)
        if self.mode is not None and copy.role is not None:
            if self.mode != mode:
                raise Refused(22, "other mode")
            return
        if self.far(site) is not None:
            raise Refused(17, "an image of this name exists on the other side")
        self.mode, self.global_id, copy.role = mode, new_uuid(), Role.PRIMARY
        if mode == SNAPSHOT:
            self.take_snap(copy, now, demoted=False)
        self.create_at[self.around.other(site)] = now + self.around.timing.create_s
        self.touch(now)

    def disable(self, site: str, now: float) -> None:
        copy = self.copy(site)
        if copy.role is None:
            return
        if copy.role is not Role.PRIMARY:
            raise Refused(22, "disable on non-primary")
        self.forget_far(site)
        self.mode, copy.role, copy.snaps = None, None, []
        self.published.clear()
        self.published_far.clear()
        self.touch(now)

    def forget_far(self, site: str) -> None:
        """rbd-mirror deletes the other side's copy when the primary is gone or no longer mirrored."""
        far = self.far(site)
        if far is not None and far.role is not Role.PRIMARY:
            del self.copies[far.site]
        self.create_at.clear()

    def remove(self, site: str, now: float) -> None:
        copy = self.copy(site)
        if copy.users or (copy.role not in (None, Role.PRIMARY)):
            raise Refused(16, "image has watchers")
        if copy.role is Role.PRIMARY:
            self.forget_far(site)
        del self.copies[site]
        self.touch(now)

    def demote(self, site: str, now: float) -> None:
        copy = self.mirrored(site)
        if copy.role is not Role.PRIMARY:
            raise Refused(22, "not primary")
        copy.log.end_epoch(now)
        length = copy.log.length_at(now)
        copy.base, copy.point, copy.role = copy.log.content_at(length), Point(copy.log.number, length), Role.ORPHAN
        if self.mode == SNAPSHOT:
            self.take_snap(copy, now, demoted=True)
        copy.modified = now
        self.touch(now)

    def promote(self, site: str, now: float, *, force: bool = False) -> None:
        """Accepts whatever Ceph accepts. Unforced it looks at the local copy only, and so can lose data."""
        copy = self.mirrored(site)
        if copy.role is Role.PRIMARY:
            raise Refused(22, "already primary")
        if not force:
            if copy.role is Role.REPLICA:
                raise Refused(16, "remote is primary")
            if copy.replay is not None and self.around.daemon_works(site):
                raise Refused(30, "locked by rbd-mirror")
        if force and copy.last_snap is not None and not copy.last_snap.complete:
            copy.snaps.pop()  # rolled back to the last whole snapshot
        content = self.content(site, now)
        stop(self, copy, now)
        if copy.last_snap is not None and not copy.last_snap.complete:
            copy.last_snap.content = content  # a torn disk: neither the old nor the new generation
        copy.base, copy.sync_from, copy.resync = content, None, False
        copy.log.begin_epoch(copy.point, content, self._known_tag(copy) + 2, now)
        copy.role, copy.modified = Role.PRIMARY, now
        if self.mode == SNAPSHOT:
            self.take_snap(copy, now, demoted=False)
        self.touch(now)

    def resync(self, site: str, now: float) -> None:
        """Only sets a flag. rbd-mirror obeys it once the other side is primary, however much later that is."""
        copy = self.mirrored(site)
        if copy.role is Role.PRIMARY:
            raise Refused(22, "resync on primary")
        copy.resync = True
        self.touch(now)

    def mirror_snapshot(self, site: str, now: float) -> int:
        copy = self.mirrored(site)
        if self.mode != SNAPSHOT:
            raise Refused(22, "not snapshot mode")
        if copy.role is not Role.PRIMARY:
            raise Refused(22, "snapshot on non-primary")
        snap = self.take_snap(copy, now, demoted=False)
        self.touch(now)
        return snap.id

    def fill(self, site: str, seed: object, now: float) -> None:
        if not self.writable(site):
            raise Refused(30, "read-only")
        copy = self.copies[site]
        copy.log.fill(seed, now)
        copy.modified = now
        self.touch(now)

    def attach(self, site: str, client: str, host: str, now: float) -> None:
        copy = self.copy(site)
        if client not in copy.users:
            copy.users[client] = new_watcher(host)
            self.touch(now)

    def detach(self, site: str, client: str, now: float) -> None:
        copy = self.copies.get(site)
        if copy is not None and copy.users.pop(client, None) is not None:
            self.touch(now)

    # ---- parts

    def mirrored(self, site: str) -> Copy:
        copy = self.copy(site)
        if copy.role is None:
            raise Refused(22, "not mirrored")
        return copy

    def take_snap(self, copy: Copy, now: float, *, demoted: bool) -> Snap:
        length = copy.log.length_at(now)
        content = copy.log.content_at(length)
        snap = Snap(self.around.next_snap_id(copy.site), new_uuid(), now, demoted, content, length, source_created=now)
        copy.snaps.append(snap)
        self._limit_snaps(copy)
        return snap

    def _limit_snaps(self, copy: Copy) -> None:
        """Of too many since the last demotion the newest but one goes. Never the first, which a peer that was away goes
        on from; nor what it is copying now."""
        since = next((i for i, kept in reversed(list(enumerate(copy.snaps))) if kept.demoted), -1) + 1
        linked = [kept for kept in copy.snaps[since:] if kept.source_id is None and kept.peer_linked]
        far = self.far(copy.site)
        copied = far.replay.busy if far is not None and far.replay is not None else None
        if len(linked) > _MOST_SNAPS:
            copy.snaps.remove(next(kept for kept in reversed(linked[1:-1]) if kept is not copied))

    def touch(self, now: float) -> None:
        """Something happened: look at every beat again for a while, and let those write who may."""
        self.calm, self.due_at = 0, -math.inf
        for copy in self.copies.values():
            self._set_writers(copy, now)

    def _set_writers(self, copy: Copy, now: float) -> None:
        writes = copy.users and self.writable(copy.site) and self.around.site_up(copy.site)
        if not writes or self.around.write_rate_per_s <= 0:
            copy.log.close(now)
            return
        label = ",".join(sorted(copy.users))
        last = copy.log.segments[-1] if copy.log.segments else None
        if last is None or last.ended is not None or last.label != label:
            copy.log.open(label, self.around.write_rate_per_s * len(copy.users), now)

    def _known_tag(self, copy: Copy) -> int:
        """The newest journal tag this copy knows: its own last one or the last one it replayed."""
        tags = [copy.log.tag]
        if copy.point is not None and copy.point.log in self.logs:
            tags += [tag for _, tag, _ in self.logs[copy.point.log].positions(copy.point.index)]
        return max(tags)
