"""What would be lost now if the primary side went away: measured, and never shown smaller than it is.

The measure is a time: every write acknowledged before ``Track.point_at`` is shown to be at the copy, so at most the
writes since then are lost. It moves forward only on proof:

* journal mode: the primary's position of a known time has been reached by the copy. What a guest writes is in that
  position some seconds later (the writer commits every 5 s, the daemon rereads on notice; with a full write load a
  status was seen that knew nothing of it for 7 s), so ``JOURNAL_LAG_S`` is taken off. The time is known in two ways.
  The primary was asked itself. Or the copy's daemon tells a position that it did not tell before: it has found new
  words since it wrote the old ones, and was in touch at most ``BEAT_S`` before it found them. That it tells a position
  again proves nothing: its beat writes the same words with a new time for as long as nothing is replayed, and a daemon
  whose peer is dead, or whose line to it is cut, looks like one whose peer is idle;
* snapshot mode: a mirror snapshot of that time is complete at the copy. Its time is the primary's clock's.

Ceph's ``entries_behind_primary`` is a hint beside it, never the measure: it is up to 30 s old, and reads 0 when nobody
has looked.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from drportal.engine.facts import Mode, Position, Side, SideFacts
from drportal.engine.verdicts import CLOCK_SLACK_S, VerdictCode

JOURNAL_LAG_S = 20.0
# A mirror daemon's status is written this often, the old words again; and it finds new words for an image this long
# after it has replayed something, whether its peer is still there or not.
BEAT_S = 30.0
MAX_MARKS = 48


@dataclass(frozen=True, slots=True)
class Mark:
    """Whatever was acknowledged before ``at`` is in the primary's journal at or before ``position``."""

    at: dt.datetime
    position: Position


@dataclass(frozen=True, slots=True)
class Track:
    """What is remembered of one image between two looks.

    ``primary`` and ``copy_id`` (the copy's image id) say whose proof it is: another primary, or another copy of the
    same name, begins anew. ``point_at`` None: nothing is proven. Journal mode: ``told`` is what the copy's daemon knew
    of the primary's position in its last two statuses, and when they were written.
    """

    primary: Side | None = None
    copy_id: str | None = None
    point_at: dt.datetime | None = None
    marks: tuple[Mark, ...] = ()
    told: tuple[Mark, ...] = ()


class ExposureKind(enum.StrEnum):
    MEASURED = "measured"
    NOTHING = "nothing"
    UNBOUNDED = "unbounded"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Exposure:
    """``seconds`` is set for *measured* (at most the writes of that long) and *nothing* (0)."""

    kind: ExposureKind
    seconds: float | None
    sentence: str


_NO_COPY = frozenset({VerdictCode.TWO_PRIMARIES, VerdictCode.DIVERGED, VerdictCode.NOT_MIRRORED})


def exposure(code: VerdictCode, point_at: dt.datetime | None, now: dt.datetime, *, watched: bool = True) -> Exposure:
    """What would be lost now. It grows while nothing is heard: silence proves nothing.

    ``watched`` false: nobody has looked lately, and ``code`` is what was last seen. *Nothing* is true only of what is
    being looked at; what had no bound is not taken to have got one.
    """
    if code in _NO_COPY:
        return Exposure(
            ExposureKind.UNBOUNDED, None, "No bound: there is no copy that follows. Everything since it did is exposed."
        )
    if code is VerdictCode.HANDOVER_READY and watched:
        return Exposure(ExposureKind.NOTHING, 0.0, "Nothing: neither side is written to, and the copy is whole.")
    if point_at is None:
        if code is VerdictCode.NOT_YET_PROTECTED:
            return Exposure(ExposureKind.UNBOUNDED, None, "No bound: no complete copy has been shown yet.")
        return Exposure(
            ExposureKind.CANNOT_TELL, None, "Cannot tell: no look has shown yet how far the copy has followed."
        )
    seconds = max(0.0, (now - point_at).total_seconds())
    said = f"At most the writes since {point_at:%Y-%m-%d %H:%M:%S} UTC: everything before is shown to be at the copy."
    unseen = "" if watched else " That was last seen: nobody watches the sites now, so it only grows."
    return Exposure(ExposureKind.MEASURED, seconds, said + unseen)


def follow(track: Track, sides: Mapping[Side, SideFacts], skew_s: Mapping[Side, float | None]) -> Track:
    """The track after a look at the sides. ``skew_s``: how far each site's clock is ahead of the portal's."""
    primaries = [side for side in Side if _is_primary(sides[side])]
    if len(primaries) == 2:
        return Track()
    if not primaries:
        return track  # a handover, or nobody was heard yet: what was proven stays proven
    primary = primaries[0]
    copy = sides[primary.other]
    role = copy.role
    if role is not None and not role.exists:
        return Track(primary)
    copy_id = role.image_id if role else None
    if track.primary is not primary or (track.copy_id and copy_id and track.copy_id != copy_id):
        track = Track(primary, copy_id)
    if copy.status is not None and copy.status.caught_up_once is False:
        return Track(primary, copy_id)
    track = replace(track, copy_id=copy_id or track.copy_id)
    mode = sides[primary].role.mode if sides[primary].role else None  # type: ignore[union-attr]
    if mode is Mode.SNAPSHOT:
        return _follow_snapshots(track, copy, skew_s.get(primary))
    return _follow_journal(track, sides[primary], copy)


def _is_primary(facts: SideFacts) -> bool:
    return facts.role is not None and facts.role.primary is True


def _follow_snapshots(track: Track, copy: SideFacts, skew_s: float | None) -> Track:
    status = copy.status
    if status is None or status.copied_until is None or skew_s is None:
        return track
    # A clock is read in whole seconds, so it may be off by one, and so may the snapshot's time.
    point = status.copied_until - dt.timedelta(seconds=skew_s + CLOCK_SLACK_S)
    return replace(track, point_at=_later(track.point_at, point))


def _follow_journal(track: Track, primary: SideFacts, copy: SideFacts) -> Track:
    marks, held, told = list(track.marks), _held(primary, copy), _told(track.told, copy)
    for mark in _marks(track.told, told, primary):
        marks = _added(marks, mark)
    point = track.point_at
    if held is not None:
        reached = [mark.at for mark in marks if mark.position <= held]
        marks = [mark for mark in marks if mark.position > held]
        point = _later(point, max(reached, default=None))
    return replace(track, point_at=point, marks=tuple(_thinned(marks)), told=told)


def _told(before: tuple[Mark, ...], copy: SideFacts) -> tuple[Mark, ...]:
    """The newest status, and the one before it. A daemon never unlearns: an older position tells nothing."""
    status = copy.status
    if status is None or status.primary_position is None or status.age_s is None or status.age_s < 0:
        return before
    said = Mark(status.read_at - dt.timedelta(seconds=status.age_s), status.primary_position)
    if not before:
        return (said,)
    last = before[-1]
    another = said.at - last.at > dt.timedelta(seconds=BEAT_S / 2)
    if said.position < last.position or (said.position == last.position and not another):
        return before
    return (last, said) if another else (*before[:-1], said)


def _marks(before: tuple[Mark, ...], told: tuple[Mark, ...], primary: SideFacts) -> list[Mark]:
    found = []
    lag = dt.timedelta(seconds=JOURNAL_LAG_S + CLOCK_SLACK_S)
    if len(before) > 1 and told[-1].position > before[-1].position:
        # A status may have waited for its storage and is dated by that; the one before it had been written by then.
        since = min(before[0].at, told[-1].at) - dt.timedelta(seconds=BEAT_S)
        found.append(Mark(since - lag, told[-1].position))
    journal = primary.journal
    if journal is not None and journal.local is not None:
        found.append(Mark(journal.read_at - lag, journal.local))
    return found


def _held(primary: SideFacts, copy: SideFacts) -> Position | None:
    """The newest position that the copy is shown to have."""
    said = [
        copy.status.replayed if copy.status else None,
        primary.journal.peer if primary.journal and primary.journal.peer_registered else None,
    ]
    return max((position for position in said if position is not None), default=None)


def _added(marks: list[Mark], mark: Mark) -> list[Mark]:
    """A position that has not moved is true of the later time too."""
    kept = [old for old in marks if old.position < mark.position or (old.position > mark.position and old.at > mark.at)]
    same = [old for old in marks if old.position == mark.position]
    newest = max([mark, *same], key=lambda one: one.at)
    return sorted([*kept, newest], key=lambda one: one.at)


def _thinned(marks: list[Mark]) -> list[Mark]:
    """Fewer marks make the measure coarser, and only larger. The newest half stays; of the older, every other one."""
    if len(marks) <= MAX_MARKS:
        return marks
    half = len(marks) // 2
    return marks[:half:2] + marks[half:]


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max(filter(None, (one, other)), default=None)
