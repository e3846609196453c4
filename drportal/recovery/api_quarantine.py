"""Return quarantine over HTTP: lost sites that are waited for or are back, and what is seen there."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from drportal.api import asking, needs
from drportal.engine.plans import RunKind
from drportal.engine.quarantine import QuarantineState, SignKind
from drportal.errors import NotFound
from drportal.inventory.models import MirroredImage
from drportal.inventory.schemas import current_verdict
from drportal.people.rights import seen_names
from drportal.recovery import building, models
from drportal.recovery.quarantine import open_quarantines
from drportal.recovery.survivors import peer_of
from drportal.roles import Permission

router = Router()


class SignOut(Schema):
    kind: SignKind
    subject: str
    sentence: str


class QuarantineOut(Schema):
    """``contact_at``: null while nothing was heard since, or again; ``unread``: images and VMs not read there since.

    ``fence``, ``reprotect``: why such a run cannot be asked for now; null when it can. ``calm_since``: it ends by
    itself a minute after.
    """

    id: int
    state: QuarantineState
    site: str
    site_name: str
    survivor_name: str
    plan_id: int
    group: str
    run_id: int
    begun_by: str
    began_at: dt.datetime
    first_contact_at: dt.datetime | None
    contact_at: dt.datetime | None
    looked_at: dt.datetime | None
    calm_since: dt.datetime | None
    unread: int
    signs: list[SignOut]
    cleared_at: dt.datetime | None
    cleared_by_run: int | None
    cleared_how: str
    fence: str | None
    reprotect: str | None


class SuspectOut(Schema):
    image_id: int
    name: str
    verdict: str
    sentence: str


class QuarantinePage(QuarantineOut):
    images: list[SuspectOut]


class Quarantines(Schema):
    items: list[QuarantineOut]


@router.get("/quarantines", auth=needs(Permission.VIEW), response=Quarantines)
def quarantine_list(request: HttpRequest) -> Any:
    """Those that are not over. (Of one that is over, its own address tells.)"""
    rows = open_quarantines()
    names = seen_names(asking(request).rights, (f"quarantine:{row.pk}" for row in rows))
    return {"items": [quarantine_out(row) for row in rows if f"quarantine:{row.pk}" in names]}


@router.get("/quarantines/{int:quarantine_id}", auth=needs(Permission.VIEW), response=QuarantinePage)
def quarantine_read(request: HttpRequest, quarantine_id: int) -> Any:
    rows = models.Quarantine.objects.select_related("group__plan", "site", "run")
    row = rows.filter(pk=quarantine_id).first()
    if row is None:
        raise NotFound(f"There is no quarantine {quarantine_id}.")
    images = [_suspect(image) for image in row.images.select_related("pair").order_by("pool", "name")]
    return QuarantinePage(**quarantine_out(row).model_dump(), images=images)


def quarantine_out(row: models.Quarantine) -> QuarantineOut:
    over = row.cleared_at is not None
    ways = {kind: "It is over." if over else building.why_not(row.group, kind) for kind in building.AT_RETURNED}
    return QuarantineOut(
        id=row.pk, state=row.state, site=row.site.slug, site_name=row.site.name,
        survivor_name=peer_of(row.group, row.site).name, plan_id=row.run.plan_id, group=row.group.name,
        run_id=row.run_id, begun_by=row.begun_by, began_at=row.began_at, first_contact_at=row.first_contact_at,
        contact_at=row.contact_at, looked_at=row.looked_at, calm_since=row.calm_since, unread=row.unread,
        signs=[SignOut(**sign) for sign in row.signs], cleared_at=row.cleared_at, cleared_by_run=row.cleared_by_id,
        cleared_how=row.cleared_how, fence=ways[RunKind.FENCE] or None, reprotect=ways[RunKind.REPROTECT] or None,
    )  # fmt: skip


def _suspect(image: MirroredImage) -> SuspectOut:
    verdict, sentence = current_verdict(image, timezone.now())
    return SuspectOut(image_id=image.pk, name=str(image), verdict=verdict, sentence=sentence)
