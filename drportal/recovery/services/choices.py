"""What a person chooses for a run that rests with work left: retry these, hold, go on with the critical ones, stop."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import F

from drportal.audit.record import record
from drportal.engine.partial import Choice, Decision, NoSuchChoice, decide
from drportal.errors import Conflict, StaleVersion
from drportal.events import publish
from drportal.recovery.console import rest_of, why_no_choice
from drportal.recovery.models import Run
from drportal.recovery.plan_copy import UnreadablePlanCopy
from drportal.recovery.services.runs import failed_steps, go_on, rearm, run_cancel, run_get


def run_decision(*, run_id: int, choice: Choice, vms: Collection[str] = (), up_to: int | None = None) -> Decision:
    """What would follow from it; nothing is changed. Raises Conflict (wrong_state, no_such_choice)."""
    return _decided(run_get(run_id), choice, vms, up_to)


def run_choose(
    *,
    run_id: int,
    choice: Choice,
    version: int,
    actor: str,
    vms: Collection[str] = (),
    up_to: int | None = None,
    reason: str = "",
) -> Run:
    """``version``: of the run that was looked at. Raises StaleVersion, Conflict (wrong_state, no_such_choice)."""
    with transaction.atomic():
        Run.objects.select_for_update().filter(pk=run_id).first()
        run = run_get(run_id)
        if run.version != version:
            raise StaleVersion("The run has moved on since you looked. Nothing was changed. Look again, then choose.")
        decision = _decided(run, choice, vms, up_to)
        _note(run, choice, decision, actor, reason)
        if choice is Choice.STOP:
            return run_cancel(run_id=run_id, actor=actor, reason=reason)
        run.on_hold = sorted(decision.on_hold)
        Run.objects.filter(pk=run_id).update(on_hold=run.on_hold, version=F("version") + 1)
        for step in failed_steps(run):
            if step.params["vm"] in decision.retried:
                rearm(step, actor)
        if decision.goes_on:
            return go_on(run, actor, reason)
        for topic in (f"run:{run_id}", "runs", "overview"):
            publish(topic)
    return run_get(run_id)


def _decided(run: Run, choice: Choice, vms: Collection[str], up_to: int | None) -> Decision:
    if why := why_no_choice(run):
        raise Conflict(f"{why} Nothing was changed.", code="wrong_state")
    try:
        return decide(choice, rest_of(run, list(run.steps.select_related("site"))), vms, up_to)
    except (NoSuchChoice, UnreadablePlanCopy) as error:
        raise Conflict(f"{error} Nothing was changed.", code="no_such_choice") from None


def _note(run: Run, choice: Choice, decision: Decision, actor: str, reason: str) -> None:
    """Before it is carried out, with what the person was told."""
    payload = {
        "choice": choice.value,
        "retried": sorted(decision.retried),
        "on_hold": {"before": sorted(run.on_hold), "after": sorted(decision.on_hold)},
        "consequences": list(decision.consequences),
        "reason": reason,
    }
    record("run.choose", f"run {run.pk}: {run.kind}", payload, actor=actor, run_id=run.pk)
