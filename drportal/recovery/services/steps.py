"""Single steps of a paused run: try again, or take out."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from drportal.audit.record import record
from drportal.engine.states import IllegalTransition, RunState, StepEvent, StepState, next_step_state
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.errors import Conflict, Invalid, NotFound
from drportal.events import publish
from drportal.recovery import giving_way
from drportal.recovery.models import Run, Step
from drportal.recovery.services.runs import failed_steps, go_on, rearm


def step_get(run_id: int, step_id: int) -> Step:
    step = Step.objects.select_related("run", "site").filter(pk=step_id).first()
    if step is None or step.run_id != run_id:
        raise NotFound(f"Run {run_id} has no step {step_id}.")
    return step


def why_no_retry(step: Step) -> str:
    if step.state != StepState.FAILED:
        return f"The step is {step.state}; only a failed one is tried again."
    if step.params.get("vm") in step.run.on_hold:
        return f"{step.vm_name} is on hold. Retry the VM on the run's page."
    return _why_not_now(step)


def why_no_skip(step: Step) -> str:
    try:
        next_step_state(
            StepState(step.state), StepEvent.SKIP, acts_on_image=STEP_KINDS[StepKind(step.kind)].acts_on_role
        )
    except IllegalTransition as error:
        return str(error)
    return _why_not_now(step)


def _why_not_now(step: Step) -> str:
    if step.run.state != RunState.PAUSED:
        return f"The run is {step.run.state}. Pause it first; then nothing moves while you decide."
    return giving_way.why_it_waits(step.run)


def step_retry(*, run_id: int, step_id: int, actor: str, reason: str = "") -> Step:
    """Try a failed step again; the run goes on when no other failed step is left.

    It begins with the probe, so it is harmless.
    """
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=_run_of(run_id, step_id))
        step = step_get(run_id, step_id)
        if why := why_no_retry(step):
            raise Conflict(f"{why} Nothing was changed.", code="wrong_state")
        rearm(step, actor)
        if not failed_steps(step.run):
            go_on(step.run, actor, reason or f"retry of {step.key}")
        publish(f"run:{run_id}")
    return step_get(run_id, step_id)


def step_skip(*, run_id: int, step_id: int, actor: str, reason: str) -> Step:
    """Take a step out, with a reason.

    What it would have done is not done, and its name and reason stay in the report.
    """
    if not reason.strip():
        raise Invalid("A skipped step needs a reason. Nothing was changed.")
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=_run_of(run_id, step_id))
        step = step_get(run_id, step_id)
        if why := why_no_skip(step):
            raise Conflict(f"{why} Nothing was changed.", code="wrong_state")
        Step.objects.filter(pk=step.pk, version=step.version).update(
            state=StepState.SKIPPED.value, version=F("version") + 1, skipped_by=actor, skip_reason=reason
        )
        Run.objects.filter(pk=run_id).update(version=F("version") + 1)
        payload = {"from": step.state, "sentence": step.sentence, "reason": reason}
        record("step.skip", step.key, payload, actor=actor, run_id=run_id)
        publish(f"run:{run_id}")
    return step_get(run_id, step_id)


def _run_of(run_id: int, step_id: int) -> int:
    return step_get(run_id, step_id).run_id
