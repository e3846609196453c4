"""Gaps of schedules, over the images of a pair that are mirrored in snapshot mode."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from drportal.engine.facts import Mode
from drportal.engine.gaps import Gap, GapCode
from drportal.engine.readiness import Severity
from drportal.engine.schedule_gaps import SiteSchedule, schedule_gaps, unknown_gap
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.schedules import KnownSchedules
from drportal.recovery.models import ProtectionGroup
from drportal.recovery.plan_copy import PlanCopy
from drportal.watch.targets import target_of_group, targets_of_images


def schedule_gaps_of(pair: SitePair, now: dt.datetime) -> Iterator[Gap]:
    """An image that is primary nowhere has none: it is on its way."""
    known, targets = KnownSchedules((pair.a, pair.b), now), targets_of_images()
    rows = MirroredImage.objects.filter(pair=pair, gone_at=None, mode="snapshot").exclude(primary_side="")
    pools = set[str]()
    for row in rows.only("pool", "name", "primary_side"):
        pools.add(row.pool)
        a, b = _at(known, pair.a, row), _at(known, pair.b, row)
        primary, other = (a, b) if row.primary_side == "a" else (b, a)
        yield from schedule_gaps(str(row), primary, other, targets.get(row.pk))
    for site in (pair.a, pair.b):
        for pool in sorted(pools):
            kept = known.rows.get((site.pk, pool))
            if kept is not None and kept.trouble:
                yield unknown_gap(pool, site.name, kept.trouble)


def _at(known: KnownSchedules, site: Site, row: MirroredImage) -> SiteSchedule:
    found = known.of_pool(site.pk, row.pool)
    return SiteSchedule(site.name, found is not None, found.of(row.name) if found is not None else None)


def schedule_findings(group: ProtectionGroup, plan: PlanCopy) -> list[dict[str, Any]]:
    """What a readiness check says of schedules that can't keep the group's RPO target, where it runs now."""
    target_s, here = target_of_group(group), group.active_site
    if target_s is None:
        return []
    known, anywhere = KnownSchedules((here,), timezone.now()), SiteSchedule("", known=False)
    found: list[Gap] = []
    for image in plan.images():
        told = known.of_pool(here.pk, image.pool) if image.mode == Mode.SNAPSHOT.value else None
        if told is not None:
            ours = SiteSchedule(here.name, known=True, schedule=told.of(image.name))
            found += schedule_gaps(image.source, ours, anywhere, target_s)
    return [
        {
            "code": gap.code.value,
            "severity": Severity.WARN.value,
            "subject": gap.subject,
            "sentence": gap.sentence,
            "remedy": f"{gap.remedy} {gap.command}".strip(),
        }
        for gap in found
        if gap.code is GapCode.SCHEDULE_TOO_LONG
    ]
