"""Protection gaps over HTTP."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from drportal.api import needs
from drportal.engine.gaps import GapCode, GapLevel
from drportal.inventory.schemas import watched
from drportal.inventory.services import pair_get
from drportal.roles import Permission
from drportal.watch.gaps import counts_of, gaps_of

router = Router()


class GapOut(Schema):
    """``where``: the site at which ``command`` is to be typed. The portal never sends it."""

    code: GapCode
    level: GapLevel
    subject: str
    sentence: str
    remedy: str
    command: str
    where: str


class Gaps(Schema):
    """``counts`` and ``codes``: over all gaps of the pair, whatever is chosen. ``watched`` false: this is old news."""

    items: list[GapOut]
    counts: dict[str, int]
    codes: dict[str, int]
    watched: bool
    polled_at: dt.datetime | None
    left_out: int


@router.get("/pairs/{pair_id}/gaps", auth=needs(Permission.VIEW), response=Gaps)
def gap_list(
    request: HttpRequest,
    pair_id: int,
    level: GapLevel | None = None,
    code: GapCode | None = None,
    q: Annotated[str, Field(max_length=200)] = "",
    limit: Annotated[int, Field(ge=1, le=1000)] = 500,
) -> Any:
    """What keeps things from being protected, worst first, each with a remedy."""
    pair = pair_get(pair_id)
    found = gaps_of(pair)
    chosen = [
        gap
        for gap in found
        if (level is None or gap.level is level)
        and (code is None or gap.code is code)
        and q.lower() in f"{gap.subject} {gap.sentence}".lower()
    ]
    return {
        "items": [asdict(gap) for gap in chosen[:limit]],
        "counts": counts_of(found),
        "codes": dict(Counter(gap.code.value for gap in found)),
        "watched": watched(pair, timezone.now()),
        "polled_at": pair.polled_at,
        "left_out": max(0, len(chosen) - limit),
    }
