"""How far a copy is that is made anew, and how long it takes: from what its daemon wrote down, now and before.

rbd-mirror tells whole percents of the image's objects, twice a minute, in both modes. The bytes follow from the size
and are as exact as that. A rate is what passed between two percents that were seen. Snapshot mode also tells one, of
the bytes that were really read: a disk has holes, so that one is used only until a percent has passed.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from drportal.engine.facts import CopyLook, SideFacts, StatusFacts

KEPT = 8
# The daemon writes every 30 s: a figure that missed two of those is of the past.
STALE_S = 75.0


class CopyState(enum.StrEnum):
    NOT_BEGUN = "not_begun"
    COPYING = "copying"
    WHOLE = "whole"
    UNTOLD = "untold"  # begun, and nothing is said of it, or nothing new


@dataclass(frozen=True, slots=True)
class Recopy:
    """``told_at``: when the daemon wrote the figures down. None anywhere: not known."""

    state: CopyState
    total_bytes: int | None
    copied_bytes: int | None
    percent: int | None
    bytes_per_second: float | None
    eta_s: float | None
    told_at: dt.datetime | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Recopies:
    """All copies of a run. ``copied_bytes``: at least; of ``untold`` images it is not known."""

    whole: int
    copying: int
    not_begun: int
    untold: int
    total_bytes: int | None
    copied_bytes: int
    bytes_per_second: float | None
    eta_s: float | None
    told_at: dt.datetime | None
    sentence: str


def percents_seen(before: tuple[CopyLook, ...], status: StatusFacts | None) -> tuple[CopyLook, ...]:
    """The percents that were seen, with this status's. Empty when no copy is made any more: the next begins anew."""
    if status is None or status.copied_percent is None:
        return ()
    if status.written_at is None:
        return before
    look = CopyLook(status.written_at, status.copied_percent)
    if before and look.percent < before[-1].percent:
        return (look,)
    return before if before and look.percent == before[-1].percent else (*before, look)[-KEPT:]


def recopy(side: SideFacts, size_bytes: int | None, now: dt.datetime) -> Recopy | None:
    """None: by what was last heard no copy is being made here."""
    status = side.status
    if status is None or not (status.copied_percent is not None or (status.syncing and not status.caught_up_once)):
        return None
    percent, told_at = status.copied_percent, status.written_at
    copied = None if percent is None or size_bytes is None else size_bytes * percent // 100
    if why := _why_past(side, status, now):
        return Recopy(CopyState.UNTOLD, size_bytes, copied, percent, None, None, told_at, why)
    if percent is None:
        why = "It is being prepared, or its end is: no percent is told now."
        return Recopy(CopyState.COPYING, size_bytes, None, None, None, None, told_at, why)
    rate = _rate(side.copying, status, size_bytes)
    left_s = None if not rate or copied is None or size_bytes is None else (size_bytes - copied) / rate
    said = f"Some {percent} % is copied" + ("." if rate else "; how fast is not known yet.")
    return Recopy(CopyState.COPYING, size_bytes, copied, percent, rate, left_s, told_at, said)


def _why_past(side: SideFacts, status: StatusFacts, now: dt.datetime) -> str:
    """Empty where the figures are of now."""
    if side.reachable is False:
        return "The site does not answer: how far it is now is not known."
    if status.state.startswith("down"):
        return "The mirror daemon there does not answer: nothing is copied, as far as is known."
    if status.written_at is None:
        return "How old the figure is is not known."
    if (now - status.written_at).total_seconds() > STALE_S:
        return "The mirror daemon there has written nothing new: how far it is now is not known."
    return ""


def _rate(looks: tuple[CopyLook, ...], status: StatusFacts, size_bytes: int | None) -> float | None:
    """Up to when it was last written, so that a copy that stands still grows slower, not faster."""
    if size_bytes is not None and len(looks) > 1 and status.written_at is not None:
        passed_s = (status.written_at - looks[0].at).total_seconds()
        if passed_s > 0:
            return size_bytes * (looks[-1].percent - looks[0].percent) / 100 / passed_s
    return status.bytes_per_second or None


def together(copies: Sequence[Recopy]) -> Recopies:
    """The rate of all that are being copied, and the time left at that rate: only where each is known."""
    of = {state: [one for one in copies if one.state is state] for state in CopyState}
    going, untold = of[CopyState.COPYING], of[CopyState.UNTOLD]
    sizes = [one.total_bytes for one in copies]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    copied = sum(one.copied_bytes or 0 for one in copies)
    rates = [one.bytes_per_second for one in going]
    rate = None if not rates or None in rates else sum(rate for rate in rates if rate is not None)
    sure = rate and total is not None and not untold
    told = [one.told_at for one in (*going, *untold) if one.told_at is not None]
    counted = [
        (len(of[CopyState.WHOLE]), "whole"),
        (len(going), "being copied"),
        (len(of[CopyState.NOT_BEGUN]), "not begun"),
        (len(untold), "begun and not told of"),
    ]
    return Recopies(
        whole=len(of[CopyState.WHOLE]),
        copying=len(going),
        not_begun=len(of[CopyState.NOT_BEGUN]),
        untold=len(untold),
        total_bytes=total,
        copied_bytes=copied,
        bytes_per_second=rate,
        eta_s=(total - copied) / rate if sure and total is not None and rate else None,
        told_at=min(told, default=None),
        sentence=", ".join(f"{number} {word}" for number, word in counted if number) + ".",
    )
