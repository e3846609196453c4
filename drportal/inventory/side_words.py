"""How far a copy is, in words and bytes, as its daemon wrote it down: hints beside the exposure, never the measure."""

from __future__ import annotations

import json
from typing import Any

from drportal.engine.facts import StatusFacts


def position(status: StatusFacts | None) -> str | None:
    """How far the copy is, in words, as its daemon wrote it down."""
    if status is None:
        return None
    if status.copied_until is not None:
        return f"whole up to the mirror snapshot of {status.copied_until:%Y-%m-%d %H:%M:%S} UTC"
    if status.replayed is None:
        return None
    told = f"tag {status.replayed.tag_tid} entry {status.replayed.entry_tid}"
    there = status.primary_position
    return f"{told}; the primary's: tag {there.tag_tid} entry {there.entry_tid}" if there else told


def bytes_behind(status: StatusFacts | None) -> int | None:
    """In snapshot mode: what is still to come of the primary's newest mirror snapshot. The daemon does not say how
    large that is, so those before it are taken for its measure. None: another mode, or not told.
    """
    told = _details(status)
    newest, here = told.get("remote_snapshot_timestamp"), told.get("local_snapshot_timestamp")
    if not isinstance(newest, int) or not isinstance(here, int):
        return None
    if here >= newest:
        return 0
    average, done = told.get("bytes_per_snapshot"), told.get("syncing_percent", 0)
    if not isinstance(average, int | float) or average <= 0 or not isinstance(done, int | float):
        return None
    return round(average * (1 - min(max(done, 0), 100) / 100))


def _details(status: StatusFacts | None) -> dict[str, Any]:
    """The figures that a daemon puts behind the words of its description."""
    brace = status.description.find("{") if status else -1
    if status is None or brace < 0:
        return {}
    try:
        found = json.loads(status.description[brace:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
