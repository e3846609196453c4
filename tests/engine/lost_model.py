"""The two-site model with sites that die and return, forced promotion, and copies that are made anew.

Beside ``acked``, the writes that count, it knows whose they are: after a forced promotion the line of history goes on
at the ``chosen`` side, and what a returned site writes is nowhere else.
"""

from __future__ import annotations

from drportal.engine.facts import HoldFacts, MirrorSnap, Mode, Position, RoleFacts, Side, VmFacts
from tests.engine.model import INVALID, LINKED, OK, PRIMARY, World


class Silent(Exception):
    """A site that does not answer."""


class LostWorld(World):
    def __init__(self, mode: Mode) -> None:
        super().__init__(mode)
        self.up = {Side.A: True, Side.B: True}
        self.armed = {Side.A: False, Side.B: False}  # told to discard and copy again, and not begun
        self.anew = {Side.A: False, Side.B: False}  # gone, and being copied again
        self.chosen = Side.A
        self.saved: dict[Side, set[int]] = {Side.A: set(), Side.B: set()}
        self.beside = 0

    # --- what befalls a site

    def dies(self, side: Side) -> None:
        """With its power: nothing of it runs."""
        self.up[side] = False
        self.sides[side].vm_running = False

    def returns(self, side: Side, *, vm_runs: bool) -> None:
        """Its hosts may start what ran there, where the disk can be written."""
        self.up[side] = True
        self.sides[side].daemon = True
        self.sides[side].vm_running = vm_runs and self.sides[side].role == PRIMARY

    def write(self, side: Side) -> bool:
        if not self.up[side]:
            return False
        before, copy = list(self.acked), self.sides[side]
        wrote = super().write(side)
        if wrote and side is not self.chosen:  # beside the line: it counts for nobody, and its number is its own
            self.acked, self.beside = before, self.beside - 1
            copy.content[-1] = self.beside
            if self.mode is Mode.JOURNAL:
                copy.log[-1] = (copy.log[-1][0], self.beside)
        return wrote

    def only_at(self, side: Side) -> set[int]:
        """What would be gone for ever with this copy."""
        return set(self.sides[side].content) - set(self.sides[side.other].content)

    # --- rbd

    def demote(self, side: Side) -> int:
        self._answers(side)
        return super().demote(side)

    def promote(self, side: Side) -> int:
        self._answers(side)
        if self.anew[side]:
            return INVALID
        rc = super().promote(side)
        if rc == OK:
            self.chosen = side
        return rc

    def force(self, side: Side) -> int:
        """Falls back to what was whole, and goes on from there as a line of its own."""
        self._answers(side)
        copy = self.sides[side]
        if copy.role == PRIMARY:
            return INVALID
        if self.mode is Mode.SNAPSHOT:
            whole = [snap for snap in copy.snaps if snap.complete]
            copy.snaps = whole
            if whole:
                copy.content, copy.torn = list(copy.kept[whole[-1].snap_id]), False
        copy.role, copy.copying, copy.diverged = PRIMARY, False, False
        self.chosen, self.owner = side, side
        self.acked = list(copy.content)
        if self.mode is Mode.JOURNAL:
            self.tag += 1
            copy.local = Position(self.tag, 0, 0)
            copy.peer, copy.peer_registered = None, False
            copy.began = copy.replayed = len(copy.log)
            copy.base = list(copy.content)
        else:
            self._own_snapshot(copy, "primary")
        return OK

    def resync(self, side: Side) -> int:
        """An order that waits until the other side is primary."""
        self._answers(side)
        if self.sides[side].role == PRIMARY:
            return INVALID
        self.armed[side] = True
        return OK

    def save(self, side: Side) -> int:
        self._answers(side)
        self.saved[side] |= set(self.sides[side].content)
        return OK

    def daemon_works(self, side: Side) -> None:
        copy, source = self.sides[side], self.sides[side.other]
        if not (self.up[side] and self.up[side.other] and copy.daemon):
            return
        if self.armed[side] and source.role == PRIMARY and copy.role != PRIMARY:
            self.armed[side], self.anew[side] = False, True
            copy.content, copy.torn, copy.role, copy.diverged = [], True, LINKED, False
            copy.snaps, copy.kept, copy.log = [], {}, []
            copy.peer, copy.peer_registered, copy.replayed, copy.began = None, False, 0, 0
        elif self.anew[side] and source.role == PRIMARY:
            self._made_anew(side)
        elif not self.anew[side]:
            super().daemon_works(side)

    def _made_anew(self, side: Side) -> None:
        copy, source = self.sides[side], self.sides[side.other]
        copy.content, copy.torn, self.anew[side] = list(source.content), False, False
        if self.mode is Mode.JOURNAL:
            source.peer_registered, source.replayed = True, len(source.log)
            source.peer = copy.local = source.local
        else:
            self._own_snapshot(source, "primary")
            newest = source.snaps[-1].snap_id
            copy.snaps = [MirrorSnap(1, "non-primary", True, False, newest)]
            copy.kept = {1: list(source.content)}

    # --- reading

    def _answers(self, side: Side) -> None:
        if not self.up[side]:
            raise Silent(side)

    def role(self, side: Side) -> RoleFacts:
        self._answers(side)
        return super().role(side)

    def vm(self, side: Side) -> VmFacts:
        self._answers(side)
        return super().vm(side)

    def hold(self, side: Side) -> HoldFacts:
        self._answers(side)
        return HoldFacts((), self.now)

    # --- the truth

    def good_copies(self) -> list[Side]:
        """Copies, dead sites' too, that hold every write that counts."""
        line = self.acked
        return [s for s, copy in self.sides.items() if not copy.torn and copy.content[: len(line)] == line]
