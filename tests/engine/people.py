"""The portal of the model with its people: requests, yes and no, forced runs, the way home, and executors that die.

What is decided, the engine decides: its gates and its judgement of an approval are called as the executor calls them,
by the name that a test may have put something else under.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from drportal.engine import approvals, force_gates, gates, quarantine, return_gates
from drportal.engine.approvals import ApprovalEvent, ApprovalFacts, ApprovalState, content_hash
from drportal.engine.facts import Mode, RoleFacts, Side, VmFacts
from drportal.engine.gates import GateResult
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.engine.steps import StepKind
from drportal.engine.verdicts import VerdictCode, VerdictPolicy, verdict
from tests.engine.lost_model import LostWorld, Silent
from tests.engine.model import OK, PRIMARY

K = StepKind
STEPS: dict[RunKind, tuple[StepKind, ...]] = {
    RunKind.PLANNED_FAILOVER: (K.VM_POWER_OFF, K.IMAGE_DEMOTE, K.IMAGE_PROMOTE, K.VM_START),
    RunKind.DISASTER_FAILOVER: (K.IMAGE_FORCE_PROMOTE, K.VM_START_ALONE),
    RunKind.FENCE: (K.VM_STOP_RETURNED, K.IMAGE_DEMOTE_RETURNED),
    RunKind.REPROTECT: (K.VM_STOP_RETURNED, K.IMAGE_DEMOTE_RETURNED, K.IMAGE_SALVAGE, K.IMAGE_RESYNC),
}
AT_SOURCE = frozenset({K.VM_POWER_OFF, K.IMAGE_DEMOTE, *STEPS[RunKind.REPROTECT]})
# Of these a site keeps a receipt: what it says was done is not sent again.
RECEIPTED = frozenset({K.IMAGE_DEMOTE, K.IMAGE_DEMOTE_RETURNED, K.IMAGE_PROMOTE, K.IMAGE_FORCE_PROMOTE, K.IMAGE_RESYNC})
EXPIRES = dt.timedelta(minutes=15)


@dataclass
class Person:
    number: int
    roles: set[str]


@dataclass
class Ask:
    """A request for a yes, as its rows have it, and beside it what the test alone knows."""

    number: int
    run_id: int
    requester: Person
    plan_version: int
    evidence: str
    commands: tuple[str, ...]
    expires_at: dt.datetime
    state: ApprovalState = ApprovalState.REQUESTED
    said_yes: dict[int, Person] = field(default_factory=dict)
    glass: Person | None = None
    uses: int = 0
    outlived: bool = False  # the lost site came back and was fenced since

    def facts(self) -> ApprovalFacts:
        may = frozenset(n for n, person in self.said_yes.items() if "approver" in person.roles)
        glass = self.glass is not None and "operator" in self.glass.roles
        return ApprovalFacts(
            str(self.number), self.run_id, self.state, self.plan_version, self.evidence, self.commands,
            self.expires_at, self.requester.number, 1, frozenset(self.said_yes), may, glass, "olga", "power cut",
        )  # fmt: skip


@dataclass
class ModelRun:
    number: int
    kind: RunKind
    source: Side
    plan_version: int
    ask: Ask | None = None
    salvage: str = ""  # saved, waived with a reason, or nothing: no place for it, and nobody said why
    begun: bool = False
    over: bool = False
    paused: bool = False
    behind: ModelRun | None = None  # the one that goes before it
    doubt: StepKind | None = None
    done: list[StepKind] = field(default_factory=list)

    @property
    def next(self) -> StepKind | None:
        left = STEPS[self.kind][len(self.done) :]
        return left[0] if left else None

    @property
    def state(self) -> RunState:
        return RunState.PAUSED if self.paused else RunState.RUNNING

    @property
    def stands_aside(self) -> bool:
        return self.behind is not None and not self.behind.over

    def side(self, kind: StepKind) -> Side:
        return self.source if kind in AT_SOURCE else self.source.other


class Harm(AssertionError):
    """Something that must never be. The message begins with the invariant."""


class Office:
    """One plan of one VM with one disk, its runs, and the trail."""

    def __init__(self, world: LostWorld) -> None:
        self.world = world
        self.plan_version = 1
        self.runs: list[ModelRun] = []
        self.asks: list[Ask] = []
        self.forced_at: Side | None = None  # the portal's own record
        self.locked = False  # by a broken glass, until a manager has looked
        self.trail: list[tuple[str, int, StepKind]] = []
        self.effects: Counter[tuple[int, StepKind]] = Counter()

    @property
    def active(self) -> ModelRun | None:
        """The one that holds the group."""
        return next((run for run in self.runs if not run.over and not run.stands_aside), None)

    # --- requests

    def request(self, kind: RunKind, source: Side, salvage: str = "") -> ModelRun | None:
        rests = self.active
        if rests is not None and not quarantine.goes_before(kind, rests.kind, rests.state):
            return None
        if self.locked and kind is not RunKind.FENCE:
            return None
        run = ModelRun(len(self.runs) + 1, kind, source, self.plan_version, salvage=salvage)
        self.runs.append(run)
        if rests is not None:
            rests.behind = run
            if rests.ask is not None:
                rests.ask.outlived = True
                if rests.ask.state in approvals.OPEN_APPROVAL | {ApprovalState.USED}:
                    rests.ask.state = approvals.next_approval_state(rests.ask.state, ApprovalEvent.MAKE_VOID)
        return run

    def evidence(self, source: Side) -> str:
        """What both sides say about the image now, hashed."""
        found: dict[str, Any] = {}
        for name, side in (("here", source.other), ("there", source)):
            role = self.role_or_none(side)
            found[name] = role.primary if role else "silent"
        found["content"] = self.world.sides[source.other].content if self.world.up[source.other] else []
        return content_hash(found)

    def command(self, side: Side) -> str:
        return f"rbd mirror image promote --force one/disk at {side}"

    def ask(self, requester: Person, source: Side) -> ModelRun | None:
        if "operator" not in requester.roles:
            return None
        run = self.request(RunKind.DISASTER_FAILOVER, source)
        if run is not None:
            run.ask = Ask(
                len(self.asks) + 1, run.number, requester, self.plan_version, self.evidence(source),
                (self.command(source.other),), self.world.now + EXPIRES,
            )  # fmt: skip
            self.asks.append(run.ask)
        return run

    def yes(self, ask: Ask, person: Person) -> None:
        """The door checks the role; whether the yes counts is the engine's to say."""
        if "approver" in person.roles and ask.state is ApprovalState.REQUESTED:
            ask.said_yes[person.number] = person
            if len(approvals.counted(ask.facts())) >= 1:
                ask.state = ApprovalState.APPROVED

    def break_glass(self, ask: Ask, person: Person) -> None:
        if "operator" in person.roles and ask.state is ApprovalState.REQUESTED:
            ask.glass, ask.state, self.locked = person, ApprovalState.APPROVED, True

    def cancel(self) -> None:
        run = self.active
        if run is not None and run.doubt is None:
            run.over = True

    def pause(self, *, paused: bool = True) -> None:
        """Or, not ``paused``: resume. Who stands aside stays paused."""
        run = self.active
        if run is not None and run.begun:
            run.paused = paused

    # --- the executor

    def begin(self, run: ModelRun, *, stolen: Ask | None = None) -> None:
        """Takes the yes into use. ``stolen``: one that was given for something else is offered instead."""
        ask = stolen or run.ask
        if run.kind is RunKind.DISASTER_FAILOVER:
            if ask is None or approvals.misfit(
                ask.facts(), run_id=run.number, plan_version=self.plan_version,
                evidence_sha256=self.evidence(run.source), commands=[self.command(run.source.other)],
                now=self.world.now,
            ):  # fmt: skip
                return
            self._judge_use(ask, run)
            ask.state, run.ask = ApprovalState.USED, ask
            ask.uses += 1
        run.begun = True

    def advance(self, of: ModelRun | None = None, *, dies: str = "") -> None:
        """One round of the executor; ``dies``: before the command is sent, or after it and before its answer. ``of``: a
        run that may not hold the group any more."""
        run = of or self.active
        if run is None or not run.begun or run.over or run.paused or (kind := run.next) is None:
            return
        try:
            found = self.probe(run, kind)
            if run.doubt is not None:
                if not found and kind in RECEIPTED and self.effects[run.number, kind]:
                    return  # the site's own record says that it was done, and nothing of it shows: a person decides
                run.doubt = None  # it was looked at, so it is known
                self.trail.append(("end", run.number, kind))
            if found:
                self._finished(run, kind)
                return
            if not all(gate.met for gate in self.gates(run, kind)):
                return
            self.trail.append(("begin", run.number, kind))
            if dies == "before":
                run.doubt = kind
                return
            self._send(run, kind)
            if dies == "after":
                run.doubt = kind
                return
            self.trail.append(("end", run.number, kind))
            if self.probe(run, kind):
                self._finished(run, kind)
        except Silent:
            return

    def _finished(self, run: ModelRun, kind: StepKind) -> None:
        run.done.append(kind)
        if run.next is None:
            run.over = True

    def probe(self, run: ModelRun, kind: StepKind) -> bool:
        """Whether it is so already."""
        world, side = self.world, run.side(kind)
        if kind in (K.VM_POWER_OFF, K.VM_STOP_RETURNED):
            return world.vm(side).phase == "off"
        if kind in (K.VM_START, K.VM_START_ALONE):
            return world.vm(side).phase == "running"
        if kind in (K.IMAGE_DEMOTE, K.IMAGE_DEMOTE_RETURNED):
            return world.role(side).primary is False
        if kind in (K.IMAGE_PROMOTE, K.IMAGE_FORCE_PROMOTE):
            return world.role(side).primary is True
        if kind is K.IMAGE_SALVAGE:
            return run.salvage != "saved" or world.saved[side] >= world.only_at(side)
        assert kind is K.IMAGE_RESYNC
        if world.anew[side] or world.armed[side]:
            return True
        found = verdict(world.side(side.other), world.side(side), VerdictPolicy(), world.now, home=Side.A)
        return found.code in (VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND)

    # --- gates, as the executor reads them

    def role_or_none(self, side: Side) -> RoleFacts | None:
        try:
            return self.world.role(side)
        except Silent:
            return None

    def vm_or_none(self, side: Side) -> VmFacts | None:
        try:
            return self.world.vm(side)
        except Silent:
            return None

    def gates(self, run: ModelRun, kind: StepKind) -> list[GateResult]:
        world, side = self.world, run.side(kind)
        now = world.now
        match kind:
            case K.IMAGE_DEMOTE:
                return [self._off(side), gates.g_path(world.side(side.other), world.side(side), world.now)]
            case K.IMAGE_PROMOTE:
                return [self._demoted(run.source)]
            case K.VM_START:
                other = world.vm(side.other)
                promoted = gates.g_promoted(world.role(side), world.role(side.other), world.now)
                return [promoted, gates.g_peer_off(other, world.now)]
            case K.IMAGE_FORCE_PROMOTE:
                there, here = self.role_or_none(side.other), world.role(side)
                copy = world.sides[side]
                whole = not world.anew[side] and (world.mode is Mode.JOURNAL or any(s.complete for s in copy.snaps))
                ask = run.ask.facts() if run.ask else None
                may = force_gates.g_approval(ask, run.number, run.plan_version, self.command(side), now)
                return [force_gates.g_force(here, there, whole, world.now), may]
            case K.VM_START_ALONE:
                vm, there, here = self.vm_or_none(side.other), self.role_or_none(side.other), world.role(side)
                fence = force_gates.g_fence(vm, "olga", "power cut", world.now)
                return [fence, force_gates.g_alone(here, there, world.now)]
            case K.VM_STOP_RETURNED:
                return [self._peer(run, side)]
            case K.IMAGE_DEMOTE_RETURNED | K.IMAGE_RESYNC:
                return [self._off(side), self._peer(run, side)]
        return []

    def _off(self, side: Side) -> GateResult:
        return gates.g_off(self.world.vm(side), self.world.watchers(side), self.world.now)

    def _demoted(self, source: Side) -> GateResult:
        world = self.world
        role, target = world.role(source), world.role(source.other)
        journal, ours, theirs = world.journal(source), world.snapshots(source), world.snapshots(source.other)
        return gates.g_demoted(world.mode, role, journal, ours, target, theirs, world.now)

    def _peer(self, run: ModelRun, side: Side) -> GateResult:
        here, there = self.world.role(side), self.world.role(side.other)
        forced, chosen = self.forced_at is side, bool(run.salvage)
        return return_gates.g_peer(here, there, self.world.now, salvage_chosen=chosen, forced_here=forced)

    # --- the act, and what must be true of it by what only the test knows

    def _send(self, run: ModelRun, kind: StepKind) -> None:
        world, side = self.world, run.side(kind)
        if run is not self.active:
            raise Harm("I12 two executors act on one group")
        if self.trail[-1] != ("begin", run.number, kind):
            raise Harm("I8 an act that is not in the trail before it happens")
        if run.doubt is not None:
            raise Harm("I13 sent although the last act is in doubt")
        good = world.good_copies()
        self._judge_act(run, kind, side)
        acts = {
            K.IMAGE_DEMOTE: world.demote, K.IMAGE_DEMOTE_RETURNED: world.demote, K.IMAGE_PROMOTE: world.promote,
            K.IMAGE_FORCE_PROMOTE: world.force, K.IMAGE_RESYNC: world.resync, K.IMAGE_SALVAGE: world.save,
        }  # fmt: skip
        if act := acts.get(kind):
            self.effects[run.number, kind] += act(side) == OK
        else:
            self.effects[run.number, kind] += 1
            world.sides[side].vm_running = kind in (K.VM_START, K.VM_START_ALONE)
        if kind is K.IMAGE_FORCE_PROMOTE:
            self.forced_at = side
        if kind is K.IMAGE_PROMOTE:
            self.forced_at = None
        if good and not world.good_copies():
            raise Harm(f"I15 the last good copy went with {kind}")
        if kind in acts and kind is not K.IMAGE_SALVAGE and self.effects[run.number, kind] > 1:
            raise Harm(f"I9 {kind} took effect twice in one run")

    def _judge_act(self, run: ModelRun, kind: StepKind, side: Side) -> None:
        world, here, there = self.world, self.world.sides[side], self.world.sides[side.other]
        alive = world.up[side.other]
        if kind in (K.IMAGE_DEMOTE, K.IMAGE_DEMOTE_RETURNED, K.IMAGE_RESYNC) and here.vm_running:
            raise Harm("I3 a disk is taken from a running VM")
        if kind is K.IMAGE_PROMOTE and (there.role == PRIMARY or not world.whole(side)):
            raise Harm("I14 an orderly promote of a copy that is not whole, or beside a primary")
        if kind is K.IMAGE_FORCE_PROMOTE:
            if alive:
                raise Harm("I1 forced although the other side can be read")
            if run.ask is None or run.ask.state is not ApprovalState.USED:
                raise Harm("I2 forced without a yes that was taken into use")
            self._judge_yes(run.ask, run)
        if kind in (K.VM_START, K.VM_START_ALONE) and there.vm_running:
            raise Harm("I5 started while it runs at the other side")
        if kind is K.VM_START_ALONE and alive and there.role == PRIMARY:
            raise Harm("I5 started while the other side can be written too")
        if run.kind in (RunKind.FENCE, RunKind.REPROTECT) and kind is not K.IMAGE_SALVAGE:
            if side is world.chosen or not alive or there.role != PRIMARY:
                raise Harm("I4 something is taken away where the only good copy may be")
            taken = kind is K.IMAGE_RESYNC and world.only_at(side) - world.saved[side]
            if taken and run.salvage != "waived":
                raise Harm("I3 discarded what is nowhere else, and nobody said so")

    def _judge_use(self, ask: Ask, run: ModelRun) -> None:
        """When it is taken into use; written anew here, so that the engine is not judged by itself."""
        if ask.uses:
            raise Harm("I6 a yes was used twice")
        if ask.plan_version != self.plan_version:
            raise Harm("I6 a yes to another version of the plan")
        if ask.evidence != self.evidence(run.source):
            raise Harm("I6 a yes to other evidence")
        self._judge_yes(ask, run)

    def _judge_yes(self, ask: Ask, run: ModelRun) -> None:
        if ask.run_id != run.number:
            raise Harm("I6 a yes to another run")
        if ask.outlived:
            raise Harm("I6 a yes from before the lost site came back and was fenced")
        if self.world.now >= ask.expires_at:
            raise Harm("I6 a yes that has expired")
        if self.command(run.source.other) not in ask.commands:
            raise Harm("I6 a yes to other commands")
        others = [p for p in ask.said_yes.values() if p is not ask.requester and "approver" in p.roles]
        if not others and not (ask.glass is not None and "operator" in ask.glass.roles):
            raise Harm("I6 nobody else's yes, and nobody broke the glass")
