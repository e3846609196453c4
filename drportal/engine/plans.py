"""From a plan to the graph of steps of a run. Keys are stable: the same plan always gives the same steps."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from drportal.engine.fence import FenceRung
from drportal.engine.gates import GateId
from drportal.engine.salvage import SalvageWay
from drportal.engine.steps import STEP_KINDS, StepKind


class RunKind(enum.StrEnum):
    PLANNED_FAILOVER = "planned_failover"
    FAILBACK = "failback"
    WAY_BACK = "way_back"
    DISASTER_FAILOVER = "disaster_failover"
    REPROTECT = "reprotect"
    FENCE = "fence"


class PlanImpossible(ValueError):
    """The plan cannot become a run; nothing was made. The message says which VM or image is in the way and what to
    change."""


@dataclass(frozen=True, slots=True)
class PlannedVm:
    """``priority`` 1 to 5: 1 starts first and stops last. ``key`` and the image keys are the caller's, unique in the
    plan."""

    key: str
    name: str
    priority: int
    image_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanInput:
    """``source_site`` is the one left behind (failback: where the group is active), ``target_site`` where it goes.

    Only a way back reads the two observed sets: images demoted at the source, and images primary at the target.
    ``salvage``: image key -> what becomes of what a reprotect would discard.
    """

    vms: tuple[PlannedVm, ...]
    source_site: str
    target_site: str
    demoted_at_source: frozenset[str] = frozenset()
    primary_at_target: frozenset[str] = frozenset()
    salvage: Mapping[str, SalvageWay] = field(default_factory=dict)
    fence_rung: FenceRung = FenceRung.DEMOTED
    """What the plan wants done at a site that came back, before anything else."""

    lost_sight_of: frozenset[str] = frozenset()
    """VMs (by key) that are UNKNOWN at home, where a failback goes: they are powered off there first."""

    following: frozenset[str] = frozenset()
    """Images at the fenced site that were seen to follow: they hold nothing of their own that could be measured."""

    shut_out: frozenset[str] = frozenset()
    """Images at the returned site whose writers are shut out there; a reprotect lets them in at its end."""

    locked: frozenset[str] = frozenset()
    """VMs at the returned site that a fence locked in OpenNebula; a reprotect unlocks them at its end."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """``needs``: keys of the steps that must have succeeded or been skipped. ``subject``: the image key or VM key;
    ``vm_key``: whose it is."""

    key: str
    kind: StepKind
    subject: str
    vm_key: str
    site: str
    needs: tuple[str, ...]
    gates_before: tuple[GateId, ...]
    gates_after: tuple[GateId, ...]


def step_key(kind: StepKind, subject: str) -> str:
    return f"{kind}:{subject}"


def build(kind: RunKind, plan: PlanInput) -> tuple[PlannedStep, ...]:
    """The steps of a run, in an order in which every step comes after those it needs. Raises PlanImpossible."""
    _check(plan)
    return BUILDERS[kind](plan)


def staying_vms(plan: PlanInput) -> tuple[PlannedVm, ...]:
    """The VMs that a way back leaves alone: at least one of their images is already primary at the target.

    Ceph would let the source be promoted again even so, and then there would be two primaries: such a VM goes on
    forward, or comes home later by a failback.
    """
    return tuple(vm for vm in plan.vms if plan.primary_at_target.intersection(vm.image_keys))


def _check(plan: PlanInput) -> None:
    if not plan.vms:
        raise PlanImpossible("The plan has no VM. Add at least one VM to the group.")
    if plan.source_site == plan.target_site:
        raise PlanImpossible(f"Source and target are the same site ({plan.source_site}). Nothing can move.")
    owner: dict[str, PlannedVm] = {}
    for vm in plan.vms:
        if vm.priority not in range(1, 6):
            raise PlanImpossible(f"{vm.name} has priority {vm.priority}; it must be 1 to 5.")
        if not vm.image_keys:
            raise PlanImpossible(f"{vm.name} has no mirrored image. Take it out of the group, or mirror its disks.")
        for image in vm.image_keys:
            if image in owner:
                raise PlanImpossible(
                    f"Image {image} belongs to {owner[image].name} and to {vm.name}. An image moves with one VM only."
                )
            owner[image] = vm
    if len({vm.key for vm in plan.vms}) != len(plan.vms):
        raise PlanImpossible("A VM is in the plan twice. Take one of the two out.")


def _step(kind: StepKind, subject: str, vm: PlannedVm, plan: PlanInput, needs: Iterable[str]) -> PlannedStep:
    spec = STEP_KINDS[kind]
    site = plan.source_site if spec.side == "source" else plan.target_site
    return PlannedStep(
        step_key(kind, subject),
        kind,
        subject,
        vm.key,
        site,
        tuple(dict.fromkeys(needs)),
        spec.gates_before,
        spec.gates_after,
    )


def _groups(vms: Iterable[PlannedVm], *, reverse: bool = False) -> list[list[PlannedVm]]:
    """The VMs by priority, empty priorities left out: 1 first, or 5 first when ``reverse``."""
    by_priority: dict[int, list[PlannedVm]] = {}
    for vm in sorted(vms, key=lambda v: (v.priority, v.name, v.key)):
        by_priority.setdefault(vm.priority, []).append(vm)
    return [by_priority[p] for p in sorted(by_priority, reverse=reverse)]


def _chain(
    kind: StepKind,
    groups: list[list[PlannedVm]],
    plan: PlanInput,
    first: Iterable[str],
    own: Callable[[PlannedVm], Iterable[str]],
) -> list[PlannedStep]:
    """One step of ``kind`` per VM; each priority group waits for the whole group before it (and so for all before
    that)."""
    made: list[PlannedStep] = []
    before = tuple(first)
    for group in groups:
        made += [_step(kind, vm.key, vm, plan, (*before, *own(vm))) for vm in group]
        before = tuple(step_key(kind, vm.key) for vm in group)
    return made


def _move(plan: PlanInput) -> list[PlannedStep]:
    """Check all, power all off (5 first), then each image by itself, then start (1 first).

    No image is demoted before every VM of the group is off: if one refuses to power off, the whole group can simply be
    resumed where it is. With disks already handed over it would be split between the sites. The price is the slowest
    power-off, which is paid anyway by whoever needs the whole group.
    """
    up, down = _groups(plan.vms), _groups(plan.vms, reverse=True)
    settles = {vm.key: (step_key(StepKind.VM_SETTLE, vm.key),) for vm in plan.vms if vm.key in plan.lost_sight_of}
    checks = [_step(StepKind.VM_CHECK, vm.key, vm, plan, settles.get(vm.key, ())) for group in up for vm in group]
    offs = _chain(StepKind.VM_POWER_OFF, down, plan, [s.key for s in checks], lambda vm: ())
    last_off = [step_key(StepKind.VM_POWER_OFF, vm.key) for vm in down[-1]]
    images: list[PlannedStep] = []
    for group in up:
        for vm in group:
            for image in vm.image_keys:
                off = step_key(StepKind.VM_POWER_OFF, vm.key)
                demote = _step(StepKind.IMAGE_DEMOTE, image, vm, plan, (off, *last_off))
                promote = _step(StepKind.IMAGE_PROMOTE, image, vm, plan, (demote.key,))
                register = _step(StepKind.IMAGE_REGISTER, image, vm, plan, (promote.key,))
                images += [demote, promote, register]
    starts = _chain(
        StepKind.VM_START,
        up,
        plan,
        (),
        lambda vm: [step_key(StepKind.IMAGE_REGISTER, image) for image in vm.image_keys],
    )
    return [*checks, *offs, *images, *starts]


def _planned_failover(plan: PlanInput) -> tuple[PlannedStep, ...]:
    return tuple(_move(plan))


def _failback(plan: PlanInput) -> tuple[PlannedStep, ...]:
    """The same move towards home; then the copies at the side we left are retired, each after its own VM was seen
    running at home."""
    retires = [
        _step(StepKind.VM_RETIRE, vm.key, vm, plan, (step_key(StepKind.VM_START, vm.key),))
        for group in _groups(plan.vms)
        for vm in group
    ]
    return (*_settled(plan), *_move(plan), *retires)


def _settled(plan: PlanInput) -> list[PlannedStep]:
    return [_step(StepKind.VM_SETTLE, vm.key, vm, plan, ()) for vm in plan.vms if vm.key in plan.lost_sight_of]


def _way_back(plan: PlanInput) -> tuple[PlannedStep, ...]:
    """After a cancelled move: promote again what was demoted and never promoted elsewhere, and resume those VMs where
    they were."""
    staying = {vm.key for vm in staying_vms(plan)}
    groups = _groups(vm for vm in plan.vms if vm.key not in staying)
    if not groups:
        raise PlanImpossible(
            f"No VM can go back: each has an image that is already primary at {plan.target_site}. Finish the move, or "
            "fail back later."
        )
    promotes = [
        _step(StepKind.IMAGE_PROMOTE_AGAIN, image, vm, plan, ())
        for group in groups
        for vm in group
        for image in vm.image_keys
        if image in plan.demoted_at_source
    ]
    resumes = _chain(
        StepKind.VM_RESUME_HERE,
        groups,
        plan,
        (),
        lambda vm: [step_key(StepKind.IMAGE_PROMOTE_AGAIN, i) for i in vm.image_keys if i in plan.demoted_at_source],
    )
    return (*promotes, *resumes)


def _disaster_failover(plan: PlanInput) -> tuple[PlannedStep, ...]:
    """Each image by itself, then the VMs by priority. Nothing acts at the source."""
    up = _groups(plan.vms)
    images: list[PlannedStep] = []
    for group in up:
        for vm in group:
            for image in vm.image_keys:
                free = _step(StepKind.IMAGE_FREE, image, vm, plan, ())
                force = _step(StepKind.IMAGE_FORCE_PROMOTE, image, vm, plan, (free.key,))
                images += [free, force, _step(StepKind.IMAGE_REGISTER_ALONE, image, vm, plan, (force.key,))]
    starts = _chain(
        StepKind.VM_START_ALONE,
        up,
        plan,
        (),
        lambda vm: [step_key(StepKind.IMAGE_REGISTER_ALONE, image) for image in vm.image_keys],
    )
    return (*images, *starts)


SAVES = {SalvageWay.EXPORT: StepKind.IMAGE_SALVAGE, SalvageWay.COPY: StepKind.IMAGE_KEEP}


def _reprotect(plan: PlanInput) -> tuple[PlannedStep, ...]:
    """The source is the site that came back, the target where the group runs: at the target nothing acts. All VMs off
    first (5 first), so that none of them writes while another's disk is taken away; then each image by itself."""
    down = _groups(plan.vms, reverse=True)
    stops = _chain(StepKind.VM_STOP_RETURNED, down, plan, (), lambda vm: ())
    last = [step_key(StepKind.VM_STOP_RETURNED, vm.key) for vm in down[-1]]
    images: list[PlannedStep] = []
    for group in _groups(plan.vms):
        for vm in group:
            for image in vm.image_keys:
                own = step_key(StepKind.VM_STOP_RETURNED, vm.key)
                before = _step(StepKind.IMAGE_DEMOTE_RETURNED, image, vm, plan, (own, *last))
                measure = _step(StepKind.IMAGE_MEASURE, image, vm, plan, (before.key,))
                images += [before, measure]
                before = measure
                if saving := SAVES.get(plan.salvage.get(image, SalvageWay.WAIVE)):
                    before = _step(saving, image, vm, plan, (before.key,))
                    images.append(before)
                resync = _step(StepKind.IMAGE_RESYNC, image, vm, plan, (before.key,))
                follows = _step(StepKind.IMAGE_FOLLOWS, image, vm, plan, (resync.key,))
                images += [resync, follows]
                if image in plan.shut_out:
                    images.append(_step(StepKind.IMAGE_LET_IN, image, vm, plan, (follows.key,)))
    followed = [step.key for step in images if step.kind is StepKind.IMAGE_FOLLOWS]
    unlocks = [_step(StepKind.VM_UNLOCK, vm.key, vm, plan, followed) for vm in plan.vms if vm.key in plan.locked]
    return (*stops, *images, *unlocks)


def _fence(plan: PlanInput) -> tuple[PlannedStep, ...]:
    """The first thing at a site that came back, up to the rung that the plan wants: its writers shut out of Ceph, its
    VMs off and locked, its images not writable any more. Nothing is discarded. Each VM goes by itself: one that is off
    the air sooner is a fork that grows less."""
    cuts: list[PlannedStep] = []
    stops: list[PlannedStep] = []
    images: list[PlannedStep] = []
    for group in _groups(plan.vms):
        for vm in group:
            shut = [_step(StepKind.IMAGE_SHUT_OUT, image, vm, plan, ()) for image in vm.image_keys]
            cuts += shut if plan.fence_rung >= FenceRung.SHUT_OUT else []
            before = [step.key for step in shut] if plan.fence_rung >= FenceRung.SHUT_OUT else []
            stops.append(_step(StepKind.VM_STOP_RETURNED, vm.key, vm, plan, before))
            if plan.fence_rung >= FenceRung.LOCKED:
                off = step_key(StepKind.VM_STOP_RETURNED, vm.key)
                stops.append(_step(StepKind.VM_LOCK, vm.key, vm, plan, (off,)))
            if plan.fence_rung < FenceRung.DEMOTED:
                continue
            for image in vm.image_keys:
                own = step_key(StepKind.VM_STOP_RETURNED, vm.key)
                demote = _step(StepKind.IMAGE_DEMOTE_RETURNED, image, vm, plan, (own,))
                images.append(demote)
                if image not in plan.following:
                    images.append(_step(StepKind.IMAGE_MEASURE, image, vm, plan, (demote.key,)))
    return (*cuts, *stops, *images)


BUILDERS: dict[RunKind, Callable[[PlanInput], tuple[PlannedStep, ...]]] = {
    RunKind.PLANNED_FAILOVER: _planned_failover,
    RunKind.FAILBACK: _failback,
    RunKind.WAY_BACK: _way_back,
    RunKind.DISASTER_FAILOVER: _disaster_failover,
    RunKind.REPROTECT: _reprotect,
    RunKind.FENCE: _fence,
}
