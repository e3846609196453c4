"""Readiness on a schedule and at each change: which plans are due, the check itself, and what it left behind."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from pydantic import TypeAdapter

from drportal.engine.facts import Mode
from drportal.engine.plans import RunKind
from drportal.engine.readiness import ReadinessState, Severity
from drportal.engine.standing import (
    CHECK_EVERY_S,
    Checked,
    PlanStanding,
    Prediction,
    Print,
    differences,
    predict,
    standing,
)
from drportal.engine.states import ACTIVE_RUN, RunState
from drportal.engine.verdicts import VerdictCode
from drportal.errors import PortalError
from drportal.events import publish
from drportal.inventory.bulk import batches
from drportal.inventory.models import CapturedDefinition, MirroredImage
from drportal.inventory.schedules import KnownSchedules
from drportal.inventory.schemas import watched
from drportal.inventory.schemas_site import all_reachable
from drportal.recovery import building
from drportal.recovery.models import GroupMember, RecoveryPlan, Run
from drportal.recovery.readiness import assess_now
from drportal.watch.models import CheckRequest, ReadinessCheck

logger = logging.getLogger(__name__)
KEEP = 500  # checks a plan
SETTLE_S = 30.0  # a change is given this long to be followed by others
RING_AGAIN_S = 120.0
_PRINT = TypeAdapter(Print)


def kind_for(plan: RecoveryPlan) -> RunKind:
    """The move that the group could make next."""
    at_home = plan.group.active_site_id == plan.group.home_site_id
    return RunKind.PLANNED_FAILOVER if at_home else RunKind.FAILBACK


def plan_rows(plans: QuerySet[RecoveryPlan] | None = None) -> list[RecoveryPlan]:
    """All plans, or those, with what tells where they stand."""
    found = RecoveryPlan.objects.all() if plans is None else plans
    related = ("group__pair__a", "group__pair__b", "group__home_site", "group__active_site")
    return list(found.select_related(*related).order_by("name"))


def prints_of(plans: Sequence[RecoveryPlan]) -> dict[int, Print]:
    """Plan id -> what a check of it depends on, from rows alone; a few queries for any number of plans."""
    now = timezone.now()
    names: dict[int, dict[int, str]] = {plan.group_id: {} for plan in plans}
    definitions: dict[int, int] = {}
    verdicts: dict[int, dict[str, str]] = {plan.group_id: {} for plan in plans}
    schedules: dict[int, dict[str, str]] = {plan.group_id: {} for plan in plans}
    known = KnownSchedules({site for plan in plans for site in (plan.group.pair.a, plan.group.pair.b)}, now)
    for some in batches([plan.group_id for plan in plans]):
        members = GroupMember.objects.filter(group__in=some)
        for group_id, vm_id, name in members.values_list("group_id", "vm_id", "vm__name"):
            names[group_id][vm_id] = name
        kept = CapturedDefinition.objects.filter(vm__membership__group__in=some).order_by()
        definitions |= dict(kept.values_list("vm").annotate(newest=Max("number")))
        images = MirroredImage.objects.filter(disks__vm__membership__group__in=some).order_by().distinct()
        told = images.values_list(
            "disks__vm__membership__group", "pool", "name", "verdict", "mode", "pair__a", "pair__b"
        )
        for group_id, pool, name, verdict, mode, *sites in told:
            verdicts[group_id][f"{pool}/{name}"] = verdict
            if mode == Mode.SNAPSHOT.value and (words := known.words(sites, pool, name)):
                schedules[group_id][f"{pool}/{name}"] = words
    found = {}
    for plan in plans:
        group, seen = plan.group, watched(plan.group.pair, now)
        found[plan.pk] = Print(
            plan_version=plan.version,
            active_site=group.active_site.name,
            definitions={name: definitions[vm_id] for vm_id, name in names[group.pk].items() if vm_id in definitions},
            images={
                image: verdict if seen else VerdictCode.CANNOT_TELL.value
                for image, verdict in verdicts[group.pk].items()
            },
            sites={site.name: all_reachable(site) is True for site in (group.pair.a, group.pair.b)},
            schedules=schedules[group.pk],
        )
    return found


def last_checks(plans: Sequence[RecoveryPlan]) -> dict[int, ReadinessCheck]:
    """Plan id -> the newest check of the move that it could make next."""
    rows: dict[int, ReadinessCheck] = {}
    for kind in (RunKind.PLANNED_FAILOVER, RunKind.FAILBACK):
        of_plan = ReadinessCheck.objects.filter(plan=OuterRef("pk"), kind=kind.value).order_by("-pk")
        for some in batches([plan.pk for plan in plans if kind_for(plan) is kind]):
            newest = RecoveryPlan.objects.filter(pk__in=some).annotate(newest=Subquery(of_plan.values("pk")[:1]))
            found = ReadinessCheck.objects.filter(pk__in=list(newest.values_list("newest", flat=True)))
            rows |= {row.plan_id: row for row in found}
    return rows


def checked(row: ReadinessCheck | None) -> Checked | None:
    if row is None:
        return None
    return Checked(row.checked_at, ReadinessState(row.state), row.blockers, _PRINT.validate_python(row.seen))


Standing = tuple[PlanStanding, ReadinessCheck | None]


def standings_of(plans: Sequence[RecoveryPlan]) -> dict[int, Standing]:
    """Plan id -> how it stands now, and the check that this is read from. ``plans``: from ``plan_rows``."""
    rows, prints, now = last_checks(plans), prints_of(plans), timezone.now()
    return {plan.pk: (standing(checked(rows.get(plan.pk)), prints[plan.pk], now), rows.get(plan.pk)) for plan in plans}


def standing_of(plan: RecoveryPlan) -> Standing:
    return standings_of([plan])[plan.pk]


def prediction_of(plan: RecoveryPlan) -> Prediction:
    """From this plan's own completed runs in this direction."""
    done = Run.objects.filter(
        plan=plan, kind=kind_for(plan).value, state=RunState.SUCCEEDED.value, started_at__isnull=False
    )
    rows = done.exclude(finished_at=None).values_list("started_at", "finished_at")
    return predict([(end, (end - start).total_seconds()) for start, end in rows if start and end])


# --- when


def why_due(row: ReadinessCheck | None, seen: Print, now: dt.datetime) -> str:
    """Why a plan should be checked now; empty when it should not. ``row``: its last check; ``seen``: as it is now."""
    if row is None:
        return "it was never checked"
    age_s = (now - row.checked_at).total_seconds()
    if age_s >= CHECK_EVERY_S:
        return "a quarter of an hour has passed"
    if age_s < SETTLE_S:
        return ""
    found = checked(row)
    changed = differences(found.print, seen) if found else ()
    return changed[0] if changed else ""


def ask_for_checks(now: dt.datetime) -> list[int]:
    """Note every plan that is due. A plan whose group is being moved is left alone until that is over."""
    busy = set(Run.objects.filter(state__in=[s.value for s in ACTIVE_RUN]).values_list("plan_id", flat=True))
    asked = set(CheckRequest.objects.values_list("plan_id", flat=True))
    plans = [plan for plan in plan_rows() if plan.pk not in busy | asked]
    rows, prints = last_checks(plans), prints_of(plans)
    due = {plan.pk: why_due(rows.get(plan.pk), prints[plan.pk], now) for plan in plans}
    noted = [plan_id for plan_id, because in due.items() if because]
    CheckRequest.objects.bulk_create(
        [CheckRequest(plan_id=plan_id, asked_at=timezone.now(), because=due[plan_id][:200]) for plan_id in noted],
        ignore_conflicts=True,
    )
    return noted


def check_request(plan: RecoveryPlan, because: str) -> None:
    """Ask for a check; asking twice makes one."""
    CheckRequest.objects.get_or_create(plan=plan, defaults={"asked_at": timezone.now(), "because": because[:200]})


def next_to_ring_for(now: dt.datetime) -> int | None:
    """Claim the request that has waited longest, for whoever rings next; None when there is none."""
    free = Q(rung_at=None) | Q(rung_at__lt=now - dt.timedelta(seconds=RING_AGAIN_S))
    row = CheckRequest.objects.filter(free).order_by("asked_at").first()
    if row is None:
        return None
    claimed = CheckRequest.objects.filter(free, pk=row.pk).update(rung_at=now)
    return row.plan_id if claimed else None


# --- the check


def check(plan_id: int) -> ReadinessCheck | None:
    """Ask both sites now and keep what they said. None where the plan is gone, or is being moved."""
    plan = next(iter(plan_rows(RecoveryPlan.objects.filter(pk=plan_id))), None)
    if plan is None:
        return None
    request = CheckRequest.objects.filter(plan=plan).first()
    because = request.because if request else "somebody asked"
    if building.active_run(plan.group) is not None:
        CheckRequest.objects.filter(plan=plan).delete()
        return None
    kind, before = kind_for(plan), prints_of([plan])[plan.pk]
    try:
        source, target = building.direction(plan.group, kind)
        assessment = assess_now(kind, plan.group, building.copy_of_plan(plan, source, target, kind), source, target)
    except PortalError as error:
        return keep(plan, kind, before, [_refusal(error)], {}, ReadinessState.NOT_READY, timezone.now(), because)
    except Exception as error:
        trouble = f"The check failed: {type(error).__name__}: {error}"
        CheckRequest.objects.filter(plan=plan).update(trouble=trouble[:500])
        raise
    result = assessment.result
    findings = [{key: value for key, value in asdict(found).items() if key != "unknown"} for found in result.findings]
    return keep(plan, kind, before, findings, result.counts, result.state, assessment.checked_at, because)


def _refusal(error: PortalError) -> dict[str, Any]:
    """What can't even be asked for is a blocker with its own sentence."""
    return {
        "code": error.code,
        "severity": Severity.BLOCK.value,
        "subject": "plan",
        "sentence": error.detail,
        "remedy": None,
    }


def keep(
    plan: RecoveryPlan,
    kind: RunKind,
    seen: Print,
    findings: list[dict[str, Any]],
    counts: Mapping[str, int],
    state: ReadinessState,
    at: dt.datetime,
    because: str,
) -> ReadinessCheck:
    """A row of its own where it says something new, else the newest row's time. ``seen``: as it was before asking."""
    tally = {severity: sum(1 for found in findings if found["severity"] == severity) for severity in Severity}
    told = [kind.value, state.value, sorted(json.dumps(found, sort_keys=True) for found in findings)]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    with transaction.atomic():
        row = ReadinessCheck.objects.filter(plan=plan).first()
        same = row is not None and row.digest == digest
        if row is None or not same:
            row = ReadinessCheck(plan=plan, kind=kind.value, digest=digest, first_at=at, times=0, because=because[:200])
        row.state, row.findings, row.counts = state.value, findings, dict(counts)
        row.blockers, row.warnings = tally[Severity.BLOCK], tally[Severity.WARN]
        row.seen, row.checked_at, row.times = _PRINT.dump_python(seen, mode="json"), at, row.times + 1
        row.save()
        CheckRequest.objects.filter(plan=plan).delete()
        old = ReadinessCheck.objects.filter(plan=plan).values_list("pk", flat=True)[KEEP:]
        if old:
            ReadinessCheck.objects.filter(pk__in=list(old)).delete()
        publish(f"plan:{plan.pk}", plan.version)
        publish("overview")
    return row
