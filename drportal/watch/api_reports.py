"""The report of a quarter, of all plans or of one, over HTTP."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from drportal.api import asker, asking, needs, seen
from drportal.audit.paper import Made, made_by
from drportal.engine.recovery_time import RecoveryTime
from drportal.engine.standing import ReadinessStanding
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.reckoning import RecoveryTimeOut, losses_of
from drportal.recovery.services.reviews import review_state
from drportal.roles import Permission
from drportal.watch.reports import Period, PlanLine, period_report
from drportal.watch.standards import MAPPING

router = Router()


class RunLine(Schema):
    """``approved_by``: who said yes to a forced promotion; empty where none was asked for."""

    id: int
    kind: str
    plan: str
    state: str
    sentence: str
    reason: str
    requested_by: str
    approved_by: list[str]
    approval_id: int | None
    started_at: dt.datetime
    finished_at: dt.datetime
    duration_s: float
    recovery: RecoveryTimeOut
    lost: str
    review: str


class ReportPlan(Schema):
    plan_id: int
    plan_name: str
    standing: ReadinessStanding
    sentence: str
    exercised_at: dt.datetime | None
    exercised_within: int
    rto_s: int | None
    within_target: int
    beyond_target: int


class MappingLine(Schema):
    """A section of the report, and what it shows and does not show of an article of DORA and a clause of ISO 22301."""

    section: str
    dora: str
    iso: str
    shows: str
    shows_not: str


class QuarterReport(Schema):
    """``results``: kind of run -> state -> how many. ``cut``: there are more runs than are listed."""

    year: int
    quarter: int
    since: dt.datetime
    until: dt.datetime
    plan_id: int | None
    results: dict[str, dict[str, int]]
    runs: list[RunLine]
    cut: bool
    plans: list[ReportPlan]
    open: list[str]
    mapping: list[MappingLine]
    made: Made


@router.get("/reports/quarter", auth=needs(Permission.VIEW), response=QuarterReport)
def quarter_report(
    request: HttpRequest,
    year: Annotated[int, Field(ge=2000, le=9000)],
    quarter: Annotated[int, Field(ge=1, le=4)],
    plan: Annotated[int, Field(ge=1, le=2**53)] | None = None,
) -> Any:
    """Tests held, results and open points; of one plan with ``plan``. Plans stand as they stand now."""
    period = Period.quarter(year, quarter)
    whole = asking(request).rights.reach(Permission.VIEW).everywhere
    found = period_report(period, plan, None if whole else seen(request, RecoveryPlan.objects.all()))
    return QuarterReport(
        year=year,
        quarter=quarter,
        since=period.since,
        until=period.until,
        plan_id=plan,
        results=found.results,
        runs=[run_line(run, found.times[run.pk]) for run in found.runs],
        cut=found.cut,
        plans=[plan_out(line) for line in found.plans],
        open=found.open,
        mapping=[MappingLine(**asdict(line)) for line in MAPPING],
        made=made_by(asker(request).username),
    )


def run_line(run: Run, time: RecoveryTime) -> RunLine:
    assert run.started_at is not None
    assert run.finished_at is not None
    approvals = list(run.approvals.all())
    voices = [voice for approval in reversed(approvals) for voice in approval.voices.all()]
    return RunLine(
        id=run.pk,
        kind=run.kind,
        plan=run.plan.name,
        state=run.state,
        sentence=run.sentence,
        reason=run.reason,
        requested_by=run.requested_name,
        approved_by=list(dict.fromkeys(voice.name for voice in voices if voice.word == "yes")),
        approval_id=approvals[0].pk if approvals else None,
        started_at=run.started_at,
        finished_at=run.finished_at,
        duration_s=(run.finished_at - run.started_at).total_seconds(),
        recovery=RecoveryTimeOut(**asdict(time)),
        lost=losses_of(run).sentence,
        review=review_state(getattr(run, "last_verb")).value,  # noqa: B009  (an annotation)
    )


def plan_out(line: PlanLine) -> ReportPlan:
    return ReportPlan(
        plan_id=line.plan.pk,
        plan_name=line.plan.name,
        standing=line.standing.standing,
        sentence=line.standing.sentence,
        exercised_at=line.exercised_at,
        exercised_within=line.within,
        rto_s=line.plan.rto_s,
        within_target=line.within_target,
        beyond_target=line.beyond_target,
    )
