"""Review of runs over HTTP: the manager's queue, one page per run in plain words, questions, answers, acceptance."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from drportal.api import asker, needs, seen
from drportal.audit.models import AuditEntry
from drportal.audit.paper import Made, made_by
from drportal.audit.record import NO_PERSONS
from drportal.engine.states import RunEvent, StepEvent
from drportal.errors import NotFound
from drportal.recovery import schemas
from drportal.recovery.api_runs import report
from drportal.recovery.glass import notices_of
from drportal.recovery.models import Approval, Run
from drportal.recovery.presenters import run_summary
from drportal.recovery.reckoning import Losses, RecoveryTimeOut, deviations_of, losses_of, time_of
from drportal.recovery.services import reviews
from drportal.recovery.services.runs import run_get
from drportal.roles import Permission

router = Router()
PAGE = 50
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
# Written in the name of whoever asked for the run, and done by the portal.
OF_THE_ENGINE = [
    *(f"step.{event}" for event in StepEvent if event not in (StepEvent.RETRY, StepEvent.SKIP)),
    *(f"run.{event}" for event in RunEvent if event not in (RunEvent.PAUSE, RunEvent.RESUME, RunEvent.CANCEL)),
    *("approval.use", "approval.expire", "loss.measured", "vm.come_home"),
    *("quarantine.begin", "quarantine.contact", "quarantine.signs", "quarantine.clear"),
]
WORD = {"planned_failover": "planned failover", "way_back": "way back", "disaster_failover": "disaster failover"}


class ReviewItem(Schema):
    """``state``: new, questioned, accepted. ``overdue``: not accepted by ``due_at``. ``alone``: one person began it
    alone, and its plan is locked until it is accepted."""

    run: schemas.RunSummary
    state: str
    due_at: dt.datetime | None
    overdue: bool
    alone: bool


class Reviews(Schema):
    items: list[ReviewItem]
    next: str | None
    overdue: int


class ReviewActOut(Schema):
    verb: str
    by: str
    text: str
    at: dt.datetime


class PersonAct(Schema):
    """What a person did with the run, with the trail's entry that proves it."""

    at: dt.datetime
    by: str
    action: str
    seq: int
    reason: str


class GlassTold(Schema):
    """Somebody who was told that the run was begun by one person alone. ``seen_at`` null: has not said so yet."""

    name: str
    told_at: dt.datetime
    seen_at: dt.datetime | None


class Review(Schema):
    """One run in plain words. ``told``: of a run begun alone, who was told. ``why_not``: why the asker may neither
    question nor accept it; empty when they may."""

    item: ReviewItem
    approval_id: int | None
    what: str
    why: str
    result: str
    participants: list[str]
    people: list[PersonAct]
    duration_s: float | None
    recovery: RecoveryTimeOut
    losses: Losses
    vms: list[schemas.ReportVm]
    deviations: list[str]
    standing: list[schemas.Standing]
    first_entry: int | None
    last_entry: int | None
    acts: list[ReviewActOut]
    told: list[GlassTold]
    why_not: str
    made: Made


class ReviewText(Schema):
    text: str = Field(default="", max_length=4000)


@router.get("/reviews", auth=needs(Permission.VIEW), response=Reviews)
def review_list(
    request: HttpRequest,
    state: Literal["open", "new", "questioned", "accepted"] | None = None,
    cursor: Cursor | None = None,
) -> Any:
    """Runs that have ended, newest first. ``open``: not accepted yet."""
    rows = seen(request, reviews.reviewable(state))
    if cursor is not None:
        rows = rows.filter(pk__lt=int(cursor))
    page = list(rows[: PAGE + 1])
    following = str(page[PAGE - 1].pk) if len(page) > PAGE else None
    return {
        "items": [item_of(run) for run in page[:PAGE]],
        "next": following,
        "overdue": seen(request, reviews.overdue()).count(),
    }


@router.get("/runs/{int:run_id}/review", auth=needs(Permission.VIEW), response=Review)
def review_read(request: HttpRequest, run_id: int) -> Any:
    return review_of(run_id, asker(request).username)


@router.post("/runs/{int:run_id}/review/question", auth=needs(Permission.REVIEW), response=Review)
def review_question(request: HttpRequest, run_id: int, body: ReviewText) -> Any:
    """Ask those who took part. The run stays open until it is accepted."""
    name = asker(request).username
    reviews.review_question(run_id=run_id, actor=name, text=body.text)
    return review_of(run_id, name)


@router.post("/runs/{int:run_id}/review/answer", auth=needs(Permission.RUN), response=Review)
def review_answer(request: HttpRequest, run_id: int, body: ReviewText) -> Any:
    name = asker(request).username
    reviews.review_answer(run_id=run_id, actor=name, text=body.text)
    return review_of(run_id, name)


@router.post("/runs/{int:run_id}/review/accept", auth=needs(Permission.REVIEW, again=True), response=Review)
def review_accept(request: HttpRequest, run_id: int, body: ReviewText) -> Any:
    """Close the review. 403 ``took_part`` for whoever acted in the run."""
    name = asker(request).username
    reviews.review_accept(run_id=run_id, actor=name, text=body.text)
    return review_of(run_id, name)


def item_of(run: Run) -> ReviewItem:
    """Of a row of ``reviewable()``."""
    state, due = reviews.review_state(getattr(run, "last_verb")), reviews.due_at(run)  # noqa: B009  (an annotation)
    overdue = due is not None and due < timezone.now() and state is not reviews.ReviewState.ACCEPTED
    alone: bool = getattr(run, "alone")  # noqa: B009
    return ReviewItem(run=run_summary(run), state=state.value, due_at=due, overdue=overdue, alone=alone)


def review_of(run_id: int, name: str) -> Review:
    """Raises NotFound for a run that has not ended: there is nothing to review yet."""
    run = reviews.reviewable().filter(pk=run_id).first()
    if run is None:
        known = run_get(run_id)
        raise NotFound(f"Run {known.pk} is {known.state}; it can be reviewed when it has begun and ended.")
    told, item, time = report(run), item_of(run), time_of(run, list(run.steps.all()))
    acts = list(run.review_acts.all())
    kind = WORD.get(run.kind, run.kind.replace("_", " "))
    return Review(
        item=item,
        approval_id=Approval.objects.filter(run=run).values_list("pk", flat=True).first(),
        what=f"A {kind} of {run.group.name} from {run.source_site.name} to {run.target_site.name}.",
        why=run.reason or "No reason was given.",
        result=run.sentence,
        participants=reviews.participants(run),
        people=people_of(run),
        duration_s=told.duration_s,
        recovery=RecoveryTimeOut(**asdict(time)),
        losses=losses_of(run),
        vms=told.vms,
        deviations=[*told.exceptions, *deviations_of(run, time)],
        standing=told.standing,
        first_entry=min(told.trail, default=None),
        last_entry=max(told.trail, default=None),
        acts=[ReviewActOut(verb=act.verb, by=act.by, text=act.text, at=act.at) for act in acts],
        told=[GlassTold(name=row.name, told_at=row.told_at, seen_at=row.seen_at) for row in notices_of(run)],
        why_not=reviews.why_no_review(run, name, acts[-1].verb if acts else None),
        made=made_by(name),
    )


def people_of(run: Run) -> list[PersonAct]:
    """What persons did with the run, from the trail; approvals and break-glass among them."""
    entries = AuditEntry.objects.filter(run_id=run.pk).exclude(actor__in=NO_PERSONS).order_by("seq")
    entries = entries.exclude(action__in=OF_THE_ENGINE)
    return [
        PersonAct(
            at=entry.at, by=entry.actor, action=entry.action, seq=entry.seq, reason=str(entry.payload.get("reason", ""))
        )
        for entry in entries.exclude(action__startswith="review.")
    ]
