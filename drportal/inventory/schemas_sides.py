"""How one side of an image is told over HTTP, and a copy that is made anew there."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

from ninja import Schema

from drportal.engine import recopy as engine
from drportal.engine.facts import SideFacts
from drportal.inventory.side_words import bytes_behind, position


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


class SideState(Schema):
    """One side of an image. ``primary`` null: not read or not mirrored. ``status_age_s``: since its daemon wrote it.

    ``bytes_behind``: in snapshot mode, still to come of the primary's newest snapshot, by the size of those before it.
    ``recopy``: while the copy here is made from nothing.
    """

    exists: bool | None
    primary: bool | None
    state: str | None
    description: str | None
    entries_behind: int | None
    bytes_behind: int | None
    recopy: Recopy | None
    features: list[str] | None
    parent: str | None
    position: str | None
    bytes_per_second: float | None
    eta_s: float | None
    status_age_s: float | None
    heard_at: dt.datetime | None
    reachable: bool | None


def side_state(facts: SideFacts, now: dt.datetime, size_bytes: int | None = None) -> SideState:
    status, role = facts.status, facts.role
    age_s = None
    if status is not None and status.age_s is not None:
        age_s = round(status.age_s + max(0.0, (now - status.read_at).total_seconds()), 1)
    return SideState.model_construct(
        exists=role.exists if role else None,
        primary=role.primary if role else None,
        state=status.state if status else None,
        description=status.description if status else None,
        entries_behind=status.entries_behind if status else None,
        bytes_behind=bytes_behind(status),
        recopy=recopy_out(facts, size_bytes, now),
        features=list(role.features) if role and role.features is not None else None,
        parent=role.parent if role else None,
        position=position(status),
        bytes_per_second=status.bytes_per_second if status else None,
        eta_s=status.eta_s if status else None,
        status_age_s=age_s,
        heard_at=facts.last_heard,
        reachable=facts.reachable,
    )
