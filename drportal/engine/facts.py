"""What the engine is told about the world: plain facts with the time they were read. Missing means *cannot tell*, never
a guess.

The engine does not import the drivers; whoever reads a site translates the driver's answers into these
(``recovery/facts.py``).
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass


class Mode(enum.StrEnum):
    JOURNAL = "journal"
    SNAPSHOT = "snapshot"


class Side(enum.StrEnum):
    """The two sides of an image. For a run they are the source (moving away from) and the target."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Side:
        return Side.B if self is Side.A else Side.A


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The newest entry that a journal client has committed: ``(tag_tid, entry_tid)`` first, the object last."""

    tag_tid: int
    entry_tid: int
    object_number: int


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """Read on one side: the local writer's position (client ``""``) and the peer's, None where that client or its
    position is absent."""

    local: Position | None
    peer: Position | None
    peer_registered: bool
    read_at: dt.datetime


@dataclass(frozen=True, slots=True)
class MirrorSnap:
    """One mirror snapshot; ``made_here`` is false for a copy of the peer's. ``complete`` None: Ceph did not say."""

    snap_id: int
    state: str
    complete: bool | None
    made_here: bool
    primary_snap_id: int | None


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """Mirror snapshots of one side, oldest first."""

    snaps: tuple[MirrorSnap, ...]
    read_at: dt.datetime

    @property
    def since_own(self) -> tuple[MirrorSnap, ...]:
        """The copies of the peer's snapshots that came after the last one made here: what this side has as a copy."""
        own = [index for index, snap in enumerate(self.snaps) if snap.made_here]
        return self.snaps[own[-1] + 1 :] if own else self.snaps


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """The mirror status of one side: a cache up to 30 s old even when all is well. ``age_s`` by the site's own clock,
    at ``read_at``."""

    state: str
    description: str
    syncing: bool
    age_s: float | None
    entries_behind: int | None
    read_at: dt.datetime
    caught_up_once: bool | None = None
    """True when the status knows a ``non_primary_position`` (journal) or a ``local_snapshot_timestamp`` (snapshot
    mode), False when it says *replaying* without one, as it does before the first catch-up. None: it does not say
    either way."""
    replayed: Position | None = None
    """Journal mode: the copy's position in the primary's journal, as its daemon wrote it down."""
    primary_position: Position | None = None
    """Journal mode: the primary's position, as the copy's daemon knew it when it wrote."""
    copied_until: dt.datetime | None = None
    """Snapshot mode: when the newest mirror snapshot that is complete at the copy was made, by the primary's clock."""
    bytes_per_second: float | None = None
    eta_s: float | None = None
    copied_percent: int | None = None
    """Of the objects of a copy that is being made from nothing."""
    last_update: str = ""
    """When the daemon wrote it, in the site's own words: the same again was not written again."""

    @property
    def written_at(self) -> dt.datetime | None:
        """When the daemon wrote it, by the portal's clock; None where its age is not known."""
        return None if self.age_s is None else self.read_at - dt.timedelta(seconds=self.age_s)


@dataclass(frozen=True, slots=True)
class CopyLook:
    """How far a copy that is made from nothing was when its daemon first wrote this percent down."""

    at: dt.datetime
    percent: int


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """``rbd info``: immediate, authoritative. ``exists`` false: exit 2. ``primary`` None: exists but not mirrored."""

    exists: bool
    primary: bool | None
    mode: Mode | None
    global_id: str | None
    image_id: str | None
    parent: str | None
    read_at: dt.datetime
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SideFacts:
    """All that is known of one side of one image. Each part may be missing. ``reachable`` None: never tried."""

    reachable: bool | None
    role: RoleFacts | None = None
    status: StatusFacts | None = None
    journal: JournalFacts | None = None
    snapshots: SnapshotFacts | None = None
    daemon_healthy: bool | None = None
    peer_direction: str | None = None
    last_heard: dt.datetime | None = None
    unreachable_since: dt.datetime | None = None
    copying: tuple[CopyLook, ...] = ()
    """While a copy is made anew here: the last percents that passed (``engine/recopy.py``)."""


@dataclass(frozen=True, slots=True)
class VmFacts:
    """A VM at one site. ``phase`` is the driver's word (running, off, gone, …); ``gone`` also when the front end does
    not know it."""

    phase: str
    state_word: str
    locked: bool
    error: str | None
    read_at: dt.datetime


@dataclass(frozen=True, slots=True)
class WatcherFacts:
    """Clients that hold the image open at one site, the mirror daemon's own left out of ``foreign``."""

    foreign: tuple[str, ...]
    total: int
    read_at: dt.datetime


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """Addresses under which mirror daemons of this very site have the image open."""

    daemons: tuple[str, ...]
    read_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """One disk of a captured VM against the inventory."""

    disk_id: int
    kind: str
    source: str | None
    mirrored: bool
    parent: str | None
