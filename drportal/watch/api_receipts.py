"""The sites' receipts held against the trail, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from drportal.api import asker, needs, seen
from drportal.engine.receipts import DifferenceWord
from drportal.inventory.models import Site
from drportal.roles import Permission
from drportal.watch.models import ReceiptDifference, SiteRecord
from drportal.watch.receipts import difference_settle

router = Router()


class DifferenceOut(Schema):
    """``ours`` and ``theirs``: the two records of the act as they were when found; null where a side has none."""

    id: int
    site: str
    site_name: str
    operation_id: str
    word: DifferenceWord
    sentence: str
    ours: dict[str, Any] | None
    theirs: dict[str, Any] | None
    run_id: int | None
    found_at: dt.datetime
    settled_at: dt.datetime | None
    settled_by: str
    settled_because: str


class SiteRecordOut(Schema):
    """How far a site's receipts have been compared. ``compared_at`` null: never to the end."""

    site: str
    site_name: str
    tried_at: dt.datetime | None
    compared_at: dt.datetime | None
    sentence: str


class Receipts(Schema):
    records: list[SiteRecordOut]
    differences: list[DifferenceOut]


class Settling(Schema):
    because: Annotated[str, Field(min_length=1, max_length=2000)]


def difference_out(row: ReceiptDifference) -> DifferenceOut:
    return DifferenceOut(
        id=row.pk,
        site=row.site.slug,
        site_name=row.site.name,
        operation_id=row.operation_id,
        word=DifferenceWord(row.word),
        sentence=row.sentence,
        ours=row.ours,
        theirs=row.theirs,
        run_id=row.run_id,
        found_at=row.found_at,
        settled_at=row.settled_at,
        settled_by=row.settled_by,
        settled_because=row.settled_because,
    )


def open_differences(request: HttpRequest) -> list[DifferenceOut]:
    rows = seen(request, ReceiptDifference.objects.filter(settled_at=None).select_related("site"))
    return [difference_out(row) for row in rows]


@router.get("/receipts", auth=needs(Permission.VIEW), response=Receipts)
def receipts(request: HttpRequest, settled: bool = False) -> Any:
    """Acts of which a site's receipt and the trail say different things. ``settled``: also those closed by a person."""
    rows = SiteRecord.objects.select_related("site")
    records = {row.site_id: row for row in rows}
    found = []
    for site in seen(request, Site.objects.all()):
        row = records.get(site.pk) or SiteRecord(site=site, sentence="Its receipts have not been compared yet.")
        found.append(
            SiteRecordOut(
                site=site.slug,
                site_name=site.name,
                tried_at=row.tried_at,
                compared_at=row.compared_at,
                sentence=row.sentence,
            )
        )
    differences = seen(request, ReceiptDifference.objects.select_related("site"))
    if not settled:
        differences = differences.filter(settled_at=None)
    return Receipts(records=found, differences=[difference_out(row) for row in differences[:500]])


@router.post("/receipts/differences/{difference_id}/settle", auth=needs(Permission.REVIEW), response=DifferenceOut)
def settle(request: HttpRequest, difference_id: int, body: Settling) -> Any:
    """A manager closes a difference and says why. The site may forget its receipt at the next comparison."""
    row = difference_settle(difference_id=difference_id, because=body.because, actor=asker(request).username)
    return difference_out(row)
