"""Exposure over time: sampled by the poller, kept as the worst of each slot, thinned and dropped by age.

Bounded: an image has at most one row a day for ``KEEP_DAYS``, of ``FINE_S`` slots for ``FINE_DAYS`` and of ``COARSE_S``
slots after that (650 bytes and 54, ``slots.py``). Only the worst of a slot is kept: a thinned curve never shows less.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from pydantic import TypeAdapter

from drportal.engine.exposure import ExposureKind, Track, exposure
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.bulk import JsonText, batches, update_rows
from drportal.inventory.models import ExposureDay, MirroredImage
from drportal.inventory.slots import Slot, coarser, empty, slots_in, with_slot

DAY_S = 86_400
FINE_S, COARSE_S = 300, 3600
FINE_DAYS, KEEP_DAYS = 2, 32
FLUSH_EVERY_S = 60.0
SAMPLE_ALL_S = 30.0
SMALL = 1000  # subjects; larger inventories are written once a slot
THIN_AT_ONCE = 2000

_TRACK = TypeAdapter(Track)


def track_as_text(track: Track) -> JsonText:
    """As ``MirroredImage.track`` keeps it: written again and again, so without what is not known."""
    return JsonText(_TRACK.dump_json(track, exclude_defaults=True).decode())


def track_from_json(kept: Mapping[str, Any]) -> Track:
    """The way back; an empty object is an image of which nothing is proven."""
    return _TRACK.validate_python(kept) if kept else Track()


class Sampler:
    """Collects what the poller sees, and writes it down. One per pair and process.

    What was collected since the last flush is lost with the process: the curve then has a hole, which is shown as one.
    """

    def __init__(self, pair_id: int) -> None:
        self.pair_id = pair_id
        self._slot: dt.datetime | None = None
        self._looked_at: dt.datetime | None = None
        self._all_at: dt.datetime | None = None
        self._worst: dict[str, float] = {}
        self._unbounded: set[str] = set()
        self._untold: set[str] = set()
        self._flushed_at: dt.datetime | None = None
        self._thinned_on: dt.date | None = None

    def wants_all(self, now: dt.datetime) -> bool:
        """Whether this round should show every image: in between, those that did not move only grew."""
        due = self._all_at is None or self._slot != slot_of(now) or (now - self._all_at).total_seconds() >= SAMPLE_ALL_S
        if due:
            self._all_at = now
        return due

    def take(self, row: MirroredImage, point_before: dt.datetime | None, now: dt.datetime) -> None:
        """The exposure as it was until this look moved it. A pool's is the worst of its mirrored images that have a
        bound, and beside it whether one had none, or could not be told. (What nobody mirrors is a gap, or nobody's.)

        After a pause of our own only what this look proves counts: nobody knows how it was before.
        """
        if row.gone_at is not None or row.pk is None:
            return
        slot = slot_of(now)
        if self._slot is None:
            self._slot = slot
        elif slot != self._slot:
            self._write()
            self._slot = slot
        point = row.protected_until
        if point and point_before and self._looked_at and (now - self._looked_at).total_seconds() < FLUSH_EVERY_S:
            point = min(point, point_before)
        found = exposure(VerdictCode(row.verdict), point, now)
        for subject in (f"image:{row.pk}", f"pool:{row.pool}")[: 2 if row.global_id else 1]:
            if found.kind is ExposureKind.UNBOUNDED:
                self._unbounded.add(subject)
            elif found.seconds is None:
                self._untold.add(subject)
            else:
                self._worst[subject] = max(found.seconds, self._worst.get(subject, 0.0))

    def flush(self, now: dt.datetime) -> None:
        """At the end of a round: write what is due, and thin what has grown old."""
        self._looked_at = now
        due = self._flushed_at is None or (now - self._flushed_at).total_seconds() >= FLUSH_EVERY_S
        if due and len(self._subjects()) <= SMALL:
            self._write()
            self._flushed_at = now
        if self._thinned_on != now.date() and thin(self.pair_id, now.date()) < THIN_AT_ONCE:
            self._thinned_on = now.date()

    def _subjects(self) -> list[str]:
        """Those with figures in the order of the images, as their rows lie."""
        return [*self._worst, *((self._unbounded | self._untold) - self._worst.keys())]

    def _write(self) -> None:
        if self._slot is None:
            return
        day, place = self._slot.date(), second_of_day(self._slot) // FINE_S
        today = ExposureDay.objects.filter(pair=self.pair_id, day=day)
        for some in batches(self._subjects()):  # there may be ten thousand
            rows = {row.subject: row for row in today.filter(subject__in=some).only("subject", "packed", "step_s")}
            old, new = list(rows.values()), []
            for subject in some:
                row = rows.get(subject)
                if row is None:
                    row = ExposureDay(pair_id=self.pair_id, subject=subject, day=day, step_s=FINE_S)
                    row.packed = empty(DAY_S // FINE_S)
                    new.append(row)
                if row.step_s == FINE_S:
                    slot = Slot(self._worst.get(subject), subject in self._unbounded, subject in self._untold)
                    row.packed = with_slot(bytes(row.packed), place, slot)
            ExposureDay.objects.bulk_create(new)
            update_rows(old, ["packed"])
        self._worst, self._unbounded, self._untold = {}, set(), set()


def slot_of(now: dt.datetime) -> dt.datetime:
    return now - dt.timedelta(seconds=now.timestamp() % FINE_S)


def second_of_day(at: dt.datetime) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def thin(pair_id: int, today: dt.date) -> int:
    """Make old rows coarser and drop the oldest, some at a time. How many were touched.

    A coarser row is written anew, and not in the place of the fine one: what is left of that place would stay empty in
    SQLite's file, where the next day's rows are put behind the last (measured: 14 MB a day of ten thousand images).
    """
    rows = ExposureDay.objects.filter(pair=pair_id)
    dropped, _ = rows.filter(day__lt=today - dt.timedelta(days=KEEP_DAYS)).delete()
    due = list(rows.filter(day__lt=today - dt.timedelta(days=FINE_DAYS), step_s=FINE_S)[:THIN_AT_ONCE])
    with transaction.atomic():
        for some in batches([row.pk for row in due]):
            rows.filter(pk__in=some).delete()
        for row in due:
            row.packed, row.step_s = coarser(bytes(row.packed), COARSE_S // row.step_s), COARSE_S
            row.pk = None
        ExposureDay.objects.bulk_create(due, batch_size=500)
    return dropped + len(due)


# --- reading

PERIODS = {"day": 1, "week": 7, "month": 31}  # days back
MAX_POINTS = 600


@dataclass(frozen=True, slots=True)
class Worst:
    """Of one period: the worst figure, and in how many slots there was more than figures."""

    seconds: float | None
    at: dt.datetime | None
    unbounded_slots: int
    untold_slots: int
    slot_s: int


@dataclass(frozen=True, slots=True)
class Curve:
    """``points``: (start of slot, what was so in it); an empty slot where nobody looked."""

    step_s: int
    points: list[tuple[dt.datetime, Slot]]


Slots = dict[dt.datetime, Slot]


def slots_of(pair_id: int, subjects: Iterable[str], since: dt.datetime) -> Slots:
    """The worst over all the subjects in each slot that begins at ``since`` or later, as finely as it is kept."""
    found: Slots = {}
    for some in batches(list(subjects)):
        rows = ExposureDay.objects.filter(pair=pair_id, subject__in=some, day__gte=since.date())
        for row in rows.iterator():
            midnight = dt.datetime.combine(row.day, dt.time(), dt.UTC)
            for place, slot in slots_in(bytes(row.packed)):
                at = midnight + dt.timedelta(seconds=place * row.step_s)
                if at + dt.timedelta(seconds=row.step_s) > since:
                    found[at] = found.get(at, NOTHING_SEEN) | slot
    return found


NOTHING_SEEN = Slot()


def worst_of_slots(slots: Slots, since: dt.datetime) -> Worst:
    """The worst figure of the slots since then, and how often there was none."""
    within = {at: slot for at, slot in slots.items() if at >= since}
    known = {at: slot.seconds for at, slot in within.items() if slot.seconds is not None}
    at = max(known, key=lambda one: (known[one], one), default=None)
    return Worst(
        seconds=None if at is None else known[at],
        at=at,
        unbounded_slots=sum(slot.unbounded for slot in within.values()),
        untold_slots=sum(slot.untold for slot in within.values()),
        slot_s=FINE_S,
    )


def curve(slots: Slots, since: dt.datetime, until: dt.datetime) -> Curve:
    """At most ``MAX_POINTS`` points, each the worst of its span."""
    steps = [FINE_S, 900, COARSE_S, 2 * COARSE_S]
    span_s = (until - since).total_seconds()
    step_s = next((step for step in steps if span_s / step <= MAX_POINTS), steps[-1])
    first = math.floor(since.timestamp() / step_s)
    last = math.floor(until.timestamp() / step_s)
    worst_at: dict[int, Slot] = {}
    for at, slot in slots.items():
        place = math.floor(at.timestamp() / step_s)
        worst_at[place] = worst_at.get(place, NOTHING_SEEN) | slot
    points = [
        (dt.datetime.fromtimestamp(place * step_s, dt.UTC), worst_at.get(place, NOTHING_SEEN))
        for place in range(first, last + 1)
    ]
    return Curve(step_s, points)
