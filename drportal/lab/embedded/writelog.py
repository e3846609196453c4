"""The write history of one copy of an image: what was written, in which order, and what the disk then holds.

In journal mode this is the image's journal and its positions are shown; in snapshot mode it only serves to know the
content. Nothing ticks: while a VM writes, the length is a function of the clock.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import count

SPLAY = 4  # rbd_journal_splay_width: entries go round this many journal objects
SET_ENTRIES = 4096  # entries until the next set of journal objects is opened

_numbers = count(1)

Position = tuple[int, int, int]  # object number, tag, entry


def digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Content:
    """What a disk holds, as two identities: what was filled in on purpose, and what guests have written since.

    Two disks are equal when both are. The lab's checksum is the first one alone, so that a test can compare disks
    before and after a failover although their VMs wrote in between.
    """

    fill: str
    guest: str = ""

    @classmethod
    def named(cls, *parts: object) -> Content:
        return cls(digest(*parts))

    def mixed_with(self, newer: Content, how: str) -> Content:
        """Neither this nor `newer`, unless they are the same: a copy stopped halfway, or laid on a wrong base."""
        if self == newer:
            return self
        fill = self.fill if self.fill == newer.fill else digest(how, self.fill, newer.fill)
        return Content(fill, digest(how, self.guest, newer.guest))


def seed_content(seed: object, size_bytes: int) -> Content:
    """What a disk of this size holds after a fill with `seed`, whatever it held before."""
    return Content.named("fill", seed, size_bytes)


@dataclass(frozen=True, slots=True)
class Point:
    """A place in history: the first `index` entries of one log."""

    log: int
    index: int


@dataclass(slots=True)
class Segment:
    """A run of entries of one kind under one tag. `count` is final once `ended` is set."""

    kind: str  # "fill", "vm", or "owner" (the record of a promotion or a demotion: no data)
    tag: int
    first_entry: int
    start: int
    began: float
    before: Content
    count: int = 0
    label: str = ""
    rate_per_s: float = 0.0
    ended: float | None = None

    def count_at(self, now: float) -> int:
        """Entries of this segment that existed at `now`."""
        if self.ended is not None and now >= self.ended:
            return self.count
        if now < self.began:
            return 0
        grown = int(self.rate_per_s * (now - self.began))
        return grown if self.ended is None else min(grown, self.count)

    def content_after(self, entries: int, size_bytes: int) -> Content:
        if entries <= 0 or self.kind == "owner":
            return self.before
        if self.kind == "vm":
            return Content(self.before.fill, digest("vm", self.before.guest, self.label, entries))
        if entries >= self.count:
            return seed_content(self.label, size_bytes)
        return Content.named("partly filled", self.before, self.label, entries)


@dataclass(slots=True)
class WriteLog:
    """The log of one copy. It grows only while the copy is primary."""

    base: Content
    size_bytes: int
    number: int = field(default_factory=lambda: next(_numbers))
    segments: list[Segment] = field(default_factory=list)
    epochs: list[tuple[int, Point | None]] = field(default_factory=list)  # start index, and where it branched off

    def length_at(self, now: float) -> int:
        for segment in reversed(self.segments):
            if segment.began <= now:
                return segment.start + segment.count_at(now)
        return 0

    def data_between(self, begin: int, end: int) -> int:
        """Entries that write something, of those from ``begin`` to before ``end``."""
        found = 0
        for segment in self.segments:
            last = end if segment.ended is None else min(end, segment.start + segment.count)
            if segment.kind != "owner":
                found += max(0, last - max(begin, segment.start))
        return found

    def content_at(self, index: int) -> Content:
        place = bisect_right(self.segments, index - 1, key=lambda s: s.start) - 1
        if index <= 0 or place < 0:
            return self.base if not self.segments else self.segments[0].before
        segment = self.segments[place]
        return segment.content_after(index - segment.start, self.size_bytes)

    @property
    def tag(self) -> int:
        return self.segments[-1].tag if self.segments else 0

    def begin_epoch(self, parent: Point | None, content: Content, tag: int, now: float, *, entries: int = 1) -> None:
        """A promotion: from here on this log's owner writes, on top of `content`, which was read at `parent`."""
        self.close(now)
        self.epochs.append((self.length_at(now), parent))
        self._append("owner", now, tag=tag, count=entries, before=content)

    def end_epoch(self, now: float) -> None:
        """A demotion: one last record. Ceph takes two tags for it, one for the lock and one for the record."""
        self.close(now)
        self._append("owner", now, tag=self.tag + 2, count=1)

    def fill(self, seed: object, now: float) -> None:
        self.close(now)
        entries = max(1, min(1024, self.size_bytes // 16384))
        self._append("fill", now, tag=self._writer_tag(), count=entries, label=str(seed))

    def open(self, client: str, rate_per_s: float, now: float) -> None:
        """A VM begins to write at a steady rate; any earlier writer is closed."""
        self.close(now)
        segment = self._append("vm", now, tag=self._writer_tag(), label=client)
        segment.rate_per_s, segment.ended = rate_per_s, None

    def close(self, now: float) -> None:
        if not self.segments or self.segments[-1].ended is not None:
            return
        last = self.segments[-1]
        last.count, last.ended = last.count_at(now), now
        if not last.count:
            self.segments.pop()

    def positions(self, index: int) -> list[Position]:
        """Commit position after `index` entries, newest first, at most one per journal object of a set."""
        found: dict[int, Position] = {}
        for segment in reversed(self.segments):
            last = min(index, segment.start + (segment.count if segment.ended is not None else index)) - segment.start
            for offset in range(last - 1, max(-1, last - 1 - SPLAY), -1):
                entry = segment.first_entry + offset
                if entry % SPLAY not in found:
                    found[entry % SPLAY] = (entry // SET_ENTRIES * SPLAY + entry % SPLAY, segment.tag, entry)
            if len(found) == SPLAY:
                break
        return list(found.values())

    def contains(self, point: Point, until: int, logs: dict[int, WriteLog]) -> bool:
        """Whether this log's history up to `until` passes through `point`, following where it branched off."""
        log, index = self, until
        for _ in range(1000):
            if log.number == point.log and log._epoch_start(index) <= point.index <= index:
                return True
            parent = log._parent(index)
            if parent is None or parent.log not in logs:
                return parent == point
            log, index = logs[parent.log], parent.index
        return False

    def _epoch_start(self, index: int) -> int:
        return max((start for start, _ in self.epochs if start < index), default=0)

    def _parent(self, index: int) -> Point | None:
        inside = [parent for start, parent in self.epochs if start < index or start == index == 0]
        return inside[-1] if inside else None

    def _writer_tag(self) -> int:
        """A writer's first lock takes a new tag, except right after a promotion, which already took one."""
        last = self.segments[-1] if self.segments else None
        return self.tag if last is not None and last.kind == "owner" else self.tag + 1

    def _append(
        self, kind: str, now: float, *, tag: int, count: int = 0, label: str = "", before: Content | None = None
    ) -> Segment:
        last = self.segments[-1] if self.segments else None
        if before is None:
            before = self.base if last is None else last.content_after(last.count, self.size_bytes)
        first = last.first_entry + last.count if last is not None and last.tag == tag else 0
        start = 0 if last is None else last.start + last.count
        segment = Segment(kind, tag, first, start, now, before, count=count, label=label, ended=now)
        self.segments.append(segment)
        return segment
