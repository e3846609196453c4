"""What the rest of the portal may ask of a site, and the values it gets back.

Three Protocols (``Shell``, ``CephSite``, and ``CloudSite`` in ``base_cloud.py``), each small enough to be replaced
whole: the site program can stand in for ``rbd`` over SSH without a step noticing. All reads and acts are coroutines;
all raise only ``drivers.errors``.
Times are aware UTC datetimes, durations seconds, sizes bytes.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from drportal.drivers.ages import age_s
from drportal.drivers.names import checked_name
from drportal.drivers.vantage import Address, Seen

if TYPE_CHECKING:
    from drportal.drivers.observation import ImageObservation, Measured, Part, PoolObservation
    from drportal.drivers.orders import Receipt, Warrant


@dataclass(frozen=True, slots=True)
class Answer:
    """One exchange with a site, raw: this is what the screen shows behind a cell of the checklist.

    ``exit_status`` is None when the command did not end in our sight (cut, deadline). ``command`` is byte for byte
    what was sent.
    """

    command: str
    host: str
    exit_status: int | None
    stdout: str
    stderr: str
    started_at: dt.datetime
    duration_s: float


class Shell(Protocol):
    """A login shell at a site, reached over one connection."""

    async def read(self, argv: Sequence[str], *, deadline_s: float = 10.0) -> Answer:
        """Run a command that changes nothing, under ``timeout -k``.

        Raises Unreachable, IdentityChanged. Any exit status is an answer.
        """
        ...

    async def act(self, argv: Sequence[str], *, patience_s: float = 90.0) -> Answer:
        """Run a command that changes the site.

        Never killed: after ``patience_s`` raises OutcomeUnknown and leaves it running.
        """
        ...

    @property
    def unfinished_acts(self) -> tuple[str, ...]:
        """Acts that were left running and, as far as is known, still go on at the site."""
        ...

    async def close(self) -> None: ...


# --- Ceph -----------------------------------------------------------------------------------------


class MirrorMode(enum.StrEnum):
    """How an image is mirrored (``rbd info``: ``mirroring.mode``)."""

    JOURNAL = "journal"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, order=True)
class ImageRef:
    """An RBD image by name: ``pool/name``.

    Names are checked when the reference is made: ``names.BadName`` (a ValueError).
    """

    pool: str
    name: str

    def __post_init__(self) -> None:
        checked_name(self.pool, "pool")
        checked_name(self.name, "image")

    def __str__(self) -> str:
        return f"{self.pool}/{self.name}"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """``rbd info --format json``: the immediate truth about the role.

    ``primary`` is None where the image is not mirrored.
    """

    ref: ImageRef
    image_id: str
    size_bytes: int
    features: tuple[str, ...]
    parent: str | None
    mode: MirrorMode | None
    mirror_state: str | None
    global_id: str | None
    primary: bool | None
    answer: Answer


def replay_details(description: str) -> dict[str, object] | None:
    """The JSON that rbd-mirror writes *inside* the description string: ``replaying, {…}``; None where there is none."""
    brace = description.find("{")
    if brace < 0:
        return None
    try:
        found = json.loads(description[brace:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """One image of ``rbd mirror pool status --verbose``: a cache that rbd-mirror refreshes every 30 s.

    ``last_update_text`` is written in the site's local time without a zone; ``age_s`` is its age by the site's
    *own* clock, read in the same breath, or None where that clock was not read.
    ``entries_behind``/``bytes_per_second``/``seconds_until_synced`` are hints only.
    ``syncing`` is true during a first copy (state ``syncing`` or snapshot mode's ``replay_state: syncing``).
    ``copied_percent``: of the objects of a copy that is made from nothing; None also before it is counted.
    """

    name: str
    global_id: str
    state: str
    description: str
    last_update_text: str
    age_s: float | None
    syncing: bool
    entries_behind: int | None
    bytes_per_second: float | None
    seconds_until_synced: float | None
    copied_percent: int | None = None

    @property
    def replay(self) -> dict[str, object] | None:
        """See ``replay_details``; made when asked for, because thousands of statuses are kept."""
        return replay_details(self.description)


@dataclass(frozen=True, slots=True)
class MirrorDaemon:
    """An rbd-mirror daemon as the pool status lists it."""

    service_id: str
    instance_id: str
    hostname: str
    version: str
    leader: bool
    health: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A mirroring peer of a pool. ``direction`` is ``rx-tx``, ``rx-only`` or ``tx-only``."""

    uuid: str
    direction: str
    site_name: str
    mirror_uuid: str


@dataclass(frozen=True, slots=True)
class PoolReading:
    """``rbd mirror pool info`` and ``pool status --verbose`` and ``rbd ls -l`` of one pool, read together.

    ``site_now``: the site's clock, where ``statuses`` holds some that were told before and have said nothing new; their
    ``age_s`` is of then. ``status`` gives one as of now.
    """

    pool: str
    mode: str
    site_name: str
    peers: tuple[Peer, ...]
    health: str
    daemon_health: str
    daemons: tuple[MirrorDaemon, ...]
    statuses: dict[str, MirrorStatus]
    image_names: tuple[str, ...]
    parents: dict[str, str]
    site_clock_skew_s: float | None
    answers: tuple[Answer, ...]
    site_now: dt.datetime | None = None

    def status(self, name: str) -> MirrorStatus | None:
        found = self.statuses.get(name)
        if found is None or self.site_now is None:
            return found
        return replace(found, age_s=age_s(found.last_update_text, self.site_now))


@dataclass(frozen=True, slots=True, order=True)
class JournalPosition:
    """The first entry of a client's ``object_positions``: the newest position that the client has committed."""

    tag_tid: int
    entry_tid: int
    object_number: int


@dataclass(frozen=True, slots=True)
class JournalClient:
    """A registered client of an image's journal; id ``""`` is the local writer, any other the peer's mirror uuid."""

    client_id: str
    state: str
    position: JournalPosition | None


@dataclass(frozen=True, slots=True)
class JournalReading:
    """``rbd journal status`` of one image: who has committed how far."""

    ref: ImageRef
    clients: tuple[JournalClient, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class MirrorSnapshot:
    """A mirror snapshot of ``rbd snap ls --all``.

    ``state`` is primary, demoted, non-primary (or Ceph's other words, kept as they are).
    ``on_primary`` tells whether the snapshot was made here (name ``.mirror.primary…``) or copied from the peer.
    """

    snap_id: int
    name: str
    state: str
    complete: bool | None
    on_primary: bool
    primary_mirror_uuid: str | None
    primary_snap_id: int | None
    last_copied_object: int | None


@dataclass(frozen=True, slots=True)
class SnapshotReading:
    """The mirror snapshots of one image, oldest first; other snapshots' names apart.

    (OpenNebula acts on one named ``snap``.)
    """

    ref: ImageRef
    mirror_snapshots: tuple[MirrorSnapshot, ...]
    other_names: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """Snapshots every ``interval`` (5m, 1h, 1d), from ``start_time`` on where there is one. ``image`` empty: of each
    image of ``pool`` that has none of its own; ``pool`` empty too: of all pools."""

    pool: str
    image: str
    interval: str
    start_time: str


@dataclass(frozen=True, slots=True)
class SnapshotSchedules:
    """``rbd mirror snapshot schedule ls --recursive`` of one pool: what is set for it, for its images, and for all
    pools where it has none of its own."""

    pool: str
    lines: tuple[ScheduleLine, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Watcher:
    """A client that holds the image open (``rbd status``)."""

    address: str
    client: str
    cookie: str


@dataclass(frozen=True, slots=True)
class WatcherReading:
    """``rbd status``: who has the image open right now (a dead client stays for up to 30 s)."""

    ref: ImageRef
    watchers: tuple[Watcher, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class MirrorClients:
    """The client numbers of all mirror daemons, of this site and of its peers, that follow a pool right now."""

    pool: str
    clients: frozenset[str]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the portal judged by. A site that can looks again right before the act, and refuses if it is not so.

    ``newest_snapshot``: of the side that acts, in snapshot mode; None where the act does not go by it.
    """

    image_id: str
    global_id: str
    primary: bool
    newest_snapshot: MirrorSnapshot | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One act on one image's role, as it is sent once and never again.

    ``operation_id``: of this attempt, new each time. ``group`` and ``fence``: who acts; the fence of a group only goes
    up, whichever run it is. A site that keeps receipts refuses a lower one, and answers a known id from its receipt.
    """

    ref: ImageRef
    operation_id: str
    group: str
    fence: int
    expect: Expectation


class CephSite(Protocol):
    """Ceph at one site.

    Reads raise Unreachable, IdentityChanged, Refused (NOT_FOUND, UNREADABLE, …); acts also AlreadySo,
    OutcomeUnknown.
    """

    async def pool(self, pool: str) -> PoolReading: ...
    async def info(self, ref: ImageRef) -> ImageInfo: ...
    async def status(self, ref: ImageRef) -> tuple[MirrorStatus, Answer]: ...
    async def journal(self, ref: ImageRef) -> JournalReading: ...
    async def snapshots(self, ref: ImageRef) -> SnapshotReading: ...
    async def watchers(self, ref: ImageRef) -> WatcherReading: ...
    async def mirror_clients(self, pool: str) -> MirrorClients: ...

    async def schedules(self, pool: str) -> SnapshotSchedules:
        """Of Ceph's manager, which may be silent while the rest answers. A site program older than 1.5 refuses it."""
        ...

    async def image(self, ref: ImageRef, parts: Collection[Part]) -> ImageObservation:
        """Some parts of one image, in the order of ``Part``. Raises as a read where nothing of it can be told."""
        ...

    async def observe(
        self, pool: str, parts: Collection[Part], names: Collection[str] | None = None
    ) -> PoolObservation:
        """Parts of a pool and of many images at once (``names`` None: all mirrored ones). Raises as a read."""
        ...

    async def measure(self, ref: ImageRef, since_snapshot: int | None) -> tuple[Measured, Answer]:
        """What this copy holds that its peer never had: behind what every client of its journal acknowledged, or since
        one of its own mirror snapshots. Takes up to a minute. Refused (OTHER) where only the ``rbd`` client is there,
        or it takes longer; NOT_FOUND where that snapshot is gone."""
        ...

    async def demote(self, order: Order) -> Answer: ...
    async def promote(self, order: Order) -> Answer: ...
    async def force_promote(self, order: Order, warrant: Warrant) -> Answer: ...
    async def resync(self, order: Order) -> Answer: ...
    async def free(self, order: Order, address: str) -> Answer: ...

    async def shut_out(self, order: Order, addresses: Sequence[str]) -> Answer:
        """Shut these clients out of this site's Ceph for a day; of the order only the pool counts.

        Also Refused (OTHER) where only the ``rbd`` client is there: nobody there keeps what was shut out.
        """
        ...

    async def let_in(self, order: Order, addresses: Sequence[str]) -> Answer:
        """The undo of ``shut_out``."""
        ...

    async def salvage(self, order: Order) -> Answer:
        """Export the image into the site's own directory; the receipt has path, bytes and sha256 in ``after``.

        Also Refused (OTHER) where only the ``rbd`` client is there.
        """
        ...

    async def keep_copy(self, order: Order) -> Answer:
        """Copy the image to one of the same pool, under a new name; the receipt has ``copy`` and ``bytes`` in
        ``after``. Never mirrored.

        Also Refused (OTHER) where only the ``rbd`` client is there, and NO_ROOM.
        """
        ...

    async def receipt(self, operation_id: str) -> Receipt | None:
        """What became of an operation; after this an id that the site has never seen can never be begun there.

        None: this site keeps no receipts, and the image must be looked at instead. Raises as a read.
        """
        ...

    async def version(self) -> tuple[str, Answer]: ...

    async def look_at(self, addresses: Sequence[Address]) -> tuple[tuple[Seen, ...], Answer]:
        """How at most 8 addresses answer this site's host. Refused (OTHER) where only the ``rbd`` client is there."""
        ...

    def command_for(self, act: str, ref: ImageRef) -> str:
        """The exact command line that ``demote`` or ``promote`` will send, for showing before it runs."""
        ...

    def forced_command_for(self, ref: ImageRef, warrant: Warrant) -> str:
        """The exact command line that ``force_promote`` will send."""
        ...

    def free_command_for(self, address: str) -> str: ...
    def shut_out_command_for(self, addresses: Sequence[str]) -> str: ...
    def let_in_command_for(self, addresses: Sequence[str]) -> str: ...

    def keep_command_for(self, ref: ImageRef, operation_id: str) -> str:
        """The exact command lines of ``keep_copy``: the copy's name is made of the operation's id."""
        ...
