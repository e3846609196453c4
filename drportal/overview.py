"""The first page: what all parts of the portal say together, in one answer."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from drportal.api import asking, needs, seen
from drportal.engine.gap_base import GapLevel
from drportal.engine.quarantine import SignKind
from drportal.engine.states import ACTIVE_RUN
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.schemas import WORST_FIRST, ExposureNow, current_verdict, worst_of
from drportal.inventory.schemas_site import SiteSummary, site_summary
from drportal.jobs import RECOVERY, worker_alive
from drportal.people.rights import seen_names
from drportal.recovery.api import RunSummary, run_summary
from drportal.recovery.glass import alone, glass_runs, notices_of
from drportal.recovery.models import ProtectionGroup, Run
from drportal.recovery.quarantine import headline, next_act, open_quarantines
from drportal.recovery.targets import rpo_of
from drportal.roles import Permission
from drportal.watch.api_exposure import severity, worst_now
from drportal.watch.api_receipts import DifferenceOut, open_differences
from drportal.watch.rounds import Round, part_of_round, round_of

router = Router()
NEWEST_RUNS = 5


class GroupSummary(Schema):
    id: int
    name: str
    home_site: str
    active_site: str
    active_run_id: int | None
    worst_verdict: VerdictCode | None
    exposure: ExposureNow
    target_s: int | None


class TwoPrimaries(Schema):
    image_id: int
    name: str


class ReturnedSite(Schema):
    """A site that was lost in a disaster failover and is back: until its quarantine is over."""

    quarantine_id: int
    site: str
    runs_twice: bool
    sentence: str
    next_act: str


class BrokenGlass(Schema):
    """A run that one person began alone, until a manager has accepted it. ``unseen``: who of those that were told has
    not said yet that they have seen it; ``for_me``: the asker is one of them."""

    run_id: int
    sentence: str
    unseen: list[str]
    for_me: bool


class Live(Schema):
    """``poller_at``: when a pair was last looked at; ``worker``: one that drives runs is there."""

    poller_at: dt.datetime | None
    worker: bool


class Overview(Schema):
    sites: list[SiteSummary]
    counts: dict[str, int]
    groups: list[GroupSummary]
    two_primaries: list[TwoPrimaries]
    returned: list[ReturnedSite]
    broken_glass: list[BrokenGlass]
    differences: list[DifferenceOut]
    runs: list[RunSummary]
    gaps: dict[str, int]
    exposure: ExposureNow
    live: Live


@router.get("/overview", auth=needs(Permission.VIEW), response=Overview)
def overview(request: HttpRequest) -> Any:
    """Sites, groups, verdicts in numbers, the newest runs.

    *Two primaries* stays until it is resolved, however old the news. Counted is what the asker sees; ``gaps`` is empty
    for who sees no pair of sites whole, as gaps are found of whole pairs.
    """
    now = timezone.now()
    pairs = list(seen(request, SitePair.objects.select_related("a", "b").order_by("pk"), ground=True))
    whole = set(seen(request, SitePair.objects.all()).values_list("pk", flat=True))
    own = seen(request, MirroredImage.objects.all())
    rounds = [round_of(pair, now) if pair.pk in whole else part_of_round(pair, own) for pair in pairs]
    counts, gaps = Counter[str](), Counter[str]({level.value: 0 for level in GapLevel} if whole or not pairs else {})
    for pair, one in zip(pairs, rounds, strict=True):
        counts.update(one.counts_now(pair, now))
        gaps.update(one.gaps)
    return Overview(
        sites=[site_summary(site) for site in seen(request, Site.objects.all(), ground=True)],
        counts=dict(counts),
        groups=group_summaries(seen(request, ProtectionGroup.objects.all()), rounds, now),
        two_primaries=[
            TwoPrimaries(image_id=image.pk, name=str(image)) for one in rounds for image in one.two_primaries
        ],
        returned=returned_sites(request),
        broken_glass=[broken_glass(request, run) for run in alone_runs(request)],
        differences=open_differences(request),
        runs=[run_summary(run) for run in seen(request, Run.objects.order_by("-id"))[:NEWEST_RUNS]],
        gaps=dict(gaps),
        exposure=worst_now([image for one in rounds for image in one.speak], now),
        live=Live(
            poller_at=max(filter(None, (pair.polled_at for pair in pairs)), default=None), worker=worker_alive(RECOVERY)
        ),
    )


def alone_runs(request: HttpRequest) -> list[Run]:
    found = glass_runs()
    names = seen_names(asking(request).rights, (f"run:{run.pk}" for run in found))
    return [run for run in found if f"run:{run.pk}" in names]


def broken_glass(request: HttpRequest, run: Run) -> BrokenGlass:
    unseen = [notice.name for notice in notices_of(run) if notice.seen_at is None]
    me = asking(request).user.username
    return BrokenGlass(run_id=run.pk, sentence=alone(run), unseen=unseen, for_me=me in unseen)


def returned_sites(request: HttpRequest) -> list[ReturnedSite]:
    rows = [row for row in open_quarantines() if row.first_contact_at is not None]
    names = seen_names(asking(request).rights, (f"quarantine:{row.pk}" for row in rows))
    return [
        ReturnedSite(
            quarantine_id=row.pk,
            site=row.site.slug,
            runs_twice=any(sign["kind"] == SignKind.RUNS_TWICE.value for sign in row.signs),
            sentence=headline(row),
            next_act=next_act(row),
        )
        for row in rows
        if f"quarantine:{row.pk}" in names
    ]


def group_summaries(
    seen_groups: QuerySet[ProtectionGroup], rounds: list[Round], now: dt.datetime
) -> list[GroupSummary]:
    """Groups by attention: the worst verdict first, then the most exposed."""
    speak = {group_id: rows for one in rounds for group_id, rows in one.groups.items()}
    holding = Run.objects.filter(state__in=[state.value for state in ACTIVE_RUN], gives_way_to=None)
    active = dict(holding.values_list("group_id", "pk"))
    found = []
    for group in seen_groups.select_related("home_site", "active_site", "target"):
        own = speak.get(group.pk, ())
        found.append(
            GroupSummary(
                id=group.pk,
                name=group.name,
                home_site=group.home_site.slug,
                active_site=group.active_site.slug,
                active_run_id=active.get(group.pk),
                worst_verdict=worst_of(current_verdict(image, now)[0] for image in own),
                exposure=worst_now(own, now),
                target_s=rpo_of(group),
            )
        )
    return sorted(found, key=attention)


def attention(group: GroupSummary) -> tuple[int, int, float, str]:
    """What a person should look at first comes first."""
    rank = WORST_FIRST.index(group.worst_verdict) if group.worst_verdict else len(WORST_FIRST)
    kind, seconds = severity(group.exposure)
    return rank, -kind, -seconds, group.name
