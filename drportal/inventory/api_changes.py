"""What changed at the sites, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from drportal.api import asking, needs, seen
from drportal.inventory.models import InventoryChange, Site, SitePair
from drportal.inventory.services import pair_get, site_get
from drportal.roles import Permission

router = Router()


class InventoryChangeOut(Schema):
    """``subject``: pool/image, pool, or a number at the front end; ``what``: the part of it that changed."""

    id: int
    at: dt.datetime
    site: str
    kind: InventoryChange.Kind
    subject: str
    name: str
    what: str
    sentence: str


class InventoryChanges(Schema):
    """``next``: give it as ``before`` for the older ones; null where there are none."""

    items: list[InventoryChangeOut]
    next: int | None


@router.get("/changes", auth=needs(Permission.VIEW), response=InventoryChanges)
def change_list(
    request: HttpRequest,
    site: str | None = None,
    pair: int | None = None,
    kind: InventoryChange.Kind | None = None,
    subject: Annotated[str, Field(max_length=300)] = "",
    before: int | None = None,
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
) -> Any:
    """What came, went or is different, newest first: of a site or a pair of sites, of a kind, of one subject."""
    rows = seen(request, InventoryChange.objects.select_related("site"))
    if site is not None:
        asking(request).require(Permission.VIEW, Site.objects.filter(slug=site), ground=True)
        rows = rows.filter(site=site_get(site))
    if pair is not None:
        asking(request).require(Permission.VIEW, SitePair.objects.filter(pk=pair), ground=True)
        both = pair_get(pair)
        rows = rows.filter(site__in=[both.a_id, both.b_id])
    if kind is not None:
        rows = rows.filter(kind=kind)
    if subject:
        rows = rows.filter(subject=subject)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    page = list(rows[: limit + 1])
    return {
        "items": [_out(row) for row in page[:limit]],
        "next": page[limit - 1].pk if len(page) > limit else None,
    }


def _out(row: InventoryChange) -> InventoryChangeOut:
    plain = {name: getattr(row, name) for name in ("id", "at", "kind", "subject", "name", "what", "sentence")}
    return InventoryChangeOut(site=row.site.slug, **plain)
