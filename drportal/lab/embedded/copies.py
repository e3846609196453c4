"""The parts of one mirrored image: its two copies, their mirror snapshots, and what rbd-mirror is doing to them."""

from __future__ import annotations

import enum
import secrets
import uuid
from dataclasses import dataclass, field
from itertools import count

from drportal.lab.embedded.writelog import Content, Point, WriteLog

JOURNAL = "journal"
SNAPSHOT = "snapshot"

_clients = count(4200)


class Role(enum.Enum):
    """What the copy's own last record says about it. Ceph knows no more than this when it is asked to promote."""

    PRIMARY = "primary"
    REPLICA = "replica"  # "the other side is primary"
    ORPHAN = "orphan"  # the last record is a demotion, its own or a replayed one


@dataclass(slots=True)
class Snap:
    """A mirror snapshot. `source_id` is the primary's snapshot that this one copies, None for one's own."""

    id: int
    name_id: str
    created: float
    demoted: bool
    content: Content
    index: int = 0
    complete: bool = True
    source_id: int | None = None
    source_created: float = 0.0
    peer_linked: bool = True


@dataclass(slots=True)
class Replay:
    """rbd-mirror copying from the other side: it had `position` entries at `at`, and saw `goal` by then."""

    at: float
    position: int
    goal: int
    rate_per_s: float
    busy: Snap | None = None  # snapshot mode: the source snapshot now being copied
    busy_done: float = 0.0  # entries of it copied at `at`
    busy_amount: int = 0


@dataclass(frozen=True, slots=True)
class Watcher:
    """One open handle, as `rbd status` shows it."""

    client: int
    cookie: int
    address: str


def new_watcher(host: str = "127.0.0.1") -> Watcher:
    return Watcher(next(_clients), 0x7F0000000000 + secrets.randbits(36), f"{host}:0/{secrets.randbits(31)}")


@dataclass(slots=True)
class Copy:
    """One side's image. `base` is the content while no log describes it (not primary)."""

    site: str
    image_id: str
    created: float
    modified: float
    base: Content
    log: WriteLog
    role: Role | None = None  # None: not mirrored
    point: Point | None = None
    peer_index: int | None = None  # journal mode: how far the other side has committed in this copy's log
    snaps: list[Snap] = field(default_factory=list)
    replay: Replay | None = None
    sync_from: float | None = None  # the first full copy began then, and
    sync_until: float = 0.0
    resync: bool = False
    lock_until: float = 0.0  # a dead rbd-mirror's lock
    daemon_handle: Watcher = field(default_factory=new_watcher)
    users: dict[str, Watcher] = field(default_factory=dict)
    switched_on: list[str] = field(default_factory=list)  # features, by hand

    @property
    def syncing(self) -> bool:
        return self.sync_from is not None

    @property
    def last_snap(self) -> Snap | None:
        return self.snaps[-1] if self.snaps else None


@dataclass(frozen=True, slots=True)
class Published:
    """A status as rbd-mirror last wrote it. It says nothing about now."""

    state: str  # without "up+" or "down+"
    description: str
    at: float


def new_image_id() -> str:
    return f"10{secrets.token_hex(5)}"


def new_uuid() -> str:
    return str(uuid.uuid4())
