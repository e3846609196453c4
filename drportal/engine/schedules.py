"""Snapshot schedules: what makes Ceph's manager take the mirror snapshots that alone are copied in snapshot mode.

Kept as Ceph tells them: one entry a level (all pools, a pool, an image), each with the intervals that run there. The
nearest level counts and those above it do not (``rbd_support``'s own rule); of several intervals the shortest.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHORTEST_S = 60
_UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "": 60}


class Level(enum.StrEnum):
    """Where a schedule was set, the nearest first."""

    IMAGE = "image"
    POOL = "pool"
    ALL_POOLS = "all_pools"


@dataclass(frozen=True, slots=True)
class Interval:
    """``start``: the time of day from which it counts; empty: any."""

    text: str
    start: str = ""

    @property
    def seconds(self) -> int | None:
        """None for what is no interval that we know of."""
        found = re.fullmatch(r"(\d{1,9})([mhd]?)", self.text)
        return int(found[1]) * _UNIT_S[found[2]] if found else None

    def __str__(self) -> str:
        return f"every {self.text}" + (f" from {self.start}" if self.start else "")


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """``image`` empty: of the whole level."""

    level: Level
    image: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Of one image: ``every_s`` between two snapshots, when the manager does its work; None: it can't be told."""

    level: Level
    every_s: int | None
    text: str


def text_of(intervals: Iterable[Interval]) -> str:
    return " and ".join(str(one) for one in sorted(intervals, key=lambda one: (one.seconds or 0, one.start)))


def _schedule(entry: ScheduleEntry) -> Schedule:
    known = [one.seconds for one in entry.intervals if one.seconds is not None]
    return Schedule(entry.level, min(known, default=None), text_of(entry.intervals))


class PoolSchedules:
    """Those of one pool at one site, ready to be asked of many images."""

    def __init__(self, entries: Iterable[ScheduleEntry]) -> None:
        self._own: dict[str, ScheduleEntry] = {}
        self._all: dict[Level, ScheduleEntry] = {}
        for entry in entries:
            if entry.level is Level.IMAGE:
                self._own[entry.image] = entry
            else:
                self._all[entry.level] = entry

    def of(self, image: str) -> Schedule | None:
        """None: nobody takes mirror snapshots of it by a clock."""
        own = self._own.get(image)
        return _schedule(own) if own else self.rest

    @property
    def rest(self) -> Schedule | None:
        """What counts for images without one of their own."""
        found = self._all.get(Level.POOL) or self._all.get(Level.ALL_POOLS)
        return _schedule(found) if found else None

    def told(self) -> Mapping[str, str]:
        """Image, or empty for those without one of their own -> in words. For telling what changed."""
        found = {name: text_of(entry.intervals) for name, entry in self._own.items()}
        return {**found, "": self.rest.text} if self.rest else found

    @property
    def own(self) -> int:
        """How many images have one of their own."""
        return len(self._own)


def short_enough(target_s: int) -> str | None:
    """An interval with which a target can be kept: half of it, so that the copying has time too. None: Ceph has none so
    short."""
    minutes = target_s // 2 // 60 or (1 if target_s > SHORTEST_S else 0)
    return f"{minutes}m" if minutes else None
