"""Saved views over HTTP: each person's own, and nobody else's."""

from __future__ import annotations

from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from drportal.api import asker, needs_session
from drportal.errors import Conflict, NotFound
from drportal.watch.models import SavedView

router = Router()
MOST = 100  # of a person

Table = Annotated[str, Field(pattern=r"^[a-z-]{1,30}$")]


class ViewIn(Schema):
    table: Table
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    search: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class ViewOut(Schema):
    """``search``: what stands behind the question mark of the page's address."""

    id: int
    table: str
    name: str
    search: str


class Views(Schema):
    items: list[ViewOut]


@router.get("/views", auth=needs_session(), response=Views)
def view_list(request: HttpRequest) -> Any:
    """All of one's own, by name."""
    return {"items": list(SavedView.objects.filter(person=asker(request)))}


@router.put("/views", auth=needs_session(), response=ViewOut)
def view_keep(request: HttpRequest, body: ViewIn) -> Any:
    """Keep a view; one of the same table and name is replaced."""
    person = asker(request)
    with transaction.atomic():
        own = SavedView.objects.filter(person=person)
        if own.count() >= MOST and not own.filter(table=body.table, name=body.name).exists():
            raise Conflict(f"You have {MOST} views already. Nothing was kept. Remove one first.")
        row, _ = SavedView.objects.update_or_create(
            person=person, table=body.table, name=body.name, defaults={"search": body.search}
        )
    return row


@router.delete("/views/{view_id}", auth=needs_session(), response={204: None})
def view_remove(request: HttpRequest, view_id: int) -> Any:
    removed, _ = SavedView.objects.filter(person=asker(request), pk=view_id).delete()
    if not removed:
        raise NotFound("You have no such view (any more).")
    return Status(204, None)
