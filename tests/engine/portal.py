"""The portal's side of the model: an act is done only when its gates are met, twice where it is destructive.

``gates`` may be replaced one by one by "always met": the guard mutation test shows that the model then comes to harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drportal.engine import gates
from drportal.engine.facts import Mode, Side
from drportal.engine.gates import GateId, GateOutcome, GateResult, confirmed
from drportal.engine.steps import STEP_KINDS, StepKind
from tests.engine.model import OK, World

Check = Callable[[World, Side, "Portal"], GateResult]


def _sync(world: World, source: Side, portal: Portal) -> GateResult:
    journal, ours, theirs = world.journal(source), world.snapshots(source), world.snapshots(source.other)
    return gates.g_sync(world.mode, journal, ours, theirs, world.now)


def _demoted(world: World, source: Side, portal: Portal) -> GateResult:
    role, journal, ours = world.role(source), world.journal(source), world.snapshots(source)
    target, theirs = world.role(source.other), world.snapshots(source.other)
    return gates.g_demoted(world.mode, role, journal, ours, target, theirs, world.now)


def _return(world: World, source: Side, portal: Portal) -> GateResult:
    ours, theirs = world.role(source), world.role(source.other)
    return gates.g_return(ours, theirs, portal.demoted is source, portal.promote_sent, world.now)


def _path(world: World, source: Side, portal: Portal) -> GateResult:
    target, here = world.side(source.other), world.side(source)
    return gates.g_path(target, here, world.now)


def _off(world: World, source: Side, portal: Portal) -> GateResult:
    vm, watchers = world.vm(source), world.watchers(source)
    return gates.g_off(vm, watchers, world.now)


def _promoted(world: World, here: Side, portal: Portal) -> GateResult:
    mine, theirs = world.role(here), world.role(here.other)
    return gates.g_promoted(mine, theirs, world.now)


def _peer_off(world: World, here: Side, portal: Portal) -> GateResult:
    vm = world.vm(here.other)
    return gates.g_peer_off(vm, world.now)


CHECKS: dict[GateId, Check] = {
    GateId.OFF: _off,
    GateId.PATH: _path,
    GateId.SYNC: _sync,
    GateId.DEMOTED: _demoted,
    GateId.PROMOTED: _promoted,
    GateId.PEER_OFF: _peer_off,
    GateId.RETURN: _return,
}


def always_met(gate: GateId) -> Check:
    return lambda world, side, portal: GateResult(gate, GateOutcome.MET, "(guard taken out)", {})


@dataclass
class Portal:
    world: World
    checks: dict[GateId, Check] = field(default_factory=lambda: dict(CHECKS))
    demoted: Side | None = None
    promote_sent: bool = False

    def without(self, gate: GateId) -> Portal:
        self.checks[gate] = always_met(gate)
        return self

    def check(self, gate: GateId, side: Side) -> GateResult:
        return self.checks[gate](self.world, side, self)

    def allowed(self, kind: StepKind, side: Side) -> bool:
        """The gates of the step's kind, as the executor reads them; definitions and disks are not in this model."""
        spec = STEP_KINDS[kind]
        for gate in spec.gates_before:
            if gate not in self.checks:
                continue
            first = self.check(gate, side)
            if not (confirmed(first, self.check(gate, side)) if spec.destructive else first.met):
                return False
        return True

    def demote(self, source: Side) -> bool:
        if not self.allowed(StepKind.IMAGE_DEMOTE, source) or self.world.demote(source) != OK:
            return False
        self.demoted, self.promote_sent = source, False
        return True

    def promote(self, source: Side) -> bool:
        """Promote at the side opposite to ``source``."""
        if not self.allowed(StepKind.IMAGE_PROMOTE, source):
            return False
        self.promote_sent = True
        return self.world.promote(source.other) == OK

    def promote_again(self, source: Side) -> bool:
        if not self.allowed(StepKind.IMAGE_PROMOTE_AGAIN, source) or self.world.promote(source) != OK:
            return False
        self.demoted = None
        return True

    def start_vm(self, here: Side) -> bool:
        if self.world.sides[here].vm_running or not self.allowed(StepKind.VM_START, here):
            return False
        self.world.sides[here].vm_running = True
        return True

    def power_off(self, here: Side) -> bool:
        if not self.allowed(StepKind.VM_POWER_OFF, here):
            return False
        self.world.sides[here].vm_running = False
        return True


def settled(world: World, source: Side, steps: int = 20) -> None:
    """The target's daemon works until nothing is left to do."""
    for _ in range(steps):
        world.daemon_works(source.other)
    if world.mode is Mode.SNAPSHOT and world.sides[source].role == "primary":
        world.mirror_snapshot(source)
        for _ in range(4):
            world.daemon_works(source.other)
