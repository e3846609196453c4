"""What a site refused at its program's door, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from drportal.api import needs
from drportal.inventory.models import CephThrough
from drportal.inventory.services import site_get
from drportal.roles import Permission
from drportal.watch.models import RefusalRecord, RefusedRequests
from drportal.watch.refusals import strangers_sentence, word_of

router = Router()


class RefusedOut(Schema):
    """``strange``: not sent by this portal. ``rights``: of the key, read or act; empty: not told. ``first_at``,
    ``last_at``: by the site's clock. ``line``: how the last one began, escaped."""

    code: str
    word: str
    rights: str
    address: str
    strange: bool
    count: int
    first_at: dt.datetime
    last_at: dt.datetime
    text: str
    line: str


class RefusalsOut(Schema):
    """``begun_at``: since when it is counted; ``asked_at`` null: the site has never told; ``keeps`` false: it is
    reached in a way that keeps no such record.

    ``sentence``: of those that are strange; empty: there are none. ``uncounted``: refused requests that are in no item.
    ``incomplete_at``: when the site told last that it does not have all of them any more.
    """

    keeps: bool
    begun_at: dt.datetime | None
    asked_at: dt.datetime | None
    sentence: str
    items: list[RefusedOut]
    uncounted: int
    incomplete_at: dt.datetime | None


@router.get("/sites/{slug}/refusals", auth=needs(Permission.AUDIT), response=RefusalsOut)
def refusals(request: HttpRequest, slug: str) -> Any:
    """What the site program refused there, the last heard of first; fetched once a minute by the poller."""
    site = site_get(slug)
    row = RefusalRecord.objects.filter(site=site).first() or RefusalRecord(site=site)
    rows = list(RefusedRequests.objects.filter(site=site))
    strange = sorted((one for one in rows if one.strange), key=lambda one: one.last_at, reverse=True)
    return RefusalsOut(
        keeps=site.ceph_through != CephThrough.RBD,
        begun_at=row.begun_at,
        asked_at=row.asked_at,
        sentence=strangers_sentence(site, strange) if strange else "",
        items=[_out(one) for one in rows],
        uncounted=row.uncounted,
        incomplete_at=row.incomplete_at,
    )


def _out(row: RefusedRequests) -> RefusedOut:
    plain = ("code", "rights", "address", "strange", "count", "first_at", "last_at", "text", "line")
    return RefusedOut(word=word_of(row.code), **{name: getattr(row, name) for name in plain})
