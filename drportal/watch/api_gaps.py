"""Protection gaps over HTTP."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from ninja import Field, Router, Schema

from drportal.api import needs
from drportal.audit.spreadsheets import A_TABLE, csv_file, csv_line
from drportal.engine.gap_base import Gap, GapCode, GapLevel
from drportal.inventory.schemas import Place, Places, SearchText, watched
from drportal.inventory.services import pair_get
from drportal.roles import Permission
from drportal.watch.gaps import KEPT, counts_of, gaps_chosen, place_of

router = Router()


class TypedOut(Schema):
    """A command to copy: at which site and on which host it is typed, and what it does. The portal never sends it."""

    text: str
    site: str
    host: str
    does: str


class GapOut(Schema):
    """``commands``: in the order in which they are typed. ``path``: the portal's page where the remedy is found."""

    code: GapCode
    level: GapLevel
    subject: str
    sentence: str
    remedy: str
    commands: list[TypedOut]
    path: str


class Gaps(Schema):
    """``total``: that fit. ``counts`` and ``codes``: over all gaps of the pair, whatever is chosen.

    ``watched`` false: this is old news.
    """

    items: list[GapOut]
    next: str | None
    total: int
    counts: dict[str, int]
    codes: dict[str, int]
    watched: bool
    polled_at: dt.datetime | None


@router.get("/pairs/{pair_id}/gaps", auth=needs(Permission.VIEW), response=Gaps)
def gap_list(
    request: HttpRequest,
    pair_id: int,
    level: GapLevel | None = None,
    code: GapCode | None = None,
    q: SearchText = "",
    cursor: Place = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 100,
) -> Any:
    """What keeps things from being protected, worst first, each with a remedy."""
    pair = pair_get(pair_id)
    found = KEPT.gaps_of(pair)
    chosen = gaps_chosen(found, level, code, q)
    page = [gap for gap in chosen if place_of(gap) > cursor][: limit + 1]
    return {
        "items": [asdict(gap) for gap in page[:limit]],
        "next": place_of(page[limit - 1]) if len(page) > limit else None,
        "total": len(chosen),
        "counts": counts_of(found),
        "codes": dict(Counter(gap.code.value for gap in found)),
        "watched": watched(pair, timezone.now()),
        "polled_at": pair.polled_at,
    }


@router.get("/pairs/{pair_id}/gaps/places", auth=needs(Permission.VIEW), response=Places)
def gap_place_list(
    request: HttpRequest,
    pair_id: int,
    level: GapLevel | None = None,
    code: GapCode | None = None,
    q: SearchText = "",
    every: Annotated[int, Field(ge=10, le=500)] = 100,
) -> Any:
    """The ``cursor`` of each page of ``every`` gaps but the first."""
    chosen = gaps_chosen(KEPT.gaps_of(pair_get(pair_id)), level, code, q)
    return {"items": [place_of(gap) for gap in chosen[every - 1 : -1 : every]]}


@router.get("/pairs/{pair_id}/gaps.csv", auth=needs(Permission.VIEW), openapi_extra=A_TABLE)
def gap_table(
    request: HttpRequest,
    pair_id: int,
    level: GapLevel | None = None,
    code: GapCode | None = None,
    q: SearchText = "",
) -> StreamingHttpResponse:
    """All gaps that fit, as a file for a spreadsheet."""
    pair = pair_get(pair_id)
    lines = gaps_as_csv(gaps_chosen(KEPT.gaps_of(pair), level, code, q))
    return csv_file(f"gaps-{pair.a.slug}-{pair.b.slug}-{timezone.now():%Y%m%d-%H%M}", lines)


COLUMNS = ("code", "level", "subject", "sentence", "remedy")


def gaps_as_csv(gaps: Iterable[Gap]) -> Iterator[str]:
    yield csv_line([*COLUMNS, "commands", "path"])
    for gap in gaps:
        commands = "\n".join(f"{one.site}, {one.host}: {one.text}" for one in gap.commands)
        yield csv_line([*(getattr(gap, column) for column in COLUMNS), commands, gap.path])
