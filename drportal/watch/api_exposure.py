"""Exposure of images, pools and groups over HTTP: now, over time, and the worst of day, week and month."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from drportal.api import asker, needs
from drportal.engine.exposure import ExposureKind
from drportal.errors import NotFound
from drportal.inventory.exposure import PERIODS, curve, slots_of, worst_of_slots
from drportal.inventory.models import MirroredImage, Pool, SitePair
from drportal.inventory.schedules_shown import PoolState, pool_state
from drportal.inventory.schemas import (
    ExposureNow,
    Image,
    current_verdict,
    exposure_now,
    image_rows,
    images_out,
)
from drportal.inventory.services import pair_get
from drportal.inventory.slots import Slot
from drportal.recovery.targets import rpo_of
from drportal.roles import Permission
from drportal.watch.targets import group_get, target_set, targets_of_images

router = Router()
Period = Literal["day", "week", "month"]
WORST_SHOWN = 10


class WorstOf(Schema):
    """``seconds`` null: no figure in this period.

    ``unbounded_slots``: 5-minute spans (hours, after two days) in which something had no bound, which is worse than any
    figure; ``untold_slots``: in which of something it could not be told.
    """

    seconds: float | None
    at: dt.datetime | None
    unbounded_slots: int
    untold_slots: int


class ExposurePoint(Schema):
    """The worst of the span that begins ``at``. ``unbounded``: something had no bound; ``untold``: of something it
    could not be told; ``seconds``: the worst of the rest, null where there is none. All three empty: nobody looked.
    """

    at: dt.datetime
    seconds: float | None
    unbounded: bool = False
    untold: bool = False


class ExposureOverTime(Schema):
    """``target_s``: what was agreed (the strictest, where several groups agree on one)."""

    now: ExposureNow
    target_s: int | None
    period: Period
    step_s: int
    points: list[ExposurePoint]
    worst: dict[str, WorstOf]


class PoolSummary(Schema):
    """``images``: that exist. ``unbounded``: of those that are mirrored, how many have no bound on the loss."""

    pair_id: int
    name: str
    images: int
    counts: dict[str, int]
    unbounded: int
    sides: dict[str, PoolState | None]
    exposure: ExposureNow


class Pools(Schema):
    items: list[PoolSummary]


class PoolDetail(PoolSummary):
    worst_images: list[Image]


class TargetIn(Schema):
    """``rpo_s`` null: nothing is agreed."""

    rpo_s: Annotated[int, Field(ge=1, le=30 * 86_400)] | None


@router.get("/images/{image_id}/exposure", auth=needs(Permission.VIEW), response=ExposureOverTime)
def image_exposure(request: HttpRequest, image_id: int, period: Period = "day") -> Any:
    row = MirroredImage.objects.select_related("pair").filter(pk=image_id).first()
    if row is None:
        raise NotFound("This image is not known (any more).")
    target = targets_of_images([image_id]).get(image_id)
    return over_time(row.pair_id, [f"image:{image_id}"], [row], target, period)


@router.get("/pairs/{pair_id}/pools", auth=needs(Permission.VIEW), response=Pools)
def pool_list(request: HttpRequest, pair_id: int) -> Any:
    """The pair's mirrored pools as both sides see them, with the worst exposure in each."""
    pair, now = pair_get(pair_id), timezone.now()
    return {"items": [pool_summary(pair, name, now) for name in pair.pools]}


@router.get("/pairs/{pair_id}/pools/{name}", auth=needs(Permission.VIEW), response=PoolDetail)
def pool_get(request: HttpRequest, pair_id: int, name: str) -> Any:
    """With its most exposed images."""
    pair, now = pair_get(pair_id), timezone.now()
    if name not in pair.pools:
        raise NotFound(f"Pool “{name}” is not watched at this pair.")
    rows = measured(image_rows().filter(pair=pair, pool=name, gone_at=None).defer("track"))
    most = sorted(rows, key=lambda row: severity(exposure_now(row, now)), reverse=True)[:WORST_SHOWN]
    summary = pool_summary(pair, name, now)
    return PoolDetail(**summary.dict(), worst_images=images_out(most, now))


@router.get("/pairs/{pair_id}/pools/{name}/exposure", auth=needs(Permission.VIEW), response=ExposureOverTime)
def pool_exposure(request: HttpRequest, pair_id: int, name: str, period: Period = "day") -> Any:
    """The worst of the pool's images that have a bound, and when one had none or could not be told."""
    pair = pair_get(pair_id)
    rows = measured(pool_rows(pair, name))
    targets = targets_of_images()
    strictest = min((targets[row.pk] for row in rows if row.pk in targets), default=None)
    return over_time(pair.pk, [f"pool:{name}"], rows, strictest, period)


@router.get("/groups/{group_id}/exposure", auth=needs(Permission.VIEW), response=ExposureOverTime)
def group_exposure(request: HttpRequest, group_id: int, period: Period = "day") -> Any:
    """The worst of the images of the group's VMs, as they are in it today."""
    group = group_get(group_id)
    rows = images_of_group(group_id)
    subjects = [f"image:{row.pk}" for row in rows]
    return over_time(group.pair_id, subjects, rows, rpo_of(group), period)


@router.put("/groups/{group_id}/rpo-target", auth=needs(Permission.PLAN), response=ExposureOverTime)
def group_rpo_target_set(request: HttpRequest, group_id: int, body: TargetIn) -> Any:
    """What was agreed. It changes no verdict and stops no run; it is what exposure is held against."""
    target_set(actor=asker(request).username, group_id=group_id, rpo_s=body.rpo_s)
    return group_exposure(request, group_id)


# --- how


def images_of_group(group_id: int) -> list[MirroredImage]:
    rows = MirroredImage.objects.filter(disks__vm__membership__group=group_id, gone_at=None).distinct()
    return list(rows.select_related("pair").order_by("pool", "name"))


def pool_rows(pair: SitePair, name: str) -> QuerySet[MirroredImage]:
    """All of its images that are there; a pool's exposure is that of those that are mirrored (``measured``)."""
    rows = MirroredImage.objects.filter(pair=pair, pool=name, gone_at=None)
    return rows.select_related("pair").defer("track", "side_a", "side_b")


def measured(rows: Iterable[MirroredImage]) -> list[MirroredImage]:
    """The others are gaps, where they are somebody's disk, and else nobody's: neither would ever come to a bound."""
    return [row for row in rows if row.global_id]


def over_time(
    pair_id: int, subjects: list[str], rows: Sequence[MirroredImage], target_s: int | None, period: Period
) -> ExposureOverTime:
    now = timezone.now()
    month = slots_of(pair_id, subjects, now - dt.timedelta(days=PERIODS["month"]))
    since = now - dt.timedelta(days=PERIODS[period])
    drawn = curve({at: slot for at, slot in month.items() if at >= since}, since, now)
    month[now] = slot_now(rows, now)  # what is so now is not in a slot yet
    worst = {}
    for name, days in PERIODS.items():
        found = worst_of_slots(month, now - dt.timedelta(days=days))
        worst[name] = WorstOf(
            seconds=_rounded(found.seconds),
            at=found.at,
            unbounded_slots=found.unbounded_slots,
            untold_slots=found.untold_slots,
        )
    return ExposureOverTime(
        now=worst_now(rows, now),
        target_s=target_s,
        period=period,
        step_s=drawn.step_s,
        points=[
            ExposurePoint(at=at, seconds=_rounded(slot.seconds), unbounded=slot.unbounded, untold=slot.untold)
            for at, slot in drawn.points
        ],
        worst=worst,
    )


def slot_now(rows: Sequence[MirroredImage], now: dt.datetime) -> Slot:
    found = [exposure_now(row, now) for row in rows]
    kinds = {one.kind for one in found}
    worst = max((one.seconds for one in found if one.seconds is not None), default=None)
    return Slot(worst, ExposureKind.UNBOUNDED in kinds, ExposureKind.CANNOT_TELL in kinds)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def severity(found: ExposureNow) -> tuple[int, float]:
    """No bound is worse than not knowing, and that is worse than any figure."""
    rank = {ExposureKind.UNBOUNDED: 2, ExposureKind.CANNOT_TELL: 1}.get(found.kind, 0)
    return rank, found.seconds or 0.0


def worst_now(rows: Sequence[MirroredImage], now: dt.datetime) -> ExposureNow:
    """Of all the images. Of none: nothing is known."""
    found = max((exposure_now(row, now) for row in rows), key=severity, default=None)
    if found is not None:
        return found
    return ExposureNow(
        kind=ExposureKind.CANNOT_TELL, seconds=None, since=None, sentence="There is no image to measure."
    )


def pool_summary(pair: SitePair, name: str, now: dt.datetime) -> PoolSummary:
    rows = list(pool_rows(pair, name))
    states = {row.site_id: row for row in Pool.objects.filter(site__in=[pair.a, pair.b], name=name)}
    kinds = Counter(exposure_now(row, now).kind for row in measured(rows))
    return PoolSummary(
        pair_id=pair.pk,
        name=name,
        images=len(rows),
        counts=dict(Counter(current_verdict(row, now)[0].value for row in rows)),
        unbounded=kinds[ExposureKind.UNBOUNDED],
        sides={site.slug: pool_state(states[site.pk]) if site.pk in states else None for site in (pair.a, pair.b)},
        exposure=worst_now(measured(rows), now),
    )
