"""What changed between the evidence that was frozen and a look taken now, and the loss that was said before the act.

Evidence is JSON: ``{"images": {key: {field: value}}, "vms": {…}}``. Ages and times of reading are never compared.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MATERIAL = (
    "name",
    "mode",
    "global_id",
    "image_id",
    "exists_here",
    "primary_here",
    "other_side_answers",
    "other_side_primary",
    "whole_copy",
    "newest_complete_snapshot",
    "replayed_position",
)
"""Fields of an image of which each is a reason for a yes: when one differs, the yes was to something else. A replayed
position that moves means that the other side still writes, so it is not gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``then``/``now`` None: the image (or the field) was not there."""

    subject: str
    field: str
    then: Any
    now: Any


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every material difference between two collections of evidence, images in order of their keys."""
    before, after = then["images"], now["images"]
    found = []
    was_seen, is_seen = _seen_alive(then), _seen_alive(now)
    if was_seen != is_seen:
        found.append(Difference(str(now.get("source", "")), "seen_alive_by_the_other_site", was_seen, is_seen))
    for key in sorted(before.keys() | after.keys()):
        was, is_ = before.get(key), after.get(key)
        name = str((is_ or was)["name"])
        if was is None or is_ is None:
            found.append(Difference(name, "image", was and was["name"], is_ and is_["name"]))
            continue
        found += [
            Difference(name, field, was.get(field), is_.get(field))
            for field in MATERIAL
            if was.get(field) != is_.get(field)
        ]
    return tuple(found)


def _seen_alive(content: Mapping[str, Any]) -> bool:
    """Evidence that was taken before there was a second view has none."""
    return bool((content.get("second_view") or {}).get("alive"))


@dataclass(frozen=True, slots=True)
class Loss:
    """``seconds``: the writes of at most that long before contact was lost are missing at the copy; None: no bound."""

    seconds: float | None
    sentence: str


def image_loss(point_at: dt.datetime | None, silent_since: dt.datetime | None) -> Loss:
    """The bound of one image. ``point_at``: whatever was acknowledged before is shown to be at the copy (``exposure``).

    ``silent_since``: when the other side was first found silent. Whatever it wrote after that is lost too, and nobody
    here can know whether it wrote: that is said, not computed.
    """
    if point_at is None:
        return Loss(None, "No bound: it was never shown up to when the copy is whole.")
    if silent_since is None:
        return Loss(None, f"The copy is whole up to {point_at:%H:%M:%S} UTC; when contact was lost is not known.")
    seconds = max(0.0, (silent_since - point_at).total_seconds())
    return Loss(
        seconds,
        f"The copy is whole up to {point_at:%Y-%m-%d %H:%M:%S} UTC: at most the writes of the {seconds:.0f} s before "
        "contact was lost, and whatever the other side has written since.",
    )


def spread_s(points: Sequence[dt.datetime | None]) -> float | None:
    """How far apart the points of one VM's disks are, seconds: its guest would see disks of different times.

    None where a point is not known.
    """
    known = [point for point in points if point is not None]
    if not known or len(known) < len(points):
        return None
    return (max(known) - min(known)).total_seconds()
