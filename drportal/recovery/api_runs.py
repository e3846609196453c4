"""Runs and their steps over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Status

from drportal.api import asker, needs, require_proof, seen
from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageChoice
from drportal.engine.states import RunState, StepState
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.recovery import models, schemas
from drportal.recovery.models import StepAttempt
from drportal.recovery.presenters import RunPage, losses_out, plan_of, run_summary, title
from drportal.recovery.reckoning import vm_times
from drportal.recovery.salvaged import salvage_out
from drportal.recovery.salvaging import Wish
from drportal.recovery.schemas import ReasonIn, RunIn, Runs, RunSummary, StepDetail, WayBackIn
from drportal.recovery.schemas_console import ChoiceIn, ChosenIn, Consequences
from drportal.recovery.services import choices
from drportal.recovery.services import runs as services
from drportal.recovery.services import steps as step_services
from drportal.roles import Permission

router = Router()
PAGE = 50
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]


@router.post("/plans/{int:plan_id}/runs", auth=needs(Permission.RUN), response={200: RunSummary, 201: RunSummary})
def run_create(request: HttpRequest, plan_id: int, body: RunIn) -> Any:
    """Start a run. The same ``request_key`` again gives the same run (200), never a second one."""
    user = asker(request)
    if body.kind == RunKind.REPROTECT:  # it discards copies
        require_proof(request)
    run, new = services.run_request(
        plan_id=plan_id,
        kind=body.kind,
        plan_version=body.plan_version,
        phrase=body.phrase,
        reason=body.reason,
        request_key=body.request_key,
        accept_warnings=body.accept_warnings,
        discard_reason=body.discard_reason,
        deviation=body.deviation,
        salvage=Wish(
            body.salvage, {str(one.image_id): SalvageChoice(one.way, one.reason) for one in body.salvage_images}
        ),
        actor=user.username,
        user=user,
    )
    return Status(201 if new else 200, run_summary(services.run_get(run.pk)))


@router.get("/runs", auth=needs(Permission.VIEW), response=Runs)
def run_list(
    request: HttpRequest, state: RunState | None = None, plan: int | None = None, cursor: Cursor | None = None
) -> Any:
    """Newest first."""
    rows = seen(request, models.Run.objects.select_related("plan", "source_site", "target_site"))
    if state is not None:
        rows = rows.filter(state=state.value)
    if plan is not None:
        rows = rows.filter(plan_id=plan)
    if cursor is not None:
        rows = rows.filter(pk__lt=int(cursor))
    page = list(rows[: PAGE + 1])
    following = str(page[PAGE - 1].pk) if len(page) > PAGE else None
    return {"items": [run_summary(run) for run in page[:PAGE]], "next": following}


@router.get("/runs/{int:run_id}", auth=needs(Permission.VIEW), response=schemas.Run)
def run_read(request: HttpRequest, run_id: int) -> Any:
    return RunPage(services.run_get(run_id)).out()


@router.post("/runs/{int:run_id}/pause", auth=needs(Permission.RUN), response=RunSummary)
def run_pause(request: HttpRequest, run_id: int, body: ReasonIn) -> Any:
    """No new step begins; what is in flight ends."""
    return run_summary(services.run_pause(run_id=run_id, actor=asker(request).username, reason=body.reason))


@router.post("/runs/{int:run_id}/resume", auth=needs(Permission.RUN), response=RunSummary)
def run_resume(request: HttpRequest, run_id: int, body: ReasonIn) -> Any:
    """Go on; failed steps are tried again from their probe."""
    return run_summary(services.run_resume(run_id=run_id, actor=asker(request).username, reason=body.reason))


@router.post("/runs/{int:run_id}/cancel", auth=needs(Permission.RUN), response=RunSummary)
def run_cancel(request: HttpRequest, run_id: int, body: ReasonIn) -> Any:
    """End the run; what is in flight ends first, then it is read where everything stands."""
    return run_summary(services.run_cancel(run_id=run_id, actor=asker(request).username, reason=body.reason))


@router.post("/runs/{int:run_id}/consequences", auth=needs(Permission.VIEW), response=Consequences)
def run_consequences(request: HttpRequest, run_id: int, body: ChoiceIn) -> Any:
    """What would follow from a choice in a paused run. Nothing is changed."""
    return choices.run_decision(run_id=run_id, choice=body.choice, vms=body.vms, up_to=body.up_to)


@router.post("/runs/{int:run_id}/choice", auth=needs(Permission.RUN), response=RunSummary)
def run_choose(request: HttpRequest, run_id: int, body: ChosenIn) -> Any:
    """How a paused run goes on: retry these VMs, hold these, go on with the critical ones, or stop."""
    run = choices.run_choose(
        run_id=run_id,
        choice=body.choice,
        vms=body.vms,
        up_to=body.up_to,
        version=body.version,
        reason=body.reason,
        actor=asker(request).username,
    )
    return run_summary(run)


@router.post("/runs/{int:run_id}/way-back", auth=needs(Permission.RUN), response={200: RunSummary, 201: RunSummary})
def run_way_back(request: HttpRequest, run_id: int, body: WayBackIn) -> Any:
    """A run that takes a cancelled move back, as far as that is shown to be safe."""
    user = asker(request)
    run, new = services.way_back_request(
        run_id=run_id, phrase=body.phrase, request_key=body.request_key, actor=user.username, user=user
    )
    return Status(201 if new else 200, run_summary(services.run_get(run.pk)))


@router.get("/runs/{int:run_id}/steps/{int:step_id}", auth=needs(Permission.VIEW), response=StepDetail)
def step_read(request: HttpRequest, run_id: int, step_id: int) -> Any:
    return step_detail(step_services.step_get(run_id, step_id))


@router.post("/runs/{int:run_id}/steps/{int:step_id}/retry", auth=needs(Permission.RUN), response=StepDetail)
def step_retry(request: HttpRequest, run_id: int, step_id: int, body: ReasonIn) -> Any:
    """Try a failed step again; the run goes on when no other failed step is left."""
    actor = asker(request).username
    return step_detail(step_services.step_retry(run_id=run_id, step_id=step_id, actor=actor, reason=body.reason))


@router.post("/runs/{int:run_id}/steps/{int:step_id}/skip", auth=needs(Permission.RUN, again=True), response=StepDetail)
def step_skip(request: HttpRequest, run_id: int, step_id: int, body: ReasonIn) -> Any:
    """Take a step of a paused run out, with a reason."""
    actor = asker(request).username
    return step_detail(step_services.step_skip(run_id=run_id, step_id=step_id, actor=actor, reason=body.reason))


@router.get("/runs/{int:run_id}/report", auth=needs(Permission.VIEW), response=schemas.Report)
def run_report(request: HttpRequest, run_id: int) -> Any:
    """Times, attempts and exceptions, with the numbers of the trail's entries that prove them."""
    return report(services.run_get(run_id))


# --- rows to answers


def step_detail(step: models.Step) -> StepDetail:
    reasons = {"retry": step_services.why_no_retry(step), "skip": step_services.why_no_skip(step)}
    known = step.kind in set(StepKind)
    return StepDetail(
        id=step.pk,
        key=step.key,
        kind=step.kind,
        title=STEP_KINDS[StepKind(step.kind)].title if known else step.kind,
        subject=step.subject,
        site=step.site.slug,
        state=step.state,
        sentence=step.sentence,
        needs=step.needs,
        gates=[_gate(check) for check in step.gate_checks.order_by("pk")],
        attempts=[_attempt(attempt) for attempt in step.attempts.all()],
        actions=[
            schemas.StepAction(action=action, possible=not why, why_not=why or None) for action, why in reasons.items()
        ],
        skipped_by=step.skipped_by or None,
        skip_reason=step.skip_reason or None,
    )


def _gate(check: models.GateCheck) -> schemas.StepGate:
    plain = {name: getattr(check, name) for name in ("gate", "outcome", "sentence", "checked_at", "facts", "checks")}
    return schemas.StepGate(**plain, remedy=check.remedy or None, answers=_answers(check.answers))


def _attempt(attempt: StepAttempt) -> schemas.Attempt:
    names = ("number", "intent_at", "finished_at", "command", "host", "exit_status", "outcome", "sentence")
    plain = {name: getattr(attempt, name) for name in names}
    return schemas.Attempt(**plain, operation_id=str(attempt.operation_id), answers=_answers(attempt.answers))


def _answers(kept: list[dict[str, Any]]) -> list[schemas.Answer]:
    return [schemas.Answer(**answer) for answer in kept]


def report(run: models.Run) -> schemas.Report:
    attempts = list(StepAttempt.objects.filter(step__run=run).select_related("step__site").order_by("intent_at"))
    steps = list(run.steps.select_related("site"))
    salvage = salvage_out(run, steps, plan_of(run))
    waived = [f"{one.image}: {one.sentence}" for one in salvage if one.state == "waived" and one.step_id is None]
    duration = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    return schemas.Report(
        run=run_summary(run),
        duration_s=duration,
        vms=vm_times(steps),
        attempts=[_reported(attempt) for attempt in attempts],
        exceptions=[_exception(step) for step in steps if step.state in (StepState.SKIPPED, StepState.FAILED)] + waived,
        standing=[schemas.Standing(**line) for line in run.standing],
        exact_loss=losses_out(run),
        salvage=salvage,
        trail=list(AuditEntry.objects.filter(run_id=run.pk).values_list("seq", flat=True)),
    )


def _reported(attempt: StepAttempt) -> schemas.ReportAttempt:
    ended = attempt.finished_at
    return schemas.ReportAttempt(
        step=title(attempt.step),
        number=attempt.number,
        outcome=attempt.outcome,
        intent_at=attempt.intent_at,
        duration_s=round((ended - attempt.intent_at).total_seconds(), 3) if ended else None,
        command=attempt.command,
        host=attempt.host,
    )


def _exception(step: models.Step) -> str:
    if step.state == StepState.SKIPPED:
        return f"{title(step)}: skipped by {step.skipped_by}: {step.skip_reason}"
    return f"{title(step)}: {step.sentence}"
