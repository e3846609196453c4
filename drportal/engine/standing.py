"""Whether a plan's last readiness check still says something, and how long its runs take.

Pure: the checks and the runs are brought by the caller. A check is worth what it saw: as soon as something that it saw
is different, or it is old, the plan *needs verification*, whatever it said.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drportal.engine.readiness import ReadinessState
from drportal.engine.verdicts import VerdictCode

CHECK_EVERY_S = 15 * 60.0
OLD_AFTER_S = 2 * CHECK_EVERY_S
ENOUGH_RUNS = 5
# Between these an image goes to and fro by itself; a check holds for all of them.
FOLLOWS = frozenset({VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND})


class ReadinessStanding(enum.StrEnum):
    VERIFIED = "verified"
    NEEDS_VERIFICATION = "needs_verification"
    NOT_READY = "not_ready"


@dataclass(frozen=True, slots=True)
class Print:
    """What a check depends on, as known without asking the sites.

    ``definitions``: VM name -> number of its newest captured definition. ``images``: name -> verdict. ``sites``:
    name -> whether all of it answers. ``schedules``: image -> its snapshot schedules in words, where they are known.
    """

    plan_version: int
    active_site: str
    definitions: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    sites: Mapping[str, bool] = field(default_factory=dict)
    schedules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """``blockers``: findings that stand in the way, those included that cannot be told."""

    at: dt.datetime
    state: ReadinessState
    blockers: int
    print: Print


@dataclass(frozen=True, slots=True)
class PlanStanding:
    """``changed``: what is different since the check, a sentence each."""

    standing: ReadinessStanding
    sentence: str
    changed: tuple[str, ...] = ()


def standing(last: Checked | None, now_print: Print, now: dt.datetime) -> PlanStanding:
    if last is None:
        return PlanStanding(ReadinessStanding.NEEDS_VERIFICATION, "It was never checked.")
    changed = differences(last.print, now_print)
    age_s = (now - last.at).total_seconds()
    if not -5.0 <= age_s <= OLD_AFTER_S:
        changed = (f"The last check is {age_s / 60:.0f} min old.", *changed)
    if changed:
        return PlanStanding(
            ReadinessStanding.NEEDS_VERIFICATION, f"Changed since it was checked: {changed[0]}", changed
        )
    if last.state is ReadinessState.READY:
        return PlanStanding(ReadinessStanding.VERIFIED, "Checked, and nothing that it depends on has changed since.")
    word = "blocker" if last.blockers == 1 else "blockers"
    return PlanStanding(ReadinessStanding.NOT_READY, f"{last.blockers} {word}.")


def differences(then: Print, now: Print) -> tuple[str, ...]:
    """What a person should know has changed, in an order that does not jump."""
    found = []
    if then.plan_version != now.plan_version:
        found.append(f"The plan was changed (version {then.plan_version}, now {now.plan_version}).")
    if then.active_site != now.active_site:
        found.append(f"The group moved from {then.active_site} to {now.active_site}.")
    for name in sorted({*then.sites, *now.sites}):
        if then.sites.get(name) != now.sites.get(name):
            found.append(f"{name} {'answers again' if now.sites.get(name) else 'does not answer any more'}.")
    for name in sorted({*then.definitions, *now.definitions}):
        if then.definitions.get(name) != now.definitions.get(name):
            found.append(f"The definition of {name} is another one.")
    for name in sorted({*then.images, *now.images}):
        before, after = then.images.get(name), now.images.get(name)
        if coarse(before) != coarse(after):
            found.append(f"Image {name} was “{_word(before)}”, and is “{_word(after)}”.")
    for name in sorted(then.schedules.keys() & now.schedules.keys()):
        was, words = then.schedules[name], now.schedules[name]
        if was != words:
            found.append(f"The snapshot schedule of {name} was “{was}”, and is “{words}”.")
    return tuple(found)


def coarse(verdict: str | None) -> str | None:
    return "follows" if verdict in FOLLOWS else verdict


def _word(verdict: str | None) -> str:
    return "not in the group" if verdict is None else verdict.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds; None below ``ENOUGH_RUNS`` runs, because a guess would be taken for a measurement."""

    n: int
    p50_s: float | None
    p90_s: float | None
    newest_at: dt.datetime | None


def predict(runs: Sequence[tuple[dt.datetime, float]]) -> Prediction:
    """``runs``: (when it ended, how long it took) of completed runs of this plan in this direction."""
    newest = max((ended for ended, _ in runs), default=None)
    if len(runs) < ENOUGH_RUNS:
        return Prediction(len(runs), None, None, newest)
    took = sorted(seconds for _, seconds in runs)
    return Prediction(len(took), _rank(took, 0.5), _rank(took, 0.9), newest)


def _rank(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: always a duration that was measured."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
