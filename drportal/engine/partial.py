"""A run that rests with work left: how far each VM has come, and what each choice a person has would lead to.

Nothing is decided here. What is said is what the executor does afterwards: a VM on hold is passed over, as a disaster
passes over what has failed (``going_on``).
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from drportal.engine.gate_base import count
from drportal.engine.going_on import given_up
from drportal.engine.plans import RunKind
from drportal.engine.states import TERMINAL_STEP, StepState
from drportal.engine.steps import STEP_KINDS, StepKind

NAMED = 6  # VMs are named up to here, the rest is counted
STEPS_NAMED = 3


class Choice(enum.StrEnum):
    RETRY = "retry"
    HOLD = "hold"
    CRITICAL = "critical"
    STOP = "stop"


class Part(enum.StrEnum):
    """How far a VM of the run has come. ``waiting``: nothing of it has failed, its steps have not begun."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ON_HOLD = "on_hold"
    WAITING = "waiting"


class NoSuchChoice(ValueError):
    """It can't be chosen now. The message says why; nothing was changed."""


@dataclass(frozen=True, slots=True)
class RestingStep:
    """``subject`` and ``site`` as people call them."""

    key: str
    vm_key: str
    kind: StepKind
    subject: str
    site: str
    state: StepState
    sentence: str
    needs: tuple[str, ...]

    @property
    def title(self) -> str:
        return STEP_KINDS[self.kind].sentence(self.subject, self.site)

    @property
    def open(self) -> bool:
        return self.state not in TERMINAL_STEP


@dataclass(frozen=True, slots=True)
class RestingVm:
    """``stands``: where it and its images were seen when the run came to rest."""

    key: str
    name: str
    priority: int
    stands: str


@dataclass(frozen=True, slots=True)
class Rest:
    """A run at rest. ``steps`` come after those they need; ``on_hold``: keys of VMs."""

    kind: RunKind
    source: str
    target: str
    steps: tuple[RestingStep, ...]
    vms: tuple[RestingVm, ...]
    on_hold: frozenset[str]
    _left: dict[str, list[RestingStep]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        left: dict[str, list[RestingStep]] = {}
        for step in self.steps:
            if step.open:
                left.setdefault(step.vm_key, []).append(step)
        object.__setattr__(self, "_left", left)

    def open_steps(self, vm_key: str) -> list[RestingStep]:
        return self._left.get(vm_key, [])

    def part(self, vm_key: str) -> Part:
        states = {step.state for step in self.open_steps(vm_key)}
        if not states:
            return Part.DONE
        if vm_key in self.on_hold:
            return Part.ON_HOLD
        if StepState.FAILED in states:
            return Part.FAILED
        return Part.UNKNOWN if states & {StepState.UNKNOWN, StepState.RUNNING} else Part.WAITING

    def trouble(self, vm_key: str) -> str:
        """Why it does not go on, in the words of its first step that failed or is not known; else empty."""
        wanting = (StepState.FAILED, StepState.UNKNOWN, StepState.RUNNING)
        first = next((step for step in self.open_steps(vm_key) if step.state in wanting), None)
        return f"{first.title}: {first.sentence}" if first else ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a choice leads to. ``retried``: VMs whose failed steps are armed again; ``on_hold``: afterwards.

    ``goes_on``: somebody has something to do, so that an executor is called.
    """

    retried: frozenset[str]
    on_hold: frozenset[str]
    goes_on: bool
    consequences: tuple[str, ...]


def decide(choice: Choice, rest: Rest, chosen: Collection[str] = (), up_to: int | None = None) -> Decision:
    """``chosen``: VMs, for *retry* and *hold*; ``up_to``: the last priority that is critical. Raises NoSuchChoice."""
    left = {vm.key: vm for vm in rest.vms if rest.part(vm.key) is not Part.DONE}
    if not left:
        raise NoSuchChoice("Nothing is left to do in this run.")
    if choice is Choice.STOP:
        return Decision(frozenset(), rest.on_hold, True, tuple(_stop(rest)))
    if choice is Choice.CRITICAL:
        retried, on_hold = _critical(rest, left, up_to)
    else:
        picked = _picked(rest, left, chosen)
        retried = picked if choice is Choice.RETRY else frozenset()
        on_hold = (rest.on_hold - picked) if choice is Choice.RETRY else (rest.on_hold | picked)
    after = _After(rest, frozenset(retried & left.keys()), on_hold & left.keys())
    return Decision(after.retried, after.on_hold, after.goes_on, tuple(_told(after)))


def critical_up_to(rest: Rest) -> list[int]:
    """The priorities up to which VMs can be called critical."""
    left = {vm.key: vm for vm in rest.vms if rest.part(vm.key) is not Part.DONE}
    possible = []
    for priority in range(1, 5):
        with contextlib.suppress(NoSuchChoice):
            _critical(rest, left, priority)
            possible.append(priority)
    return possible


def _picked(rest: Rest, left: Collection[str], chosen: Collection[str]) -> frozenset[str]:
    if not chosen:
        raise NoSuchChoice("Choose at least one VM.")
    if unknown := set(chosen) - {vm.key for vm in rest.vms}:
        raise NoSuchChoice(f"This run has no VM {sorted(unknown)[0]}.")
    if done := [vm.name for vm in rest.vms if vm.key in chosen and vm.key not in left]:
        raise NoSuchChoice(f"{done[0]} is done: there is nothing to retry or to hold.")
    return frozenset(chosen)


def _critical(rest: Rest, left: Mapping[str, RestingVm], up_to: int | None) -> tuple[frozenset[str], frozenset[str]]:
    """What a person has put on hold stays there, however critical it is."""
    if up_to is None:
        raise NoSuchChoice("Say up to which priority a VM is critical.")
    critical = {key for key, vm in left.items() if vm.priority <= up_to} - rest.on_hold
    if not critical:
        raise NoSuchChoice(f"No VM of priority 1 to {up_to} is left that could go on.")
    if not left.keys() - critical - rest.on_hold:
        raise NoSuchChoice(f"All VMs that are left have priority 1 to {up_to}: retry them instead.")
    retried = {key for key in critical if rest.part(key) is Part.FAILED}
    return frozenset(retried), rest.on_hold | (left.keys() - critical)


class _After:
    """What can come once the choice is made: the executor's own rule (``going_on``), step by step."""

    def __init__(self, rest: Rest, retried: frozenset[str], on_hold: frozenset[str]) -> None:
        self.rest, self.retried, self.on_hold = rest, retried, on_hold
        open_steps = [step for step in rest.steps if step.open]
        failed = [step.key for step in open_steps if step.state is StepState.FAILED and step.vm_key not in retried]
        lost = {step.key for step in open_steps if step.vm_key in on_hold}
        if rest.kind is RunKind.DISASTER_FAILOVER:
            lost |= given_up(rest.steps, failed)
        self._stuck = {step.key: step for step in open_steps if step.key in failed and step.key not in lost}
        self._owner = {step.key: step.vm_key for step in open_steps}
        passed = lost | {step.key for step in rest.steps if not step.open}
        self.coming: set[str] = set()
        for step in open_steps:
            if step.key not in lost and step.key not in self._stuck and passed.issuperset(step.needs):
                self.coming.add(step.key)
                passed.add(step.key)
            elif step.vm_key not in on_hold:
                self._stuck[step.key] = step

    @property
    def goes_on(self) -> bool:
        return bool(self.coming)

    @property
    def movers(self) -> frozenset[str]:
        return frozenset(self._owner[key] for key in self.coming)

    def waits_for(self, vm_key: str) -> set[str]:
        """Other VMs whose failed steps keep it from going on."""
        found: set[str] = set()
        seen: set[str] = set()
        ahead = [key for key in self._stuck if self._owner[key] == vm_key]
        while ahead:
            key = ahead.pop()
            if key in seen or key not in self._stuck:
                continue
            seen.add(key)
            if self._stuck[key].state is StepState.FAILED and self._owner[key] != vm_key:
                found.add(self._owner[key])
            ahead += self._stuck[key].needs
        return found


# --- in words


def _told(after: _After) -> Iterable[str]:
    rest = after.rest
    left = [vm.key for vm in rest.vms if rest.part(vm.key) is not Part.DONE and vm.key not in after.on_hold]
    if not after.goes_on:
        yield "Nothing goes on: what is left has failed or is on hold. The run stays paused."
    yield from _each(rest, left, lambda vm: f"{vm.name}: {_goes_on(after, vm)}")
    yield from _passed_over(rest, after.movers, after.on_hold)
    yield from _each(rest, after.on_hold, lambda vm: f"{vm.name} is on hold. {_stays(rest, vm)}")
    if after.on_hold and rest.kind in (RunKind.PLANNED_FAILOVER, RunKind.FAILBACK, RunKind.DISASTER_FAILOVER):
        yield f"The group is not whole at {rest.target} before they are retried."
    if after.on_hold:
        yield "A hold can be undone: retry them here, as long as the run is not over. It keeps their images until then."
    yield from _undo(rest, after.movers)


def _goes_on(after: _After, vm: RestingVm) -> str:
    steps = after.rest.open_steps(vm.key)
    coming = [step for step in steps if step.key in after.coming]
    doubtful = [step for step in coming if step.state in (StepState.UNKNOWN, StepState.RUNNING)]
    again = [step for step in coming if step.state is StepState.FAILED]
    others = [step for step in coming if step not in doubtful and step not in again]
    failed = [step for step in steps if step.state is StepState.FAILED and step not in again]
    parts = []
    if doubtful:
        parts.append(f"it is read what became of {_named(doubtful)}")
    if again:
        parts.append(f"tried again, from its first look on: {_named(again)}")
    if others:
        parts.append(f"{'then' if parts else 'goes on with'} {_named(others)}")
    if failed:
        parts.append(f"{_named(failed)} failed, and {'is' if len(failed) == 1 else 'are'} not tried again")
    if waits := after.waits_for(vm.key):
        parts.append(f"waits for {_names(after.rest, waits)}")
    return f"{'; '.join(parts)}." if coming else f"{'; '.join(parts)}. {_stays(after.rest, vm)}"


def _stays(rest: Rest, vm: RestingVm) -> str:
    now = f"It stays as it is ({vm.stands})" if vm.stands else "It stays as it is"
    return f"{now}. Not done: {_named(rest.open_steps(vm.key))}."


def _passed_over(rest: Rest, movers: Collection[str], on_hold: Collection[str]) -> Iterable[str]:
    """Whom the plan's order would have waited for."""
    owner = {step.key: step.vm_key for step in rest.steps if step.open}
    waiting: dict[str, set[str]] = {}
    for step in rest.steps:
        if step.open and step.vm_key in movers:
            for need in step.needs:
                if owner.get(need) in on_hold:
                    waiting.setdefault(owner[need], set()).add(step.vm_key)
    for passed in sorted(waiting, key=lambda key: _vm(rest, key).name):
        who = _names(rest, waiting[passed])
        yield f"{who} no longer wait{'s' if len(waiting[passed]) == 1 else ''} for {_vm(rest, passed).name}."


def _undo(rest: Rest, movers: Collection[str]) -> Iterable[str]:
    kinds = {step.kind for key in movers for step in rest.open_steps(key)}
    if StepKind.IMAGE_FORCE_PROMOTE in kinds:
        yield "What is forced can't be taken back. Nothing is forced without a yes that still counts."
    if StepKind.IMAGE_RESYNC in kinds:
        yield f"A copy that is discarded at {rest.source} can't be brought back, but for what was saved of it."
    if StepKind.IMAGE_DEMOTE in kinds or StepKind.IMAGE_PROMOTE in kinds:
        yield (
            f"It can be taken back: stop, then the way back, for each VM of which no image is primary at {rest.target} "
            "yet. The others come home by a failback."
        )


def _stop(rest: Rest) -> Iterable[str]:
    open_steps = [step for step in rest.steps if step.open]
    yield f"The run ends. {count(len(open_steps), 'step')} never begin{'s' if len(open_steps) == 1 else ''}."
    done = [vm.key for vm in rest.vms if rest.part(vm.key) is Part.DONE]
    if done:
        yield f"{_names(rest, done)}: done, and stay{'s' if len(done) == 1 else ''} so."
    yield from _each(
        rest, [vm.key for vm in rest.vms if vm.key not in done], lambda vm: f"{vm.name}: {_stays(rest, vm)}"
    )
    if rest.kind is RunKind.DISASTER_FAILOVER:
        yield (
            "What was forced stays forced. If anything was, the group counts as running at "
            f"{rest.target}; to go on, ask for the disaster failover again, with a new approval."
        )
    elif rest.kind in (RunKind.REPROTECT, RunKind.FENCE):
        yield "What was done stays done. Ask for the same again: it goes on where this one stopped."
    elif rest.kind is RunKind.WAY_BACK:
        yield "What was taken back stays taken back. A way back is not taken back itself."
    else:
        yield (
            f"The group still counts as running at {rest.source}. The way back to there is offered while it is safe, "
            f"for each VM of which no image is primary at {rest.target}."
        )


def _each(rest: Rest, keys: Collection[str], say: Callable[[RestingVm], str]) -> Iterable[str]:
    vms = [vm for vm in _in_order(rest) if vm.key in keys]
    yield from (say(vm) for vm in vms[:NAMED])
    if len(vms) > NAMED:
        yield f"The same for {count(len(vms) - NAMED, 'more VM')}."


def _in_order(rest: Rest) -> Sequence[RestingVm]:
    return sorted(rest.vms, key=lambda vm: (vm.priority, vm.name))


def _vm(rest: Rest, key: str) -> RestingVm:
    return next(vm for vm in rest.vms if vm.key == key)


def _names(rest: Rest, keys: Collection[str]) -> str:
    names = [vm.name for vm in _in_order(rest) if vm.key in keys]
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def _named(steps: Sequence[RestingStep]) -> str:
    shown = ", ".join(f"“{step.title}”" for step in steps[:STEPS_NAMED])
    return shown if len(steps) <= STEPS_NAMED else f"{shown} and {count(len(steps) - STEPS_NAMED, 'more step')}"
