"""Reads that cost much (they ask both sites, or walk the whole trail): per person one at a time, and not on and on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from drportal.errors import PortalError
from drportal.people.models import PacedRead


class TooOften(PortalError):
    status = 429
    code = "too_often"


@dataclass(frozen=True, slots=True)
class Pace:
    """``every_s``: between two beginnings. ``longest_s``: one that began longer ago ended without a word (its process
    was killed).
    """

    name: str
    what: str
    every_s: float
    longest_s: float


BOTH_SITES = Pace("both_sites", "Both sites are being read for you", 2, 60)
WHOLE_TRAIL = Pace("whole_trail", "The whole trail is being walked for you", 5, 900)


@contextmanager
def paced_read(user: User, pace: Pace) -> Iterator[None]:
    """Around the read. Raises TooOften."""
    kept = _begin(user, pace)
    try:
        yield
    finally:
        PacedRead.objects.filter(pk=kept.pk, started_at=kept.started_at).update(ended_at=timezone.now())


def _begin(user: User, pace: Pace) -> PacedRead:
    now = timezone.now()
    with transaction.atomic():
        known, new = PacedRead.objects.get_or_create(user=user, what=pace.name, defaults={"started_at": now})
        if new:
            return known
        row = PacedRead.objects.select_for_update().get(pk=known.pk)
        age_s = max(0.0, (now - row.started_at).total_seconds())
        if row.ended_at is None and age_s < pace.longest_s:
            raise _refusal(f"{pace.what} already. It was not begun a second time; wait until that is done.", 2)
        if age_s < pace.every_s:
            raise _refusal(f"{pace.what} at most every {pace.every_s:g} s. Nothing was read.", pace.every_s - age_s)
        row.started_at, row.ended_at = now, None
        row.save()
    return row


def _refusal(sentence: str, wait_s: float) -> TooOften:
    return TooOften(sentence, extra={"retry_after_s": math.ceil(wait_s)})
