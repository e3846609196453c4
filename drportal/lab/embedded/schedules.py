"""The mirror snapshot schedules of one site, and `rbd mirror snapshot schedule` as Ceph's manager answers it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_MINUTES = {"m": 1, "h": 60, "d": 1440, "": 1}
ALL_POOLS = "-"
Item = tuple[str, str]  # interval, time of day from which it counts ("" where any)


class BadSchedule(Exception):
    """The manager's own sentence; exit 22."""


@dataclass(slots=True)
class Schedules:
    """`kept`: the pool, an image of it, or ALL_POOLS -> what runs there. The nearest counts, those above it do not."""

    pool: str
    kept: dict[str, list[Item]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept[self.pool] = [("1m", "")]

    def minutes(self, image: str) -> int | None:
        """Between two snapshots of this image; None: none are taken."""
        found = next((self.kept[level] for level in self._levels(image) if level in self.kept), [])
        return min((_minutes(interval) for interval, _ in found), default=None)

    def _levels(self, image: str) -> list[str]:
        return [f"{self.pool}/{image}", self.pool, ALL_POOLS]

    def items(self, level: str) -> list[dict[str, str]]:
        return [_item(one) for one in sorted(self.kept.get(level, []))]

    def listed(self, level: str) -> list[dict[str, Any]]:
        """With `--recursive`: this level, those below it, and the one above it that counts where it has none."""
        above = next((one for one in (level, self.pool, ALL_POOLS) if one in self.kept), level)
        shown = [one for one in sorted(self.kept) if one == above or level in (ALL_POOLS, one.partition("/")[0], one)]
        return [{**_named(one), "items": self.items(one)} for one in shown]

    def add(self, level: str, interval: str, start: str) -> None:
        item = (_checked(interval), _clock(start))
        if item not in self.kept.setdefault(level, []):
            self.kept[level].append(item)

    def remove(self, level: str, interval: str, start: str) -> None:
        """An empty interval: all of the level."""
        gone = (_checked(interval), _clock(start)) if interval else None
        left = [one for one in self.kept.get(level, []) if gone is not None and one != gone]
        self.kept.pop(level, None)
        if left:
            self.kept[level] = left


def _named(level: str) -> dict[str, str]:
    pool, slash, image = level.partition("/")
    return {"pool": pool, "namespace": "" if slash else "-", "image": image or "-"}


def _item(one: Item) -> dict[str, str]:
    return {"interval": one[0], "start_time": one[1]}


def _minutes(interval: str) -> int:
    return int(interval.rstrip("mhd")) * _MINUTES[interval[-1] if interval[-1] in "mhd" else ""]


def _checked(interval: str) -> str:
    """In the largest unit that it is a whole number of, as it is kept."""
    if re.fullmatch(r"\d+[mhd]?", interval) is None:
        raise BadSchedule(f"Invalid interval ({interval})")
    minutes = _minutes(interval)
    unit, size = next((unit, size) for unit, size in (("d", 1440), ("h", 60), ("m", 1)) if minutes % size == 0)
    return f"{minutes // size}{unit}"


def _clock(start: str) -> str:
    if not start:
        return ""
    found = re.fullmatch(r"(\d{1,2}):(\d\d)(?::\d\d)?", start)
    if found is None:
        raise BadSchedule(f"Invalid start time {start}")
    return f"{int(found[1]):02}:{found[2]}:00"
