"""What holds now that a rule may be about, read from rows. No site is asked."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from django.db.models import Exists, Max, OuterRef, Subquery

from drportal.engine.alerts import AlertKind, Condition
from drportal.engine.exposure import ExposureKind
from drportal.engine.pool_gaps import daemon_gap
from drportal.engine.quarantine import SignKind
from drportal.engine.readiness import ReadinessState
from drportal.engine.standing import OLD_AFTER_S
from drportal.engine.states import ACTIVE_RUN, RunState
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.images import contested
from drportal.inventory.installed import pools_sentence, skew_sentence
from drportal.inventory.models import MirroredImage, Pool, Site, SitePair, Witness
from drportal.inventory.schemas import exposure_now, watched
from drportal.inventory.witnesses import newest_sight
from drportal.recovery.glass import alone, glass_runs, notices_of
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run
from drportal.recovery.quarantine import headline, next_act, open_quarantines
from drportal.recovery.targets import rpo_of
from drportal.watch.gaps import pool_facts
from drportal.watch.models import CheckRequest, ReadinessCheck, ReceiptDifference
from drportal.watch.refusals import strangers

READY = ReadinessState.READY.value
PARTS = (("ssh", "SSH"), ("ceph", "Ceph"), ("opennebula", "OpenNebula"))


def conditions(now: dt.datetime) -> list[Condition]:
    return [
        *two_primaries(),
        *returned_sites(),
        *exposures(now),
        *dead_daemons(),
        *lost_readiness(now),
        *waiting_runs(),
        *broken_glass(),
        *silent_sites(),
        *lost_witnesses(),
        *blind_pairs(now),
        *different_records(),
        *different_programs(),
        *strangers_at_sites(now),
    ]


def two_primaries() -> Iterator[Condition]:
    """Until it is seen to be resolved: a side that falls silent has resolved nothing."""
    for row in MirroredImage.objects.filter(contested(), gone_at=None).only("pool", "name", "verdict"):
        seen = "can be written" if row.verdict == VerdictCode.TWO_PRIMARIES.value else "was last seen writable"
        sentence = f"TWO PRIMARIES: {row} {seen} at both sites. Start nothing; choose a side and fence the other."
        yield Condition(AlertKind.TWO_PRIMARIES, f"image:{row.pk}", sentence, f"/images/{row.pk}")


def returned_sites() -> Iterator[Condition]:
    """Until the quarantine is over; what was seen to run twice until it is seen not to."""
    for row in open_quarantines():
        if row.first_contact_at is None:
            continue
        path = f"/quarantines/{row.pk}"
        yield Condition(AlertKind.LOST_SITE_BACK, f"quarantine:{row.pk}", f"{headline(row)} {next_act(row)}.", path)
        for sign in row.signs:
            if sign["kind"] == SignKind.RUNS_TWICE.value:
                said = f"{sign['sentence']} Power it off at {row.site.name}."
                yield Condition(AlertKind.RUNS_TWICE, f"quarantine:{row.pk}:{sign['subject']}", said, path)


def exposures(now: dt.datetime) -> Iterator[Condition]:
    """Groups with a target; the worst image speaks for the group, and one of which nothing can be told speaks too."""
    for group in ProtectionGroup.objects.filter(target__isnull=False).select_related("target", "plan"):
        rows = MirroredImage.objects.filter(disks__vm__membership__group=group, gone_at=None).distinct()
        found = [exposure_now(row, now) for row in rows.select_related("pair").defer("side_a", "side_b", "track")]
        kinds = Counter(one.kind for one in found)
        worst = max((one.seconds for one in found if one.seconds is not None), default=0.0)
        target = rpo_of(group) or 0
        words = []
        if unbounded := kinds[ExposureKind.UNBOUNDED]:
            words.append(f"{unbounded} of its images have no bound")
        if untold := kinds[ExposureKind.CANNOT_TELL]:
            words.append(f"of {untold} of its images it cannot be told what would be lost")
        if worst > target:
            words.append(f"up to {worst:.0f} s of writes would be lost")
        if words:
            sentence = f"Group {group.name}: {' and '.join(words)}; agreed are {target} s."
            plan = getattr(group, "plan", None)
            yield Condition(AlertKind.EXPOSURE, f"group:{group.pk}", sentence, f"/plans/{plan.pk}" if plan else "")


def dead_daemons() -> Iterator[Condition]:
    for pool in Pool.objects.select_related("site"):
        for gap in daemon_gap(pool_facts(pool), pool.site.name):
            sentence = f"{gap.subject}: {gap.sentence} {gap.remedy}"
            yield Condition(AlertKind.DAEMON_DEAD, f"pool:{pool.pk}", sentence, "/gaps")


def lost_readiness(now: dt.datetime) -> Iterator[Condition]:
    """Plans that were verified once and of which the newest check says something else, or that can't be checked.

    Only a check that finds the plan ready ends it: that something has changed since, or that the check is old, means
    that it is not known any more, not that it is over. A plan that was never verified has nothing to lose.
    """
    checks = ReadinessCheck.objects.filter(plan=OuterRef("pk")).order_by("-pk")
    once = RecoveryPlan.objects.filter(Exists(checks.filter(state=READY))).order_by("name")
    plans = once.annotate(newest=Subquery(checks.values("pk")[:1]), moved_at=Max("runs__finished_at"))
    rows = ReadinessCheck.objects.defer("seen", "counts").in_bulk([plan.newest for plan in plans])
    busy = set(Run.objects.filter(state__in=[state.value for state in ACTIVE_RUN]).values_list("plan_id", flat=True))
    troubles = dict(CheckRequest.objects.values_list("plan_id", "trouble"))
    for plan in plans:
        row = rows[plan.newest]
        checkable_since = max(filter(None, (row.checked_at, plan.moved_at)))
        if row.state != READY:
            first = row.findings[0]["sentence"] if row.findings else "it could not be told why."
            said = f"is not ready: {row.blockers} in the way, first: {first}"
        elif plan.pk not in busy and (now - checkable_since).total_seconds() > OLD_AFTER_S:
            trouble = troubles.get(plan.pk) or "No worker has got to it."
            said = f"could not be checked since {row.checked_at:%F %T} UTC: nobody knows if it would work. {trouble}"
        else:
            continue
        yield Condition(AlertKind.READINESS_LOST, f"plan:{plan.pk}", f"Plan {plan.name} {said}", f"/plans/{plan.pk}")


def waiting_runs() -> Iterator[Condition]:
    for run in Run.objects.filter(state__in=[RunState.PAUSED.value, RunState.AWAITING_APPROVAL.value]):
        asked = run.state == RunState.AWAITING_APPROVAL.value
        kind = AlertKind.APPROVAL_ASKED if asked else AlertKind.RUN_WAITS
        word = "asks for an approval" if asked else "waits for a person"
        yield Condition(kind, f"run:{run.pk}", f"Run {run.pk} {word}. {run.sentence}".strip(), f"/runs/{run.pk}")


def broken_glass() -> Iterator[Condition]:
    for run in glass_runs():
        unseen = [notice.name for notice in notices_of(run) if notice.seen_at is None]
        sentence = f"{alone(run)} A manager has to review it; the plan is locked until then."
        sentence += f" Have not seen it yet: {', '.join(unseen)}." if unseen else ""
        yield Condition(AlertKind.GLASS_BROKEN, f"run:{run.pk}", sentence, f"/runs/{run.pk}/review")


def silent_sites() -> Iterator[Condition]:
    for site in Site.objects.all():
        for part, word in PARTS:
            if getattr(site, f"{part}_reachable") is False:
                said = getattr(site, f"{part}_sentence")
                sentence = f"{word} of {site.name} does not answer. {said}".strip()
                yield Condition(AlertKind.SITE_SILENT, f"site:{site.pk}:{part}", sentence, f"/sites/{site.slug}")


def lost_witnesses() -> Iterator[Condition]:
    """Nothing is less safe without it today; on the day of a disaster there is one view less."""
    for witness in Witness.objects.select_related("pair__a", "pair__b"):
        sight = newest_sight(witness)
        if sight is not None and not sight.echo:
            sentence = f"The witness {witness.name} {sight.sentence}"
            yield Condition(AlertKind.WITNESS_LOST, f"pair:{witness.pair_id}:witness:{witness.pk}", sentence, "/sites")


def blind_pairs(now: dt.datetime) -> Iterator[Condition]:
    for pair in SitePair.objects.select_related("a", "b"):
        if pair.polled_at is not None and not watched(pair, now):
            sentence = f"Nobody has watched {pair.a.name} and {pair.b.name} since {pair.polled_at:%F %T} UTC."
            yield Condition(AlertKind.PORTAL_BLIND, f"pair:{pair.pk}", f"{sentence} Is the poller running?", "/")


def different_records() -> Iterator[Condition]:
    """Until a person has settled it: who has read the message may still not have looked at both records."""
    for row in ReceiptDifference.objects.filter(settled_at=None).select_related("site"):
        sentence = f"{row.site.name}, operation {row.operation_id}: {row.sentence} A manager has to settle it."
        yield Condition(AlertKind.RECORDS_DIFFER, f"difference:{row.pk}", sentence, "/")  # both records stand there


def different_programs() -> Iterator[Condition]:
    for site in Site.objects.all():
        if sentence := skew_sentence(site):
            yield Condition(AlertKind.PROGRAM_DIFFERS, f"site:{site.pk}", sentence, f"/sites/{site.slug}")
        if sentence := pools_sentence(site):
            yield Condition(AlertKind.PROGRAM_DIFFERS, f"site:{site.pk}:pools", sentence, f"/sites/{site.slug}")


def strangers_at_sites(now: dt.datetime) -> Iterator[Condition]:
    """Until nothing of the kind has been heard for a while: what was heard stays on the site's page."""
    for site, sentence in strangers(now):
        yield Condition(AlertKind.STRANGER_AT_SITE, f"site:{site.pk}", sentence, f"/sites/{site.slug}")
