"""What holds now that a rule may be about, read from rows. No site is asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from drportal.engine.alerts import AlertKind, Condition
from drportal.engine.exposure import ExposureKind
from drportal.engine.gaps import GapCode, pool_gaps
from drportal.engine.standing import ReadinessStanding
from drportal.engine.states import RunState
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.installed import skew_sentence
from drportal.inventory.models import MirroredImage, Pool, Site, SitePair
from drportal.inventory.schemas import exposure_now, watched
from drportal.recovery.glass import alone, glass_runs
from drportal.recovery.models import ProtectionGroup, Run
from drportal.watch.gaps import pool_facts
from drportal.watch.models import ReadinessCheck, ReceiptDifference
from drportal.watch.readiness import plan_rows, standing_of
from drportal.watch.targets import target_of_group

PARTS = (("ssh", "SSH"), ("ceph", "Ceph"), ("opennebula", "OpenNebula"))


def conditions(now: dt.datetime) -> list[Condition]:
    return [
        *two_primaries(),
        *exposures(now),
        *dead_daemons(),
        *lost_readiness(),
        *waiting_runs(),
        *broken_glass(),
        *silent_sites(),
        *blind_pairs(now),
        *different_records(),
        *different_programs(),
    ]


def two_primaries() -> Iterator[Condition]:
    rows = MirroredImage.objects.filter(verdict=VerdictCode.TWO_PRIMARIES.value, gone_at=None).only("pool", "name")
    for row in rows:
        sentence = (
            f"TWO PRIMARIES: {row} can be written at both sites. Start nothing; choose a side and fence the other."
        )
        yield Condition(AlertKind.TWO_PRIMARIES, f"image:{row.pk}", sentence, f"/images/{row.pk}")


def exposures(now: dt.datetime) -> Iterator[Condition]:
    """Groups with a target; the worst image speaks for the group."""
    for group in ProtectionGroup.objects.filter(target__isnull=False).select_related("target", "plan"):
        rows = MirroredImage.objects.filter(disks__vm__membership__group=group, gone_at=None).distinct()
        found = [exposure_now(row, now) for row in rows.defer("side_a", "side_b", "track")]
        unbounded = sum(1 for one in found if one.kind is ExposureKind.UNBOUNDED)
        worst = max((one.seconds or 0.0 for one in found), default=0.0)
        target = target_of_group(group) or 0
        if unbounded or worst > target:
            words = [f"{unbounded} of its images have no bound"] if unbounded else []
            words += [f"up to {worst:.0f} s of writes would be lost"] if worst > target else []
            sentence = f"Group {group.name}: {' and '.join(words)}; agreed are {target} s."
            plan = getattr(group, "plan", None)
            yield Condition(AlertKind.EXPOSURE, f"group:{group.pk}", sentence, f"/plans/{plan.pk}" if plan else "")


def dead_daemons() -> Iterator[Condition]:
    for pool in Pool.objects.select_related("site"):
        for gap in pool_gaps(pool_facts(pool), pool.site.name):
            if gap.code is GapCode.DAEMON_DEAD:
                sentence = f"{gap.subject}: {gap.sentence} {gap.remedy}"
                yield Condition(AlertKind.DAEMON_DEAD, f"pool:{pool.pk}", sentence, "/gaps")


def lost_readiness() -> Iterator[Condition]:
    """Plans that are not ready. A plan that was never verified has nothing to lose."""
    once = set(ReadinessCheck.objects.filter(state="ready").values_list("plan_id", flat=True))
    for plan in plan_rows():
        if plan.pk not in once:
            continue
        found, row = standing_of(plan)
        if found.standing is ReadinessStanding.NOT_READY and row is not None:
            first = row.findings[0]["sentence"] if row.findings else found.sentence
            sentence = f"Plan {plan.name} is not ready: {row.blockers} in the way, first: {first}"
            yield Condition(AlertKind.READINESS_LOST, f"plan:{plan.pk}", sentence, f"/plans/{plan.pk}")


def waiting_runs() -> Iterator[Condition]:
    for run in Run.objects.filter(state__in=[RunState.PAUSED.value, RunState.AWAITING_APPROVAL.value]):
        asked = run.state == RunState.AWAITING_APPROVAL.value
        kind = AlertKind.APPROVAL_ASKED if asked else AlertKind.RUN_WAITS
        word = "asks for an approval" if asked else "waits for a person"
        yield Condition(kind, f"run:{run.pk}", f"Run {run.pk} {word}. {run.sentence}".strip(), f"/runs/{run.pk}")


def broken_glass() -> Iterator[Condition]:
    for run in glass_runs():
        sentence = f"{alone(run)} A manager has to review it; the plan is locked until then."
        yield Condition(AlertKind.GLASS_BROKEN, f"run:{run.pk}", sentence, f"/runs/{run.pk}/review")


def silent_sites() -> Iterator[Condition]:
    for site in Site.objects.all():
        for part, word in PARTS:
            if getattr(site, f"{part}_reachable") is False:
                said = getattr(site, f"{part}_sentence")
                sentence = f"{word} of {site.name} does not answer. {said}".strip()
                yield Condition(AlertKind.SITE_SILENT, f"site:{site.pk}:{part}", sentence, f"/sites/{site.slug}")


def blind_pairs(now: dt.datetime) -> Iterator[Condition]:
    for pair in SitePair.objects.select_related("a", "b"):
        if pair.polled_at is not None and not watched(pair, now):
            sentence = f"Nobody has watched {pair.a.name} and {pair.b.name} since {pair.polled_at:%F %T} UTC."
            yield Condition(AlertKind.PORTAL_BLIND, f"pair:{pair.pk}", f"{sentence} Is the poller running?", "/")


def different_records() -> Iterator[Condition]:
    """Until a person has settled it: who has read the message may still not have looked at both records."""
    for row in ReceiptDifference.objects.filter(settled_at=None).select_related("site"):
        sentence = f"{row.site.name}, operation {row.operation_id}: {row.sentence} A manager has to settle it."
        path = f"/runs/{row.run_id}" if row.run_id else "/"
        yield Condition(AlertKind.RECORDS_DIFFER, f"difference:{row.pk}", sentence, path)


def different_programs() -> Iterator[Condition]:
    for site in Site.objects.all():
        if sentence := skew_sentence(site):
            yield Condition(AlertKind.PROGRAM_DIFFERS, f"site:{site.pk}", sentence, f"/sites/{site.slug}")
