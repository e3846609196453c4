"""The trail over HTTP: read it, take it away signed, and have it checked."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Annotated, Any

from django.db.models import Q
from django.http import FileResponse, HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema

from drportal.api import asker, asking, needs
from drportal.audit import anchors, search
from drportal.audit.check import head
from drportal.audit.export import trail_export
from drportal.audit.models import AuditEntry
from drportal.audit.signing import NoSigningKey, public_key
from drportal.audit.verify import Broken, Verification
from drportal.errors import NotFound
from drportal.people.paced import WHOLE_TRAIL, paced_read
from drportal.people.rights import readable_entries
from drportal.roles import Permission

router = Router()
Seq = Annotated[int, Field(ge=0, le=2**62)]


class Entry(Schema):
    seq: int
    at: dt.datetime
    actor: str
    action: str
    subject: str
    site: str | None
    run_id: int | None
    payload: dict[str, Any]
    previous_hash: str
    hash: str


class Entries(Schema):
    """``searched_to``: the page ended because enough was looked through, down to this entry; ``next`` goes on."""

    items: list[Entry]
    next: int | None
    searched_to: int | None


class EntryFilter(Schema):
    """``action`` with a dot at its end ("run.") is every action of that beginning; ``text``: in subject or payload."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    actor: Annotated[str, Field(max_length=150)] = ""
    action: Annotated[str, Field(max_length=80)] = ""
    site: Annotated[str, Field(max_length=60)] = ""
    run: Seq | None = None
    text: Annotated[str, Field(max_length=200)] = ""

    def wanted(self) -> search.Filter:
        def aware(at: dt.datetime | None) -> dt.datetime | None:
            return at.replace(tzinfo=dt.UTC) if at is not None and at.tzinfo is None else at

        words = {name: getattr(self, name).replace("\x00", "") for name in ("actor", "action", "site", "text")}
        return search.Filter(since=aware(self.since), until=aware(self.until), run=self.run, **words)


class Head(Schema):
    seq: int
    hash: str


class TrailCheck(Schema):
    ok: bool
    entries: int
    head: Head
    anchors: int
    sentence: str


class AnchorPlace(Schema):
    """Where heads are noted. ``noted_*``: the last one that arrived; ``ok`` and ``sentence``: the last attempt."""

    place: str
    noted_seq: int | None
    noted_at: dt.datetime | None
    ok: bool | None
    tried_at: dt.datetime | None
    sentence: str


class Chain(Schema):
    """``public_key``: what to give a verifier; null while no key to sign with is set."""

    head: Head
    public_key: str | None
    anchor_every_s: int
    places: list[AnchorPlace]
    now: dt.datetime


@router.get("/audit", auth=needs(Permission.AUDIT), response=Entries)
def audit_list(
    request: HttpRequest,
    wanted: Query[EntryFilter],
    before: Seq | None = None,
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Any:
    """Entries, newest first. ``next`` is the ``before`` of the following page."""
    page = search.page(replace(wanted.wanted(), seen=readable_entries(asking(request).rights)), before, limit)
    return {"items": page.entries, "next": page.next, "searched_to": page.searched_to}


@router.get("/audit/chain", auth=needs(Permission.AUDIT, everywhere=True), response=Chain)
def audit_chain(request: HttpRequest) -> Any:
    """Where the chain stands and where its heads are noted. Walks nothing."""
    try:
        key: str | None = public_key()
    except NoSigningKey:
        key = None
    seq, digest = head()
    every_s = int(anchors.interval_s())
    places = [place_of(place) for place in anchors.places()]
    now = timezone.now()
    return Chain(head=Head(seq=seq, hash=digest), public_key=key, anchor_every_s=every_s, places=places, now=now)


def place_of(place: str) -> AnchorPlace:
    tried, arrived = anchors.latest(place), anchors.latest(place, ok=True)
    return AnchorPlace(
        place=anchors.shown(place),
        noted_seq=arrived.seq if arrived else None,
        noted_at=arrived.at if arrived else None,
        ok=tried.ok if tried else None,
        tried_at=tried.at if tried else None,
        sentence=tried.sentence if tried else "Not tried yet; a worker does it.",
    )


@router.get("/audit/verify", auth=needs(Permission.AUDIT, everywhere=True), response=TrailCheck)
def audit_verify(request: HttpRequest) -> Any:
    """Walk the whole chain now, and hold it against every head that was noted. 429 ``too_often``: you are at it."""
    known = 0
    try:
        with paced_read(asker(request), WHOLE_TRAIL):
            found, known = anchors.verify_against_noted()
    except Broken as error:
        found = Verification(False, 0, *head(), str(error))
    return {
        "ok": found.ok,
        "entries": found.entries,
        "head": {"seq": found.head_seq, "hash": found.head_hash},
        "anchors": known,
        "sentence": found.sentence,
    }


ZIP = {
    "responses": {
        200: {
            "description": "The export",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
}


@router.get("/audit/export", auth=needs(Permission.AUDIT, everywhere=True), openapi_extra=ZIP)
def audit_export(request: HttpRequest, wanted: Query[EntryFilter]) -> Any:
    """A signed zip: the entries as JSON lines and as CSV, the verifier, and the format's description."""
    made = trail_export(wanted.wanted(), asker(request).username)
    name = f"drportal-trail-{timezone.now():%Y%m%d-%H%M%S}.zip"
    response = FileResponse(made, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    return response


@router.get("/audit/{int:seq}", auth=needs(Permission.AUDIT), response=Entry)
def audit_read(request: HttpRequest, seq: int) -> Any:
    may_read = readable_entries(asking(request).rights)
    entry = AuditEntry.objects.filter(may_read or Q(), seq=seq).first() if seq < 2**62 else None
    if entry is None:
        raise NotFound(f"The trail has no entry {seq}{'' if may_read is None else ' for you to read'}.")
    return entry
