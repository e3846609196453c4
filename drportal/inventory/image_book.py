"""From two readings to image rows and their verdicts, for thousands of images every few seconds.

The poller keeps what it wrote in memory, so that an image of which nothing is new costs a comparison. Only rows that
changed are written, and the others now and then, so that their ages stay honest.
"""

from __future__ import annotations

import datetime as dt
import enum
import heapq
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from drportal.drivers.base import ImageInfo, ImageRef, MirrorStatus, PoolReading
from drportal.drivers.names import is_good_name
from drportal.engine.exposure import Track, follow
from drportal.engine.facts import RoleFacts, Side, SideFacts
from drportal.engine.gaps import ImageGapFacts, image_gaps
from drportal.engine.verdicts import VerdictCode, VerdictPolicy
from drportal.inventory.bulk import update_rows
from drportal.inventory.changes import Change, image_changes, note, size_change
from drportal.inventory.exposure import Sampler, track_as_text, track_from_json
from drportal.inventory.facts import daemon_healthy, gap_to_json, peer_direction, side_as_text, side_from_json
from drportal.inventory.images import (
    POLICY,
    Readings,
    clock_skews,
    home_sides,
    judge,
    never_younger,
    updated_side,
    used_images,
)
from drportal.inventory.models import MirroredImage, SitePair
from drportal.inventory.reading import SiteReading

# An unchanged row is written again after this time: soon where that is cheap, else before its role grows too old.
REFRESH_SMALL_S, REFRESH_LARGE_S = 10.0, 55.0
SMALL = 500
# What is shown may be told larger than it is by this much, so that a row is not written for every second of proof.
POINT_STEP_S = 8.0
# Nothing is skipped whose verdict could change by age alone before the next look; what is older than ``OLD_S`` does not
# wait for its turn.
ROLE_SETTLED_S, STATUS_SETTLED_S, OLD_S = 60.0, 60.0, 68.0
# New figures and times of many images come at once, twice a minute. They are written down within this time, so many a
# round; what says something else is written at once. (A figure that waits makes an exposure larger, never smaller.)
FIGURES_WITHIN_S, FIGURES_AT_LEAST = 20.0, 500
LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)
FIGURES = ["side_a", "side_b", "protected_until", "track"]
NOTHING_KEPT: dict[str, Any] = {}
REST = [
    "global_id", "mode", "size_bytes", "verdict", "verdict_sentence", "primary_side", "two_primaries_since", "gaps",
    "changed_at", "gone_at",
]  # fmt: skip


class Due(enum.IntEnum):
    """What one side's answer has for an image that is known."""

    NOTHING = 0
    FIGURES = 1
    NEWS = 2


@dataclass(frozen=True, slots=True)
class Written:
    """``changed``: ids of rows whose content is news; ``verdicts``: whether any verdict is."""

    changed: tuple[int, ...]
    verdicts: bool


@dataclass(slots=True)
class View:
    """A pool as one side was just read; ``names`` for quick answers. ``pool`` None: not read, ``dark`` says whether the
    site is."""

    reading: SiteReading
    pool: PoolReading | None
    dark: bool
    names: frozenset[str]
    healthy: bool | None
    direction: str | None


@dataclass(slots=True)
class KnownSide:
    """One side of an image. ``said``: what its daemon said of it when it was ``heard`` last; ``role``: as last read, it
    may be unknown in between; ``info``: the very answer that the role is of."""

    facts: SideFacts
    role: RoleFacts | None
    heard: bool = False
    said: MirrorStatus | None = None
    info: ImageInfo | None = None


@dataclass(slots=True)
class Known:
    """An image as it is in the database, with its facts as values. (Ten thousand of them: no dicts here.)"""

    row: MirroredImage
    ref: ImageRef | None
    a: KnownSide
    b: KnownSide
    track: Track
    home: Side | None = None
    used: bool = False
    new: bool = False
    judged_at: dt.datetime = LONG_AGO
    stored_at: dt.datetime | None = None
    stored_point: dt.datetime | None = None
    stored_rest: tuple[Any, ...] = ()

    def at(self, side: Side) -> KnownSide:
        return self.a if side is Side.A else self.b

    @property
    def sides(self) -> dict[Side, SideFacts]:
        return {Side.A: self.a.facts, Side.B: self.b.facts}


class ImageBook:
    """All images of a pair. What is in memory is thrown away when a write fails or somebody else has written."""

    def __init__(self, pair: SitePair) -> None:
        self.pair = pair
        self._known: dict[tuple[str, str], Known] = {}
        self._as_of: dt.datetime | None = None
        self._loaded = False
        self._changes: dict[Side, list[Change]] = {}
        self._round_at: dt.datetime | None = None

    def round(
        self,
        readings: Readings,
        now: dt.datetime,
        policy: VerdictPolicy = POLICY,
        sampler: Sampler | None = None,
    ) -> Written:
        """Bring the rows up to the readings. A side without a reading, or dark in it, keeps its last facts.

        ``sampler`` is shown each image's exposure as it was at its worst, just before this look.
        """
        self._load_if_stale()
        self._add(listed(readings))
        views = self._views(readings)
        homes, used, skew_s = home_sides(self.pair), used_images(self.pair), clock_skews(self.pair, readings)
        sample_all = sampler is not None and sampler.wants_all(now)
        write, news, verdicts = [], [], False
        for known in self._in_turn(views, homes, used, now):
            row = known.row
            known.home, known.used, known.judged_at = homes.get(row.pk), row.pk in used, now
            verdict_before, point_before = row.verdict, row.protected_until
            changed = self._update(known, views, now, policy)
            known.track = follow(known.track, known.sides, skew_s)
            row.protected_until = known.track.point_at
            if sampler is not None:
                sampler.take(row, point_before, now)
            verdicts |= row.verdict != verdict_before
            if changed:
                news.append(row.pk)
            point = row.protected_until
            moved = point is None and known.stored_point is not None
            moved |= point is not None and _due(known.stored_point, point, POINT_STEP_S)
            if changed or moved or _due(known.stored_at, now, self._refresh_s):
                write.append(known)
        if sample_all and sampler is not None:
            for known in self._known.values():
                if known.judged_at != now:
                    sampler.take(known.row, known.row.protected_until, now)
        self._write(write, now)
        for side, changes in self._changes.items():
            note(self.pair.a if side is Side.A else self.pair.b, changes, now)
        self._changes = {}
        return Written(tuple(news), verdicts)

    def sides_of(self, pool: str, name: str) -> Mapping[Side, SideFacts]:
        """What is known of an image now; empty where it was never listed."""
        known = self._known.get((pool, name))
        return known.sides if known is not None else {}

    def _in_turn(
        self,
        views: Mapping[tuple[Side, str], View],
        homes: Mapping[int, Side],
        used: Collection[int],
        now: dt.datetime,
    ) -> list[Known]:
        """Whose answer is news; and of those with new figures, or with facts that grow old, the longest waiting."""
        at_once: list[Known] = []
        waiting: list[Known] = []
        for known in self._known.values():
            row = known.row
            if known.home is not homes.get(row.pk) or known.used is not (row.pk in used):
                at_once.append(known)
                continue
            due = max(_due_of(known, side, views.get((side, row.pool)), now) for side in Side)
            if due is Due.NEWS:
                at_once.append(known)
            elif due is Due.FIGURES or _due(known.stored_at, now, self._refresh_s):
                waiting.append(known)
        passed_s = FIGURES_WITHIN_S if self._round_at is None else (now - self._round_at).total_seconds()
        self._round_at = now
        most = max(FIGURES_AT_LEAST, math.ceil(len(self._known) * passed_s / FIGURES_WITHIN_S))
        if len(waiting) > most:
            waiting = heapq.nsmallest(most, waiting, key=lambda known: known.judged_at)
        return at_once + waiting

    @property
    def _refresh_s(self) -> float:
        return REFRESH_SMALL_S if len(self._known) <= SMALL else REFRESH_LARGE_S

    # --- rows

    def _load_if_stale(self) -> None:
        """Discovery writes the same rows; the pair says when it last did."""
        as_of = SitePair.objects.values_list("discovered_at", flat=True).get(pk=self.pair.pk)
        if self._loaded and as_of == self._as_of:
            return
        rows = MirroredImage.objects.filter(pair=self.pair)
        self._known = {(row.pool, row.name): self._from_row(row) for row in rows.iterator(chunk_size=1000)}
        self._as_of, self._loaded = as_of, True

    @staticmethod
    def _from_row(row: MirroredImage) -> Known:
        ref = ImageRef(row.pool, row.name) if is_good_name(row.pool) and is_good_name(row.name) else None
        a, b = side_from_json(row.side_a), side_from_json(row.side_b)
        track = track_from_json(row.track)
        for name in ("pool", "name", "global_id", "mode", "verdict", "verdict_sentence"):
            setattr(row, name, intern(getattr(row, name)))  # as the drivers have them
        _forget_json(row)
        return Known(row, ref, KnownSide(a, a.role), KnownSide(b, b.role), track, stored_point=row.protected_until)

    def _add(self, names: set[tuple[str, str]]) -> None:
        new = [MirroredImage(pair=self.pair, pool=pool, name=name) for pool, name in sorted(names - self._known.keys())]
        MirroredImage.objects.bulk_create(new, batch_size=500)
        for row in new:
            known = self._known[(row.pool, row.name)] = self._from_row(row)
            known.new = self._as_of is not None  # what a first look finds is no change

    @staticmethod
    def _write(knowns: list[Known], now: dt.datetime) -> None:
        """Where nothing but figures and times is new, these alone."""
        whole: list[MirroredImage] = []
        figures: list[MirroredImage] = []
        for known in knowns:
            row, known.stored_at, known.stored_point = known.row, now, known.row.protected_until
            row.side_a, row.side_b = side_as_text(known.a.facts), side_as_text(known.b.facts)
            row.track = track_as_text(known.track)
            rest = tuple(getattr(row, name) for name in REST)
            (figures if known.stored_rest == rest else whole).append(row)
            known.stored_rest = rest
        update_rows(whole, FIGURES + REST)
        update_rows(figures, FIGURES)
        for known in knowns:
            _forget_json(known.row)

    # --- one image

    def _views(self, readings: Readings) -> dict[tuple[Side, str], View]:
        views = {}
        for side, reading in readings.items():
            dark = reading.ssh.ok is False or reading.ceph.ok is False
            for pool in {*reading.pools, *(pool for pool, _ in self._known)}:
                found = reading.pools.get(pool)
                if found is None:
                    views[(side, pool)] = View(reading, None, dark, frozenset(), None, None)
                else:
                    names = frozenset(found.image_names)
                    views[(side, pool)] = View(
                        reading, found, False, names, daemon_healthy(found), peer_direction(found)
                    )
        return views

    def _update(
        self, known: Known, views: Mapping[tuple[Side, str], View], now: dt.datetime, policy: VerdictPolicy
    ) -> bool:
        """Set the row's fields; True when something other than times and ages is new."""
        row, ref, pair = known.row, known.ref, self.pair
        before, size_before = _told(known), row.size_bytes
        infos = []
        for side in Side:
            view = views.get((side, row.pool))
            if view is None:
                continue
            at = known.at(side)
            kept, said = at.facts, view.pool.statuses.get(row.name) if view.pool else None
            fresh = updated_side(kept, row.pool, row.name, ref, view.reading, now, names=view.names)
            at.facts = never_younger(kept, fresh)
            at.heard, at.said = True, said
            if ref is not None and (info := view.reading.infos.get(ref)) is not None:
                infos.append(info)
                at.info = info
        _set_identity(row, infos)
        judged = judge(known.sides, pair, known.home, now, policy, usable_name=ref is not None)
        self._note_changes(known, size_before)
        row.verdict, row.verdict_sentence = judged.code.value, intern(judged.sentence)
        row.primary_side = judged.primary_side.value if judged.primary_side else ""
        gone = all(facts.role is not None and not facts.role.exists for facts in known.sides.values())
        row.gone_at = (row.gone_at or now) if gone else None
        row.two_primaries_since = None if gone else contested_since(row.two_primaries_since, judged.code, known, now)
        facts = ImageGapFacts(str(row), known.used or bool(row.global_id), known.sides)
        found = [] if gone else image_gaps(facts, {Side.A: pair.a.name, Side.B: pair.b.name})
        row.gaps = [gap_to_json(gap) for gap in found]
        if before == _told(known):
            return False
        row.changed_at = now
        return True

    def _note_changes(self, known: Known, size_before: int | None) -> None:
        ref, pair = str(known.row), self.pair
        for side, site in ((Side.A, pair.a), (Side.B, pair.b)):
            at = known.at(side)
            role = at.facts.role
            if role is None or role is at.role:
                continue
            found = list(image_changes(ref, site.name, at.role, role, new=known.new))
            if grown := size_change(ref, size_before, known.row.size_bytes) if role.primary is not False else None:
                found.append(grown)
            if found:
                self._changes.setdefault(side, []).extend(found)
            at.role = role


def contested_since(since: dt.datetime | None, code: VerdictCode, known: Known, now: dt.datetime) -> dt.datetime | None:
    """When the image became primary at both sites, as long as nobody has seen that it is no longer."""
    if code is VerdictCode.TWO_PRIMARIES:
        return since or now
    read = [facts.role for facts in known.sides.values() if facts.reachable is True and facts.role is not None]
    resolved = len(read) == len(Side) and code is not VerdictCode.CANNOT_TELL
    return None if resolved else since


def write_images(pair: SitePair, readings: Readings, now: dt.datetime, policy: VerdictPolicy = POLICY) -> Written:
    """One round without a memory, for discovery."""
    return ImageBook(pair).round(readings, now, policy)


def listed(readings: Readings) -> set[tuple[str, str]]:
    """(pool, name) of every image that a side lists. A name that no column holds can't be protected anyway."""
    return {
        (pool, name)
        for reading in readings.values()
        for pool, found in reading.pools.items()
        for name in found.image_names
        if len(name) <= 200
    }


def _due_of(known: Known, side: Side, view: View | None, now: dt.datetime) -> Due:
    """Whether this side says what it said before, and nothing it said has grown old."""
    at = known.at(side)
    facts = at.facts
    if facts.reachable is False:
        return Due.NOTHING if view is None or (view.pool is None and view.dark) else Due.NEWS
    if known.ref is None or facts.role is None:
        return Due.NEWS
    if view is not None and (view.pool is None or _brings_news(known, side, view)):
        return Due.NEWS
    age_s = _oldest_s(facts, now)
    if age_s > OLD_S and known.row.verdict != VerdictCode.CANNOT_TELL.value:
        return Due.NEWS
    if view is not None and view.pool is not None:
        said = view.pool.statuses.get(known.row.name)
        if not at.heard or not _same(at.said, said):
            return Due.FIGURES if _words(at.said) == _words(said) else Due.NEWS
    return Due.FIGURES if facts.reachable is not True or age_s > min(ROLE_SETTLED_S, STATUS_SETTLED_S) else Due.NOTHING


def _brings_news(known: Known, side: Side, view: View) -> bool:
    """Whether an exact read of this image, or one of its pool, says something else than the one before."""
    at, ref, reading = known.at(side), known.ref, view.reading
    facts = at.facts
    assert ref is not None and facts.role is not None
    if (facts.daemon_healthy, facts.peer_direction) != (view.healthy, view.direction):
        return True
    if facts.role.exists is not (known.row.name in view.names):
        return True
    if reading.journals.get(ref) is not None:
        return True  # read because it matters, and what it proves of the exposure is news each time
    snapshots = reading.snapshots.get(ref)
    if snapshots is not None and (facts.snapshots is None or snapshots.snaps != facts.snapshots.snaps):
        return True
    info = reading.infos.get(ref)
    if info is not None and info is at.info:
        return False
    role = reading.role(ref)
    if role is not None and _role_told(role) != _role_told(facts.role):
        return True
    if info is not None:
        at.info = info
    return False


def _oldest_s(facts: SideFacts, now: dt.datetime) -> float:
    """How old the oldest is of what a verdict goes by: the role, and the status where its age is known."""
    role, status = facts.role, facts.status
    ages = [] if role is None else [(now - role.read_at).total_seconds()]
    if status is not None:
        ages.append(math.inf if status.age_s is None else status.age_s + (now - status.read_at).total_seconds())
    return max(ages, default=math.inf)


def _same(one: MirrorStatus | None, other: MirrorStatus | None) -> bool:
    """Whether both are the same words, written at the same time."""
    if one is other:
        return True
    if one is None or other is None:
        return False
    return (one.last_update_text, one.state, one.description) == (
        other.last_update_text,
        other.state,
        other.description,
    )


def _words(said: MirrorStatus | None) -> tuple[str, str] | None:
    """Without the figures, which change all the time."""
    return (said.state, said.description.split(", {", 1)[0]) if said else None


def _due(at: dt.datetime | None, now: dt.datetime, every_s: float) -> bool:
    return at is None or (now - at).total_seconds() >= every_s


def _forget_json(row: MirroredImage) -> None:
    """The facts are kept as values; their JSON is made when it is written."""
    row.side_a = row.side_b = row.track = NOTHING_KEPT


def _told(known: Known) -> tuple[Any, ...]:
    """What is news when it changes."""
    row = known.row
    sides = _side_told(known.a.facts), _side_told(known.b.facts)
    return sides, row.verdict, row.gone_at is None, row.size_bytes, row.gaps


def _side_told(facts: SideFacts) -> tuple[Any, ...]:
    """A side's facts without times and ages. While a primary is written to, its positions are figures, not news."""
    role, status, journal = facts.role, facts.status, facts.journal
    if role is not None and role.primary:
        journal = None
    return (
        facts.reachable,
        role and _role_told(role),
        status and (status.state, status.description, status.syncing),
        journal and (journal.local, journal.peer, journal.peer_registered),
        facts.snapshots and facts.snapshots.snaps,
        facts.daemon_healthy,
        facts.peer_direction,
    )


def _role_told(role: RoleFacts) -> tuple[Any, ...]:
    return role.exists, role.primary, role.mode, role.global_id, role.image_id, role.parent, role.features


def _set_identity(row: MirroredImage, infos: Iterable[ImageInfo]) -> None:
    for info in sorted(infos, key=lambda info: info.primary is True):  # the primary's word last, so that it counts
        row.size_bytes = info.size_bytes
        row.mode = info.mode.value if info.mode else ""
        row.global_id = info.global_id or ""
