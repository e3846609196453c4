"""The fence in rows: who was shut out and not let in yet, and the rung that a run has reached for each VM."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from django.db.models import Q

from drportal.engine.fence import (
    RUNG_WORDS,
    FenceRung,
    FenceSteps,
    below,
    floor_of,
    lowest,
    reached,
    reached_alone,
    rung_sentence,
)
from drportal.engine.gates import GateId
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState, StepState
from drportal.engine.steps import StepKind
from drportal.errors import Invalid
from drportal.inventory.models import Site
from drportal.recovery import schemas
from drportal.recovery.models import Approval, GateCheck, ProtectionGroup, Quarantine, Run, Step, StepAttempt
from drportal.recovery.plan_copy import LockedThere, PlanCopy, from_json
from drportal.recovery.policy import policy_now

_ADDRESS = re.compile(r" osd blocklist add (\S+) ")
_LOCK = re.compile(r"one\.(vm|image)\.lock\((\d+), ")
_HOST = re.compile(r"one\.host\.status\((\d+), ([01])\)")
_SENT_NOT = ("refused", "unreachable")


def shut_out_at(site: Site, group: ProtectionGroup) -> dict[str, tuple[str, ...]]:
    """Image key -> addresses, by the portal's own record: what was sent, not surely in vain, and not undone since."""
    found: dict[str, tuple[str, ...]] = {}
    kinds = (StepKind.IMAGE_SHUT_OUT.value, StepKind.IMAGE_LET_IN.value)
    attempts = StepAttempt.objects.filter(step__run__group=group, step__site=site, step__kind__in=kinds)
    for attempt in attempts.exclude(outcome__in=_SENT_NOT).select_related("step").order_by("intent_at"):
        key = attempt.step.params["image"]
        if attempt.step.kind == StepKind.IMAGE_SHUT_OUT.value:
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *_ADDRESS.findall(attempt.command))))
        elif attempt.step.state == StepState.SUCCEEDED.value:
            found.pop(key, None)
    return found


def locked_at(site: Site, group: ProtectionGroup) -> dict[str, LockedThere]:
    """VM key -> what of it is locked in OpenNebula there, by the portal's own record, whatever became of each attempt:
    what was locked before by somebody else was never sent.

    A host is shared: it stays disabled while another group is fenced on that rung there, and the last one to be
    unlocked enables what any of them disabled.
    """
    found: dict[str, LockedThere] = {}
    hosts: list[int] = []
    kinds = (StepKind.VM_LOCK.value, StepKind.VM_UNLOCK.value)
    attempts = StepAttempt.objects.filter(step__site=site, step__kind__in=kinds)
    for attempt in attempts.select_related("step__run").order_by("intent_at"):
        step, command = attempt.step, attempt.command
        key, own = step.params["vm"], step.run.group_id == group.pk
        hosts += [int(number) for number, status in _HOST.findall(command) if status == "1"]
        enabled = {int(number) for number, status in _HOST.findall(command) if status == "0"}
        hosts = [number for number in hosts if number not in enabled]
        if own and step.kind == StepKind.VM_LOCK.value:
            before = found.get(key, LockedThere())
            found[key] = LockedThere(before.vms + _numbers("vm", command), before.images + _numbers("image", command))
        elif own and step.state == StepState.SUCCEEDED.value:
            found.pop(key, None)
    others = Quarantine.objects.filter(site=site, cleared_at=None).exclude(group=group)
    if found and hosts and not others.filter(group__plan__fence_rung__gte=FenceRung.LOCKED.value).exists():
        first = next(iter(found))
        found[first] = found[first]._replace(hosts=tuple(dict.fromkeys(hosts)))
    return found


def rung_of_last_fence(group: ProtectionGroup, site: Site) -> FenceRung:
    """What the group's last run there reached, if that was a fence; a move or a whole reprotect after it has undone
    it."""
    in_vain = Q(kind=RunKind.REPROTECT.value) & ~Q(state=RunState.SUCCEEDED.value)
    last = Run.objects.filter(group=group, started_at__isnull=False).exclude(in_vain).order_by("-pk").first()
    if last is None or last.kind != RunKind.FENCE or last.source_site_id != site.pk:
        return FenceRung.NONE
    fences = fences_out(last, last.steps.all(), from_json(last.plan_copy).fence_rung)
    return lowest(FenceRung(fence.rung) for fence in fences)


def fenced_before(copy: PlanCopy, group: ProtectionGroup, source: Site) -> PlanCopy:
    """A reprotect's copy of its plan, with the rung that is reached once it has powered off and demoted itself."""
    return replace(copy, fence_reached=max(rung_of_last_fence(group, source), FenceRung.DEMOTED).value)


def below_question(copy: PlanCopy, source: Site) -> str:
    """To be answered by who asks for a reprotect; empty where the plan's rung is reached."""
    reached, wanted = FenceRung(copy.fence_reached), FenceRung(copy.fence_rung)
    floor = floor_of(FenceRung(policy_now().least_rung), wanted)
    if not floor <= reached < wanted:  # below the floor no answer helps
        return ""
    return (
        f"The plan wants rung {wanted.value} at {source.name} first: {RUNG_WORDS[wanted]}. Why does it go on with rung "
        f"{reached.value} ({RUNG_WORDS[reached]})?"
    )


def with_deviation(copy: PlanCopy, source: Site, deviation: str, by: str) -> PlanCopy:
    """Raises Invalid (no_deviation)."""
    question = below_question(copy, source)
    if question and not deviation:
        raise Invalid(f"{question} Fence it first, or say why. Nothing was started.", code="no_deviation")
    return replace(copy, deviation=deviation, deviation_by=by) if question else copy


def for_the_trail(copy: PlanCopy) -> dict[str, object]:
    return {"fence_wanted": copy.fence_rung, "fence_reached": copy.fence_reached, "deviation": copy.deviation}


def _numbers(kind: str, command: str) -> tuple[int, ...]:
    return tuple(int(number) for found, number in _LOCK.findall(command) if found == kind)


def fences_out(run: Run, steps: Iterable[Step], wanted: int) -> list[schemas.Fence]:
    """The rung reached for each VM, of runs that fence."""
    of_vm: dict[str, list[Step]] = {}
    for step in steps:
        of_vm.setdefault(step.vm_name, []).append(step)
    if run.kind == RunKind.DISASTER_FAILOVER:
        return [_alone(run, name, own) for name, own in of_vm.items()]
    if run.kind not in (RunKind.FENCE, RunKind.REPROTECT):
        return []
    copy = from_json(run.plan_copy) if run.kind == RunKind.REPROTECT else None
    return [_returned(name, own, FenceRung(wanted), copy) for name, own in of_vm.items()]


def _returned(name: str, steps: list[Step], wanted: FenceRung, reprotect: PlanCopy | None) -> schemas.Fence:
    """``reprotect``: its copy of the plan. What a fence before it had reached holds while it works."""

    def done(kind: StepKind) -> bool:
        own = [step for step in steps if step.kind == kind.value]
        return bool(own) and all(step.state == StepState.SUCCEEDED.value for step in own)

    def undone(kind: StepKind) -> bool:
        return any(step.kind == kind.value and step.state == StepState.SUCCEEDED.value for step in steps)

    seen = FenceSteps(
        off=done(StepKind.VM_STOP_RETURNED),
        demoted=done(StepKind.IMAGE_DEMOTE_RETURNED),
        shut_out=done(StepKind.IMAGE_SHUT_OUT) and not undone(StepKind.IMAGE_LET_IN),
        locked=done(StepKind.VM_LOCK) and not undone(StepKind.VM_UNLOCK),
    )
    rung = reached(seen)
    if reprotect is None:
        return schemas.Fence(vm=name, rung=rung.value, wanted=wanted.value, sentence=rung_sentence(rung, wanted))
    if rung >= FenceRung.DEMOTED:
        rung = max(rung, FenceRung(reprotect.fence_reached))
    said = rung_sentence(rung, wanted)
    if rung < wanted and reprotect.deviation:
        said = f"Rung {rung.value}. {below(rung, wanted, reprotect.deviation_by, reprotect.deviation)}"
    return schemas.Fence(vm=name, rung=rung.value, wanted=wanted.value, sentence=said)


def _alone(run: Run, name: str, steps: list[Step]) -> schemas.Fence:
    """By what G-FENCE read last of it."""
    check = (
        GateCheck.objects.filter(step__in=[step.pk for step in steps], gate=GateId.FENCE.value)
        .order_by("-checked_at")
        .first()
    )
    approval = Approval.objects.filter(run=run, used_at__isnull=False).first()
    if check is None or check.outcome != "met":
        said = check.sentence if check is not None else "Not looked at yet."
        return schemas.Fence(vm=name, rung=0, wanted=FenceRung.CUT.value, sentence=f"Rung 0: {said}")
    off = check.facts.get("phase_there") is not None
    wanted = FenceRung(from_json(run.plan_copy).fence_rung)
    attested, word = bool(approval and approval.attestation), FenceRung(approval.attested_rung if approval else 0)
    rung = reached_alone(off or None, attested, word)
    sentence = f"{rung_sentence(rung, FenceRung.OFF)} {check.sentence}"
    if not off:
        sentence += " Rungs 1 to 4 cannot be reached: the site does not answer."
    return schemas.Fence(vm=name, rung=rung.value, wanted=wanted.value, sentence=sentence)
