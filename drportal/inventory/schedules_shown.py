"""A pool at a site over HTTP, and the snapshot schedules of one image at both."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone
from ninja import Schema

from drportal.engine.schedules import Level
from drportal.inventory.models import MirroredImage, Pool, SnapshotSchedules
from drportal.inventory.schedules import KnownSchedules, is_known, schedules_of


class PoolSchedule(Schema):
    """``text``: what runs for images without a schedule of their own, empty where nothing does; ``own``: how many have
    one. ``known`` false: not read lately, and ``trouble`` says why where that is known."""

    known: bool
    text: str
    level: Level | None
    own: int
    read_at: dt.datetime | None
    trouble: str


class PoolState(Schema):
    """``gone_at``: since when the site says that there is no such pool; the rest is as it was then."""

    name: str
    mode: str
    health: str
    daemon_health: str
    daemons: list[dict[str, Any]]
    peers: list[dict[str, Any]]
    schedules: PoolSchedule | None
    read_at: dt.datetime | None
    gone_at: dt.datetime | None


class ImageSchedule(Schema):
    """``every_s``: between two mirror snapshots; null where there is no schedule (``text`` empty), or it is not known.

    ``level``: where it is set.
    """

    known: bool
    text: str
    every_s: int | None
    level: Level | None
    read_at: dt.datetime | None
    trouble: str


def pool_schedule(pool: Pool) -> PoolSchedule | None:
    """None: its schedules were never asked for."""
    row = SnapshotSchedules.objects.filter(pool=pool).first()
    if row is None:
        return None
    found = schedules_of(row.entries)
    rest = found.rest
    return PoolSchedule(
        known=is_known(row, timezone.now()),
        text=rest.text if rest else "",
        level=rest.level if rest else None,
        own=found.own,
        read_at=row.read_at,
        trouble=row.trouble,
    )


def pool_state(pool: Pool) -> PoolState:
    plain: dict[str, Any] = {name: getattr(pool, name) for name in PoolState.model_fields if name != "schedules"}
    return PoolState(**plain, schedules=pool_schedule(pool))


def image_schedules(row: MirroredImage, now: dt.datetime) -> dict[str, ImageSchedule]:
    """By site, as last told. Empty for an image that needs none: its mode copies without."""
    if row.mode != "snapshot":
        return {}
    shown, known = {}, KnownSchedules((row.pair.a, row.pair.b), now)
    for site in (row.pair.a, row.pair.b):
        kept = known.rows.get((site.pk, row.pool))
        if kept is None:
            continue
        schedule = schedules_of(kept.entries).of(row.name)
        shown[site.slug] = ImageSchedule(
            known=is_known(kept, now),
            text=schedule.text if schedule else "",
            every_s=schedule.every_s if schedule else None,
            level=schedule.level if schedule else None,
            read_at=kept.read_at,
            trouble=kept.trouble,
        )
    return shown
