"""What a run cost: the time until the service was back, and the data that was lost. For reviews and reports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from ninja import Schema

from drportal.engine.plans import RunKind
from drportal.engine.recovery_time import RecoveryTime, TimeWord, recovery_time
from drportal.engine.states import RunState, StepState
from drportal.engine.steps import StepKind
from drportal.recovery import schemas
from drportal.recovery.models import Approval, MeasuredLoss, Run, RunImage, Step, StepAttempt
from drportal.recovery.presenters import title

STARTS = (StepKind.VM_START, StepKind.VM_RESUME_HERE, StepKind.VM_START_ALONE)
OF_VMS = (StepKind.VM_POWER_OFF, *STARTS)


class RecoveryTimeOut(Schema):
    """``measured_s`` against ``target_s``, the RTO target as it was agreed when the run was asked for."""

    word: TimeWord
    target_s: int | None
    measured_s: float | None
    sentence: str


class LostData(Schema):
    """Of one image. ``bound_s``: as it was said before the yes; ``exact``: as it was found when both copies could be
    compared, empty until then."""

    image: str
    bound_s: float | None
    bound: str
    exact: str


class Losses(Schema):
    sentence: str
    images: list[LostData]


def vm_times(steps: Sequence[Step]) -> list[schemas.ReportVm]:
    stopped = {step.vm_name: step.started_at for step in steps if step.kind == StepKind.VM_POWER_OFF}
    started = {
        step.vm_name: step.finished_at for step in steps if step.kind in STARTS and step.state == StepState.SUCCEEDED
    }
    made = []
    for name in dict.fromkeys(step.vm_name for step in steps):
        off, on = stopped.get(name), started.get(name)
        down = round((on - off).total_seconds(), 1) if on and off else None
        made.append(schemas.ReportVm(name=name, stopped_at=off, running_at=on, down_s=down))
    return made


def time_of(run: Run, steps: Sequence[Step]) -> RecoveryTime:
    """``steps``: of the run, at least those of ``OF_VMS``."""
    to_start = {step.vm_name for step in steps if step.kind in STARTS}
    vms = [vm for vm in vm_times(steps) if vm.name in to_start]
    since, words = _since(run, vms)
    return recovery_time(run.rto_s, since, words, [vm.running_at for vm in vms])


def _since(run: Run, vms: Sequence[schemas.ReportVm]) -> tuple[dt.datetime | None, str]:
    """Where the clock begins: at what people were without."""
    if run.kind == RunKind.DISASTER_FAILOVER:
        lost = _contact_lost(run)
        if lost is not None:
            return lost, f"contact with {run.source_site.name} was lost"
        return run.created_at, "the run was asked for (when contact was lost is not known)"
    stopped = [vm.stopped_at for vm in vms if vm.stopped_at is not None]
    return min(
        stopped, default=None
    ), "the first VM was powered off" if stopped else "no VM was powered off by this run"


def _contact_lost(run: Run) -> dt.datetime | None:
    """As the evidence has it that was said yes to: the first of the ways to the site that fell silent."""
    reached = _used(run).values_list("evidence__content__source_reachable", flat=True).first() or {}
    silent = [since for ok, since, *_ in reached.values() if ok is False and since]
    return min((dt.datetime.fromisoformat(since) for since in silent), default=None)


def deviations_of(run: Run, time: RecoveryTime) -> list[str]:
    """Beside steps that failed or were taken out: what went otherwise than a run of its kind should."""
    said = []
    if Approval.objects.filter(run=run, glass=True).exists():
        said.append("It was begun by one person alone: the glass was broken, and nobody else said yes.")
    if run.state == RunState.ABORTED:
        said.append("It was cancelled before it was through.")
    again = StepAttempt.objects.filter(step__run=run, number__gt=1).values("step")
    for step in run.steps.filter(pk__in=again).select_related("site"):
        first = step.attempts.order_by("number").values_list("sentence", flat=True).first() or "no outcome was seen"
        said.append(f"{title(step)}: took {step.attempts.count()} attempts. The first: {first}")
    if time.word in (TimeWord.BEYOND, TimeWord.NOT_BACK):
        said.append(time.sentence)
    return said


def losses_of(run: Run) -> Losses:
    """Per image what may be lost, as it was known before the act, and what was lost, once that is known."""
    if run.kind == RunKind.DISASTER_FAILOVER:
        return _forced(run)
    if run.kind in (RunKind.PLANNED_FAILOVER, RunKind.FAILBACK, RunKind.WAY_BACK):
        said = (
            "None: a copy is promoted only when its position shows that it is whole; what was skipped is a deviation."
        )
        return Losses(sentence=said, images=[])
    return Losses(sentence="None is said: this kind of run promotes no copy in place of another.", images=[])


def _forced(run: Run) -> Losses:
    images: dict[str, Any] = {}
    for content in _used(run).values_list("evidence__content__images", flat=True):
        images |= content or {}  # a later yes, to the images that were left, says it anew
    exact = _exact(run)
    lost = [
        LostData(image=one["name"], bound_s=one["loss_s"], bound=one["loss"], exact=exact.get(one["name"], ""))
        for one in images.values()
    ]
    if not lost:
        return Losses(sentence="Nothing was forced: no yes was used.", images=[])
    bounds = [one.bound_s for one in lost]
    known = [bound for bound in bounds if bound is not None]
    said = f"At most the writes of the {max(known):.0f} s before contact was lost" if known else "No bound is known"
    if known and len(known) < len(bounds):
        said += f"; no bound is known for {len(bounds) - len(known)} of {len(bounds)} images"
    found = sum(1 for one in lost if one.exact)
    said += f". Found exactly for {found} of {len(lost)} images." if found else ". Not found exactly yet."
    return Losses(sentence=said, images=sorted(lost, key=lambda one: one.image))


def _exact(run: Run) -> dict[str, str]:
    """Image to what was found at the lost site when it was first measured there after the run."""
    images = RunImage.objects.filter(run=run).values("image")
    rows = MeasuredLoss.objects.filter(site=run.source_site, image__in=images, run_id__gt=run.pk)
    found: dict[str, str] = {}
    for row in rows.select_related("image").order_by("run_id"):
        found.setdefault(f"{row.image.pool}/{row.image.name}", row.sentence)
    return found


def _used(run: Run) -> Any:
    return Approval.objects.filter(run=run, used_at__isnull=False).order_by("pk")
