"""The table of images: which rows fit a filter, and the same rows as a file for a spreadsheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.db.models import Count, Q, QuerySet

from drportal.audit.spreadsheets import csv_line, utc_cell
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.bulk import every_nth
from drportal.inventory.models import MirroredImage, SitePair, VmDisk
from drportal.inventory.schemas import Image, image_rows, images_out, watched

PAGE = 500
COLUMNS = (
    "pool", "name", "verdict", "sentence", "primary", "mode", "size_bytes", "vms", "exposure", "exposure_s",
    "protected_until_utc", "global_id",
)  # fmt: skip
OF_A_SITE = ("role", "state", "heard_at_utc")


def images_named(pair: SitePair, q: str) -> QuerySet[MirroredImage]:
    """Those that are not gone and whose name, or whose VM's name, has ``q`` in it."""
    rows = image_rows().filter(pair=pair, gone_at=None)
    # Not a join, which needs DISTINCT and so sorts ten thousand whole rows to show a hundred; and not a question for
    # each row, but one list.
    of_a_vm = VmDisk.objects.filter(vm__name__icontains=q, image__isnull=False).values("image")
    return rows.filter(Q(name__icontains=q) | Q(pk__in=of_a_vm)) if q else rows


def counts_by_verdict(rows: QuerySet[MirroredImage], pair: SitePair, now: dt.datetime) -> dict[str, int]:
    """Verdict -> how many, of what is said of them now."""
    said = dict(rows.order_by().values_list("verdict").annotate(n=Count("*")))
    return said if watched(pair, now) or not said else {VerdictCode.CANNOT_TELL.value: sum(said.values())}


def images_of_verdict(
    rows: QuerySet[MirroredImage], pair: SitePair, verdict: VerdictCode | None, now: dt.datetime
) -> QuerySet[MirroredImage]:
    """By what is said of them now: while nobody watches, everything is *cannot tell*."""
    if verdict is None:
        return rows
    if watched(pair, now):
        return rows.filter(verdict=verdict.value)
    return rows if verdict is VerdictCode.CANNOT_TELL else rows.none()


def images_after(rows: QuerySet[MirroredImage], place: str) -> QuerySet[MirroredImage]:
    """In the table's order, behind ``place`` (pool/name; empty: from the first)."""
    pool, _, name = place.partition("/")
    return (rows.filter(Q(pool__gt=pool) | Q(pool=pool, name__gt=name)) if place else rows).order_by("pool", "name")


def image_places(rows: QuerySet[MirroredImage], every: int) -> list[str]:
    return [f"{pool}/{name}" for pool, name in every_nth(rows, ("pool", "name"), every)]


def images_as_csv(rows: QuerySet[MirroredImage], pair: SitePair, now: dt.datetime) -> Iterator[str]:
    """Page by page, so that ten thousand rows are never in memory at once. UTF-8 with a header line (RFC 4180)."""
    sites = (pair.a.slug, pair.b.slug)
    yield csv_line([*COLUMNS, *(f"{site}_{column}" for site in sites for column in OF_A_SITE)])
    place = ""
    while page := list(images_after(rows, place)[:PAGE]):
        yield "".join(csv_line(_cells(image, sites)) for image in images_out(page, now))
        place = str(page[-1])


def _cells(image: Image, sites: tuple[str, str]) -> list[Any]:
    names = sorted({vm.name for vm in image.vms})
    shown: list[Any] = [
        image.pool, image.name, image.verdict.value, image.verdict_sentence, image.primary_site or "", image.mode,
        image.size_bytes, ", ".join(names), image.exposure.kind, image.exposure.seconds, utc_cell(image.exposure.since),
        image.global_id,
    ]  # fmt: skip
    for site in sites:
        side = image.sides.get(site)
        role = {True: "primary", False: "copy", None: ""}[side.primary] if side else ""
        missing = side is not None and side.exists is False
        shown += ["missing" if missing else role, side.state if side else "", utc_cell(side.heard_at) if side else ""]
    return shown
