"""What happened within a time, for all plans or for one: tests held, results, and what is still open."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import Max, QuerySet
from django.utils import timezone

from drportal.audit import anchors
from drportal.engine.recovery_time import RecoveryTime, TimeWord
from drportal.engine.standing import PlanStanding, ReadinessStanding
from drportal.errors import NotFound
from drportal.recovery.models import RecoveryPlan, Run, Step
from drportal.recovery.reckoning import OF_VMS, time_of
from drportal.recovery.services.reviews import ReviewState, due_at, review_state, reviewable
from drportal.watch.models import ReceiptDifference
from drportal.watch.readiness import plan_rows, standings_of

MOST_RUNS = 500
SUCCEEDED = ("succeeded", "succeeded_with_exceptions")
# What shows that a plan works: VMs really went over, in one direction or the other.
EXERCISES = ("planned_failover", "failback", "disaster_failover")


@dataclass(frozen=True, slots=True)
class Period:
    """``since`` belongs to it, ``until`` does not. UTC."""

    since: dt.datetime
    until: dt.datetime

    @classmethod
    def quarter(cls, year: int, quarter: int) -> Period:
        def first_of(months: int) -> dt.datetime:
            return dt.datetime(year + months // 12, months % 12 + 1, 1, tzinfo=dt.UTC)

        return cls(first_of(3 * quarter - 3), first_of(3 * quarter))


@dataclass(frozen=True, slots=True)
class PlanLine:
    """``exercised_at``: when VMs last went over by this plan, ever; ``within``: how often in the period;
    ``within_target`` and ``beyond_target``: how many of the listed runs met the RTO target of their day, or did not."""

    plan: RecoveryPlan
    standing: PlanStanding
    exercised_at: dt.datetime | None
    within: int
    within_target: int
    beyond_target: int


@dataclass(frozen=True, slots=True)
class PeriodReport:
    """``runs``: those that began and ended in the period, the newest first, each as ``reviewable`` has it; ``cut``:
    there are more. ``times``: of each, by its number. ``results``: kind of run -> state -> how many. ``open``: a
    sentence each."""

    runs: list[Run]
    times: dict[int, RecoveryTime]
    cut: bool
    results: dict[str, dict[str, int]]
    plans: list[PlanLine]
    open: list[str]


def plans_of(seen: QuerySet[RecoveryPlan], plan_id: int | None) -> list[RecoveryPlan]:
    """All of them, or the one. Raises NotFound."""
    plans = plan_rows(seen if plan_id is None else seen.filter(pk=plan_id))
    if plan_id is not None and not plans:
        raise NotFound(f"There is no plan {plan_id} (any more).")
    return plans


def period_report(
    period: Period, plan_id: int | None = None, seen: QuerySet[RecoveryPlan] | None = None
) -> PeriodReport:
    """``seen``: the plans that the reader sees; None: all, and what is open of the portal itself."""
    plans = plans_of(RecoveryPlan.objects.all() if seen is None else seen, plan_id)
    rows = reviewable().filter(finished_at__gte=period.since, finished_at__lt=period.until)
    if seen is not None:
        rows = rows.filter(plan__in=seen.order_by().values("pk"))
    if plan_id is not None:
        rows = rows.filter(plan_id=plan_id)
    runs = list(islice(rows.prefetch_related("approvals__voices"), MOST_RUNS + 1))
    counted = Counter(rows.order_by().values_list("kind", "state"))
    results: dict[str, dict[str, int]] = {}
    for (kind, state), number in sorted(counted.items()):
        results.setdefault(kind, {})[state] = number
    times = times_of(runs[:MOST_RUNS])
    lines = plan_lines(plans, period, target_counts(runs[:MOST_RUNS], times))
    return PeriodReport(
        runs=runs[:MOST_RUNS],
        times=times,
        cut=len(runs) > MOST_RUNS,
        results=results,
        plans=lines,
        open=[
            *open_runs(runs),
            *open_times(runs[:MOST_RUNS], times),
            *open_plans(lines),
            *([] if plan_id or seen is not None else open_portal()),
        ],
    )


def times_of(runs: Sequence[Run]) -> dict[int, RecoveryTime]:
    steps: dict[int, list[Step]] = {run.pk: [] for run in runs}
    wanted = Step.objects.filter(run__in=[run.pk for run in runs], kind__in=[kind.value for kind in OF_VMS])
    for step in wanted.only("run_id", "kind", "vm_name", "state", "started_at", "finished_at", "position"):
        steps[step.run_id].append(step)
    return {run.pk: time_of(run, steps[run.pk]) for run in runs}


def target_counts(runs: Sequence[Run], times: Mapping[int, RecoveryTime]) -> Counter[tuple[int, TimeWord]]:
    return Counter((run.plan_id, times[run.pk].word) for run in runs)


def plan_lines(
    plans: Sequence[RecoveryPlan], period: Period, counts: Mapping[tuple[int, TimeWord], int]
) -> list[PlanLine]:
    done = Run.objects.filter(kind__in=EXERCISES, state__in=SUCCEEDED)
    latest: dict[int, Any] = dict(done.values_list("plan_id").annotate(Max("finished_at")))
    within = Counter(
        done.filter(finished_at__gte=period.since, finished_at__lt=period.until).values_list("plan_id", flat=True)
    )
    standings = standings_of(plans)
    return [
        PlanLine(
            plan, standings[plan.pk][0], latest.get(plan.pk), within[plan.pk],
            counts.get((plan.pk, TimeWord.WITHIN), 0), counts.get((plan.pk, TimeWord.BEYOND), 0),
        )
        for plan in plans
    ]  # fmt: skip


def open_runs(runs: Sequence[Run]) -> list[str]:
    said, now = [], timezone.now()
    for run in runs:
        state, due = review_state(last_verb(run)), due_at(run)
        if state is ReviewState.ACCEPTED:
            continue
        late = f", overdue since {due:%Y-%m-%d}" if due is not None and due < now else ""
        word = "was questioned and is not accepted" if state is ReviewState.QUESTIONED else "has not been reviewed"
        said.append(f"Run {run.pk} of {run.plan.name} {word}{late}.")
    return said


def open_times(runs: Sequence[Run], times: Mapping[int, RecoveryTime]) -> list[str]:
    """Until somebody has accepted the run."""
    bad = (TimeWord.BEYOND, TimeWord.NOT_BACK)
    late = [
        run for run in runs if times[run.pk].word in bad and review_state(last_verb(run)) is not ReviewState.ACCEPTED
    ]
    return [f"Run {run.pk} of {run.plan.name}: {times[run.pk].sentence}" for run in late]


def last_verb(run: Run) -> str | None:
    """Of a row of ``reviewable()``."""
    found: str | None = getattr(run, "last_verb")  # noqa: B009  (an annotation)
    return found


def open_plans(lines: Sequence[PlanLine]) -> list[str]:
    idle = [line.plan.name for line in lines if not line.within]
    said = [f"{name} was not exercised in this time: no VM went over by it." for name in idle]
    not_verified = [line for line in lines if line.standing.standing is not ReadinessStanding.VERIFIED]
    untold = [line.plan.name for line in lines if line.plan.rto_s is None]
    said += [f"{name} has no RTO target: no time is held against one." for name in untold]
    return said + [f"{line.plan.name}: {line.standing.sentence}" for line in not_verified]


def open_portal() -> list[str]:
    differences = ReceiptDifference.objects.filter(settled_at=None).count()
    said = []
    if differences:
        said.append(f"{differences} differences between a site's own record and the trail are not settled.")
    if not anchors.places():
        said.append("The trail's heads are noted nowhere outside: a tail that was cut off would not be found.")
    return said
