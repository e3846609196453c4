"""Pages of the trail, newest first, by number: no page costs more than the ones before it.

One filter alone walks its own index. Several together, or text, could walk the whole trail in vain; those look through
stretches of numbers for a bounded time per page and say how far they came.
"""

from __future__ import annotations

import datetime as dt
import heapq
import json
import time
from dataclasses import dataclass, replace
from itertools import islice

from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from drportal.audit.models import AuditEntry

FIRST_STRETCH, SHORTEST_STRETCH, STRETCH = 1_000, 500, 4_000
PATIENCE_S = 0.08  # looking through the payloads costs 1 to 6 µs each, by the database and by what else goes on


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty means: all. ``action`` with a dot at its end is every action of that beginning. Times include both ends."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    actor: str = ""
    action: str = ""
    site: str = ""
    run: int | None = None
    text: str = ""
    seen: Q | None = None  # what the reader may see at all; None: everything

    @property
    def within_time_only(self) -> bool:
        """What it leaves is one piece of the chain."""
        return replace(self, since=None, until=None) == Filter()


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: the ``before`` of the following page. ``searched_to``: the lowest number that was looked at, where the
    page ended because enough was looked through."""

    entries: list[AuditEntry]
    next: int | None
    searched_to: int | None = None


def page(wanted: Filter, before: int | None, limit: int) -> Page:
    low, high = bounds(wanted)
    if before is not None:
        high = min(high, before - 1)
    if high < low:
        return Page([], None)
    if wanted.seen is not None:
        return page_by_stretches(wanted, low, high, limit)
    if wanted.text or len([one for one in (wanted.actor, wanted.action, wanted.site) if one]) > 1:
        if wanted.run is None:
            return page_by_stretches(wanted, low, high, limit)
    elif wanted.action.endswith(".") and wanted.run is None:
        return page_by_actions(wanted, low, high, limit)
    rows = matching(wanted).filter(seq__gte=low, seq__lte=high).order_by("-seq")
    return full_page(list(rows[: limit + 1]), limit)


def full_page(found: list[AuditEntry], limit: int) -> Page:
    return Page(found[:limit], found[limit - 1].seq if len(found) > limit else None)


def bounds(wanted: Filter) -> tuple[int, int]:
    """The numbers that the times leave. Times never run back along the numbers, so two index look-ups tell."""
    by_time = AuditEntry.objects.order_by("at", "seq")
    newest = AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    low, high = 1, newest
    if wanted.since is not None:
        low = by_time.filter(at__gte=wanted.since).values_list("seq", flat=True).first() or newest + 1
    if wanted.until is not None:
        high = by_time.reverse().filter(at__lte=wanted.until).values_list("seq", flat=True).first() or 0
    return low, high


def matching(wanted: Filter) -> QuerySet[AuditEntry]:
    """All but the times."""
    rows = AuditEntry.objects.all() if wanted.seen is None else AuditEntry.objects.filter(wanted.seen)
    if wanted.run is not None:
        rows = rows.filter(run_id=wanted.run)
    if wanted.actor:
        rows = rows.filter(actor=wanted.actor)
    if wanted.site:
        rows = rows.filter(site=wanted.site)
    if wanted.action.endswith("."):
        rows = rows.filter(action__in=actions(wanted.action))
    elif wanted.action:
        rows = rows.filter(action=wanted.action)
    if wanted.text:
        rows = rows.annotate(payload_text=Cast("payload", TextField())).filter(text_condition(wanted.text))
    return rows


def text_condition(text: str) -> Q:
    """In the subject, or in the payload as the database writes its JSON (SQLite's is escaped to ASCII)."""
    escaped = json.dumps(text, ensure_ascii=connection.vendor == "sqlite")[1:-1]
    return Q(subject__icontains=text) | Q(payload_text__icontains=escaped)


def actions(beginning: str) -> list[str]:
    """The actions there are with this beginning; one look-up of the index each, as there are few."""
    found, last = [], ""
    rows = AuditEntry.objects.order_by("action").values_list("action", flat=True)
    while (action := rows.filter(action__gt=last).first()) is not None:
        if action.startswith(beginning):
            found.append(action)
        last = action
    return found


def page_by_actions(wanted: Filter, low: int, high: int, limit: int) -> Page:
    """The newest of each action, merged: a beginning such as “run.” fits many actions and is no range of an index."""
    within = AuditEntry.objects.filter(seq__gte=low, seq__lte=high).order_by("-seq").values_list("seq", flat=True)
    runs = [list(within.filter(action=action)[: limit + 1]) for action in actions(wanted.action)]
    numbers = list(islice(heapq.merge(*runs, reverse=True), limit + 1))
    return full_page(list(AuditEntry.objects.filter(seq__in=numbers).order_by("-seq")), limit)


def page_by_stretches(wanted: Filter, low: int, high: int, limit: int) -> Page:
    """Each stretch is as long as the one before shows that the time left is enough for: a busy database is asked for
    less, and the page ends in time all the same."""
    found: list[AuditEntry] = []
    rows, top, length = matching(wanted).order_by("-seq"), high, FIRST_STRETCH
    began = time.monotonic()
    until = began + PATIENCE_S
    while True:
        bottom = max(low, top - length + 1)
        found += rows.filter(seq__gte=bottom, seq__lte=top)[: limit + 1 - len(found)]
        if len(found) > limit:
            return full_page(found, limit)
        if bottom == low:
            return Page(found, None)
        now = time.monotonic()
        top, length = bottom - 1, min(STRETCH, int(length * (until - now) / max(now - began, 1e-6)))
        if length < SHORTEST_STRETCH:
            return Page(found, next=top + 1, searched_to=top + 1)
        began = now
