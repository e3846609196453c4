"""How each plan stands, and how it stood, over HTTP. (Asking both sites while one waits: ``recovery/api.py``.)"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from drportal.api import asker, needs, seen
from drportal.engine.standing import ENOUGH_RUNS, ReadinessStanding
from drportal.errors import NotFound
from drportal.inventory.bulk import batches
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.schemas import Finding
from drportal.roles import Permission
from drportal.watch.models import CheckRequest, ReadinessCheck
from drportal.watch.readiness import (
    Standing,
    check_request,
    kind_for,
    plan_rows,
    prediction_of,
    standing_of,
    standings_of,
)

router = Router()


class PredictionOut(Schema):
    """Measured, from this plan's completed runs in this direction. Null below ``needed`` runs."""

    n: int
    needed: int
    p50_s: float | None
    p90_s: float | None
    newest_at: dt.datetime | None


class CheckOut(Schema):
    """``first_at`` to ``checked_at``: it said the same each of ``times`` times."""

    id: int
    kind: str
    state: str
    blockers: int
    warnings: int
    first_at: dt.datetime
    checked_at: dt.datetime
    times: int
    because: str


class PlanStandingOut(Schema):
    """``changed``: since the last check, a sentence each. ``waiting``: a check has been asked for and is not done."""

    plan_id: int
    plan_name: str
    kind: str
    standing: ReadinessStanding
    sentence: str
    changed: list[str]
    checked_at: dt.datetime | None
    blockers: int
    warnings: int
    waiting: bool
    trouble: str


class PlanStandings(Schema):
    items: list[PlanStandingOut]


class PlanReadiness(PlanStandingOut):
    findings: list[Finding]
    counts: dict[str, int]
    prediction: PredictionOut
    now: dt.datetime


class Checks(Schema):
    items: list[CheckOut]
    next: int | None


class CheckDetail(CheckOut):
    findings: list[Finding]
    counts: dict[str, int]


@router.get("/readiness", auth=needs(Permission.VIEW), response=PlanStandings)
def readiness_list(request: HttpRequest) -> Any:
    """Each plan: verified, needs verification (what changed since), or not ready."""
    plans = plan_rows(seen(request, RecoveryPlan.objects.all()))
    standings, waiting = standings_of(plans), requests_of(plans)
    return {"items": [standing_out(plan, standings[plan.pk], waiting.get(plan.pk)) for plan in plans]}


@router.get("/plans/{plan_id}/standing", auth=needs(Permission.VIEW), response=PlanReadiness)
def plan_standing(request: HttpRequest, plan_id: int) -> Any:
    """With the findings of the last check and the measured duration of such a run."""
    plan = the_plan(plan_id)
    found, waiting = standing_of(plan), requests_of([plan]).get(plan.pk)
    row = found[1]
    predicted = prediction_of(plan)
    return PlanReadiness(
        **standing_out(plan, found, waiting).dict(),
        findings=row.findings if row else [],
        counts=row.counts if row else {},
        prediction=PredictionOut(
            n=predicted.n,
            needed=ENOUGH_RUNS,
            p50_s=predicted.p50_s,
            p90_s=predicted.p90_s,
            newest_at=predicted.newest_at,
        ),
        now=timezone.now(),
    )


@router.get("/plans/{plan_id}/checks", auth=needs(Permission.VIEW), response=Checks)
def plan_checks(
    request: HttpRequest,
    plan_id: int,
    before: int | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Any:
    """The plan's readiness over time, newest first: a row for each time it said something new."""
    rows = ReadinessCheck.objects.filter(plan=the_plan(plan_id))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    page = list(rows[: limit + 1])
    return {"items": page[:limit], "next": page[limit - 1].pk if len(page) > limit else None}


@router.get("/plans/{plan_id}/checks/{check_id}", auth=needs(Permission.VIEW), response=CheckDetail)
def plan_check(request: HttpRequest, plan_id: int, check_id: int) -> Any:
    row = ReadinessCheck.objects.filter(plan=plan_id, pk=check_id).first()
    if row is None:
        raise NotFound("This check is not kept (any more).")
    return row


@router.post("/plans/{plan_id}/check", auth=needs(Permission.VIEW), response={202: PlanStandingOut})
def plan_check_request(request: HttpRequest, plan_id: int) -> Any:
    """Have a worker ask both sites soon. It only reads, but any viewer may ask; many who ask make one check."""
    plan = the_plan(plan_id)
    check_request(plan, f"{asker(request).username} asked")
    return Status(202, standing_out(plan, standing_of(plan), requests_of([plan]).get(plan.pk)))


def the_plan(plan_id: int) -> RecoveryPlan:
    plan = next(iter(plan_rows(RecoveryPlan.objects.filter(pk=plan_id))), None)
    if plan is None:
        raise NotFound("This plan is not known (any more).")
    return plan


def requests_of(plans: Sequence[RecoveryPlan]) -> dict[int, CheckRequest]:
    """Plan id -> the check that has been asked for."""
    return {one.plan_id: one for some in batches(plans) for one in CheckRequest.objects.filter(plan__in=some)}


def standing_out(plan: RecoveryPlan, found: Standing, waiting: CheckRequest | None) -> PlanStandingOut:
    stands, row = found
    return PlanStandingOut(
        plan_id=plan.pk,
        plan_name=plan.name,
        kind=kind_for(plan).value,
        standing=stands.standing,
        sentence=stands.sentence,
        changed=list(stands.changed),
        checked_at=row.checked_at if row else None,
        blockers=row.blockers if row else 0,
        warnings=row.warnings if row else 0,
        waiting=waiting is not None,
        trouble=waiting.trouble if waiting else "",
    )
