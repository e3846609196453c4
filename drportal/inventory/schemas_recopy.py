"""How a copy that is made anew is told over HTTP."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

from ninja import Schema

from drportal.engine import recopy as engine
from drportal.engine.facts import SideFacts


class Recopy(Schema):
    """How far a copy is that is made anew (``state``: ``CopyState``). Null: not known. ``told_at``: when its daemon
    wrote the figures down, in whole percents of the image."""

    state: engine.CopyState
    total_bytes: int | None
    copied_bytes: int | None
    percent: int | None
    bytes_per_second: float | None
    eta_s: float | None
    told_at: dt.datetime | None
    sentence: str


def recopy_out(facts: SideFacts, size_bytes: int | None, now: dt.datetime) -> Recopy | None:
    found = engine.recopy(facts, size_bytes, now)
    return Recopy.model_construct(**asdict(found)) if found is not None else None
