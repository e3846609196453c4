"""How long it took until the service ran again, held against what was agreed (the RTO target). Pure."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass


class TimeWord(enum.StrEnum):
    WITHIN = "within"
    BEYOND = "beyond"
    NO_TARGET = "no_target"
    NOT_BACK = "not_back"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """``measured_s``: from ``since`` until the last VM was seen running; None where that is not known."""

    word: TimeWord
    target_s: int | None
    measured_s: float | None
    sentence: str


def recovery_time(
    target_s: int | None, since: dt.datetime | None, since_words: str, running: Sequence[dt.datetime | None]
) -> RecoveryTime:
    """``running``: when each VM that was to be brought back was seen running; None where it never was."""
    if not running:
        return RecoveryTime(TimeWord.NOT_MEASURED, target_s, None, "This run brought no VM back.")
    seen = [at for at in running if at is not None]
    if len(seen) < len(running):
        missing = f"{len(running) - len(seen)} of {len(running)} VMs were not seen running by this run"
        return RecoveryTime(TimeWord.NOT_BACK, target_s, None, f"{missing}: the service was not back.")
    if since is None:
        return RecoveryTime(TimeWord.NOT_MEASURED, target_s, None, f"Not known: {since_words}.")
    took = max(0.0, (max(seen) - since).total_seconds())
    said = f"{took:.0f} s from when {since_words} until the last VM was seen running"
    if target_s is None:
        return RecoveryTime(TimeWord.NO_TARGET, None, took, f"{said}; no target was agreed.")
    if took <= target_s:
        return RecoveryTime(TimeWord.WITHIN, target_s, took, f"{said}: within the target of {target_s} s.")
    beyond = f"{said}: {took - target_s:.0f} s beyond the target of {target_s} s."
    return RecoveryTime(TimeWord.BEYOND, target_s, took, beyond)
