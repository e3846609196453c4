"""Two sites, one image, one VM: a small model of what Ceph really does, its traps included.

Taken from measurements on Ceph 16.2: ``promote`` without force looks at the local copy's last record only; a copy whose
last record is a demotion does not follow a side that is not primary; a half-copied demotion snapshot can be promoted
once its daemon is gone. The model knows what every guest was told is written (``acked``), which no real system knows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from drportal.engine.facts import (
    JournalFacts,
    MirrorSnap,
    Mode,
    Position,
    RoleFacts,
    Side,
    SideFacts,
    SnapshotFacts,
    StatusFacts,
    VmFacts,
    WatcherFacts,
)

OK, BUSY, INVALID, READ_ONLY = 0, 16, 22, 30
START = dt.datetime(2026, 11, 23, 4, 0, tzinfo=dt.UTC)
PRIMARY, LINKED, ORPHAN = "primary", "linked", "orphan"


@dataclass
class Copy:
    """One side. ``content``: the writes it holds, in order. ``torn``: neither the old nor the new generation.

    ``log`` (journal mode): what this side recorded while primary: (position, write or None for a demotion); the peer
    has replayed ``replayed`` of it, on top of ``base``, the content when this side's present ownership ``began``.
    ``kept`` (snapshot mode): the content of each of its snapshots by id.
    """

    role: str
    content: list[int] = field(default_factory=list)
    torn: bool = False
    daemon: bool = True
    diverged: bool = False
    log: list[tuple[Position, int | None]] = field(default_factory=list)
    local: Position | None = None
    peer: Position | None = None
    peer_registered: bool = False
    replayed: int = 0
    began: int = 0
    base: list[int] = field(default_factory=list)
    snaps: list[MirrorSnap] = field(default_factory=list)
    kept: dict[int, list[int]] = field(default_factory=dict)
    copying: bool = False
    vm_running: bool = False


class World:
    """Both copies. Acts return rbd's exit status."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.now = START
        self.tag = 1
        self.acked: list[int] = []
        self.owner = Side.A
        self.sides = {Side.A: Copy(PRIMARY, vm_running=True), Side.B: Copy(LINKED)}
        a, b = self.sides[Side.A], self.sides[Side.B]
        if mode is Mode.JOURNAL:
            a.local = a.peer = b.local = Position(1, 0, 0)
            a.peer_registered = True
        else:
            a.snaps.append(MirrorSnap(1, "primary", True, True, None))
            b.snaps.append(MirrorSnap(1, "non-primary", True, False, 1))
            a.kept[1], b.kept[1] = [], []

    def tick(self, seconds: float = 1.0) -> None:
        self.now += dt.timedelta(seconds=seconds)

    # --- the guest ---

    def write(self, side: Side) -> bool:
        """The guest writes; acknowledged only where the image is writable."""
        copy = self.sides[side]
        if not copy.vm_running or copy.role != PRIMARY:
            return False
        number = len(self.acked) + 1
        self.acked.append(number)
        copy.content.append(number)
        if self.mode is Mode.JOURNAL:
            assert copy.local is not None
            tag = self.tag
            copy.local = Position(tag, copy.local.entry_tid + 1 if copy.local.tag_tid == tag else 0, 0)
            copy.log.append((copy.local, number))
        return True

    # --- rbd ---

    def demote(self, side: Side) -> int:
        copy = self.sides[side]
        if copy.role != PRIMARY:
            return INVALID
        copy.role = ORPHAN
        if self.mode is Mode.JOURNAL:
            self.tag += 1
            copy.local = Position(self.tag, 0, 0)
            copy.log.append((copy.local, None))
        else:
            self._own_snapshot(copy, "demoted")
        return OK

    def promote(self, side: Side) -> int:
        """Without force. Says yes to whatever believes that nobody is primary, whole or not."""
        copy = self.sides[side]
        if copy.role == PRIMARY:
            return INVALID
        if copy.role == LINKED:
            return BUSY
        if copy.copying and copy.daemon:
            return READ_ONLY
        copy.role = PRIMARY
        copy.copying = False
        if self.mode is Mode.JOURNAL:
            self.tag += 1
            if side is not self.owner:
                self.owner = side
                copy.peer, copy.peer_registered = None, False
                copy.began = copy.replayed = len(copy.log)
                copy.base = list(copy.content)
        else:
            self._own_snapshot(copy, "primary")
        return OK

    def mirror_snapshot(self, side: Side) -> int:
        copy = self.sides[side]
        if self.mode is not Mode.SNAPSHOT or copy.role != PRIMARY:
            return INVALID
        self._own_snapshot(copy, "primary")
        return OK

    def _own_snapshot(self, copy: Copy, state: str) -> None:
        number = 1 + max((snap.snap_id for snap in copy.snaps), default=0)
        copy.snaps.append(MirrorSnap(number, state, True, True, None))
        copy.kept[number] = list(copy.content)

    # --- the mirror daemon of ``side``, which follows the other side ---

    def daemon_dies(self, side: Side) -> None:
        self.sides[side].daemon = False

    def daemon_starts(self, side: Side) -> None:
        """A half-made copy is not resumed by a restart: only a primary to follow makes it go on."""
        self.sides[side].daemon = True
        if self.sides[side.other].role != PRIMARY:
            self.sides[side].copying = False

    def daemon_works(self, side: Side) -> None:
        """One step: follow, replay one entry, begin or end copying one snapshot."""
        copy, source = self.sides[side], self.sides[side.other]
        if not copy.daemon or copy.role == PRIMARY or copy.diverged:
            return
        if self.mode is Mode.JOURNAL:
            self._replay(side, copy, source)
        else:
            self._copy(copy, source)

    def _replay(self, side: Side, copy: Copy, source: Copy) -> None:
        if copy.role == ORPHAN:
            if source.role != PRIMARY:
                return
            known = [write for _, write in source.log[source.began : source.replayed] if write is not None]
            if copy.content != source.base + known:
                copy.diverged = True
                return
            copy.role, source.peer_registered = LINKED, True
        pending = source.log[source.replayed :]
        if not pending:
            source.peer = source.local
            return
        position, write = pending[0]
        source.replayed += 1
        source.peer = copy.local = position
        if write is None:
            copy.role = ORPHAN
        else:
            copy.content.append(write)

    def _copy(self, copy: Copy, source: Copy) -> None:
        theirs = [snap for snap in source.snaps if snap.made_here]
        if copy.role == ORPHAN and not copy.copying:
            if source.role != PRIMARY:
                return
            if not copy.torn and copy.content != source.content[: len(copy.content)]:
                copy.diverged = True
                return
            copy.role = LINKED
        last = copy.snaps[-1] if copy.snaps else None
        if last is not None and not last.made_here and last.complete is False:
            self._finish(copy, source, last)
            return
        seen = max((s.primary_snap_id or 0 for s in copy.snaps if not s.made_here), default=0)
        fresh = [snap for snap in theirs if snap.snap_id > seen]
        if fresh:
            self._begin(copy, fresh[-1] if source.role != PRIMARY else fresh[0])

    def _begin(self, copy: Copy, theirs: MirrorSnap) -> None:
        number = 1 + max((snap.snap_id for snap in copy.snaps), default=0)
        state = "demoted" if theirs.state == "demoted" else "non-primary"
        copy.snaps.append(MirrorSnap(number, state, False, False, theirs.snap_id))
        copy.copying, copy.torn = True, True
        if state == "demoted":
            copy.role = ORPHAN

    def _finish(self, copy: Copy, source: Copy, last: MirrorSnap) -> None:
        assert last.primary_snap_id is not None
        copy.snaps[-1] = replace(last, complete=True)
        copy.content = list(source.kept[last.primary_snap_id])
        copy.kept[last.snap_id] = list(copy.content)
        copy.copying, copy.torn = False, False

    # --- reading, with the time of each reading ---

    def role(self, side: Side) -> RoleFacts:
        self.tick(0.1)
        return RoleFacts(True, self.sides[side].role == PRIMARY, self.mode, "g", side.value, None, self.now)

    def journal(self, side: Side) -> JournalFacts | None:
        if self.mode is not Mode.JOURNAL:
            return None
        self.tick(0.1)
        copy = self.sides[side]
        return JournalFacts(copy.local, copy.peer, copy.peer_registered, self.now)

    def snapshots(self, side: Side) -> SnapshotFacts | None:
        if self.mode is not Mode.SNAPSHOT:
            return None
        self.tick(0.1)
        return SnapshotFacts(tuple(self.sides[side].snaps), self.now)

    def status(self, side: Side) -> StatusFacts:
        """What the daemon last wrote. A dead daemon's text stays, and only its age betrays it."""
        self.tick(0.1)
        copy = self.sides[side]
        if copy.role == PRIMARY:
            state, text = "up+stopped", "local image is primary"
        elif copy.diverged:
            state, text = "up+error", "split-brain"
        else:
            state, text = (
                ("up+replaying", "replaying, {}")
                if copy.role == LINKED
                else ("up+unknown", "remote image is not primary")
            )
        return StatusFacts(state, text, False, 10.0 if copy.daemon else 100.0, 0, self.now, True)

    def side(self, side: Side) -> SideFacts:
        return SideFacts(True, self.role(side), self.status(side), self.journal(side), self.snapshots(side))

    def vm(self, side: Side) -> VmFacts:
        self.tick(0.1)
        running = self.sides[side].vm_running
        return VmFacts("running" if running else "off", "ACTIVE" if running else "POWEROFF", False, None, self.now)

    def watchers(self, side: Side) -> WatcherFacts:
        self.tick(0.1)
        held = ("10.0.0.9:0/1",) if self.sides[side].vm_running else ()
        return WatcherFacts(held, len(held) + 1, self.now)

    # --- the truth ---

    def whole(self, side: Side) -> bool:
        """This copy holds every acknowledged write and nothing torn."""
        return not self.sides[side].torn and self.sides[side].content == self.acked

    def harm(self) -> str | None:
        """What must never be: the name of the harm that is done, or None."""
        roles = [copy.role for copy in self.sides.values()]
        if roles == [PRIMARY, PRIMARY]:
            return "two primaries"
        if all(copy.vm_running for copy in self.sides.values()):
            return "the VM runs at both sides"
        for side, copy in self.sides.items():
            if copy.role == PRIMARY and not self.whole(side):
                return "acknowledged writes are lost"
            if copy.vm_running and copy.role != PRIMARY:
                return "a running VM lost its disk"
        return None
