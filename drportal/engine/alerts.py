"""When somebody is to be told: which conditions hold, since when, and what that means for each rule.

Pure: conditions, what is open and the clock are arguments. A condition is told once when it has held for as long as its
rule says, and once more when it is over; while it goes on nothing is repeated.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo


class AlertKind(enum.StrEnum):
    EXPOSURE = "exposure"
    TWO_PRIMARIES = "two_primaries"
    DAEMON_DEAD = "daemon_dead"
    READINESS_LOST = "readiness_lost"
    RUN_WAITS = "run_waits"
    APPROVAL_ASKED = "approval_asked"
    GLASS_BROKEN = "glass_broken"
    SITE_SILENT = "site_silent"
    WITNESS_LOST = "witness_lost"
    PORTAL_BLIND = "portal_blind"
    RECORDS_DIFFER = "records_differ"
    PROGRAM_DIFFERS = "program_differs"
    STRANGER_AT_SITE = "stranger_at_site"
    RUNS_TWICE = "runs_twice"
    LOST_SITE_BACK = "lost_site_back"


KIND_SENTENCES = {
    AlertKind.EXPOSURE: "A group's exposure is beyond its RPO target, has no bound, or cannot be told.",
    AlertKind.TWO_PRIMARIES: "An image can be written at both sites.",
    AlertKind.DAEMON_DEAD: "No mirroring daemon is heard of at a site.",
    AlertKind.READINESS_LOST: "A plan that was verified is not any more, or cannot be checked.",
    AlertKind.RUN_WAITS: "A run waits for a person.",
    AlertKind.APPROVAL_ASKED: "An approval is asked for.",
    AlertKind.GLASS_BROKEN: "One person began a disaster failover alone.",
    AlertKind.SITE_SILENT: "A part of a site does not answer.",
    AlertKind.WITNESS_LOST: "A witness at a third place cannot be asked what it sees.",
    AlertKind.PORTAL_BLIND: "The portal's poller does not watch a pair of sites.",
    AlertKind.RECORDS_DIFFER: "A site's receipt of an act and the portal's trail say different things.",
    AlertKind.PROGRAM_DIFFERS: "The site program installed at a site is not the portal's own, or reaches other pools.",
    AlertKind.STRANGER_AT_SITE: "Somebody who is not this portal speaks to a site's program.",
    AlertKind.RUNS_TWICE: "A VM runs at both sites.",
    AlertKind.LOST_SITE_BACK: "A site that was lost in a disaster failover is back.",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so now. ``key`` names it among its kind: the same key later is the same condition."""

    kind: AlertKind
    key: str
    sentence: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """A condition that held at the last look. ``fired``: its rule's patience has run out and people were to be told."""

    key: str
    began_at: dt.datetime
    fired: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """``begin``: new ones to remember; ``fire``: keys to tell of now; ``end``: keys that are over."""

    begin: tuple[Condition, ...]
    fire: tuple[str, ...]
    end: tuple[str, ...]


def decide(
    kind: AlertKind, for_s: float, conditions: Iterable[Condition], known: Sequence[OpenAlert], now: dt.datetime
) -> Decision:
    """What a rule makes of this look."""
    holding = {condition.key: condition for condition in conditions if condition.kind is kind}
    begun = {alert.key: alert for alert in known}
    begin = tuple(holding[key] for key in sorted(holding.keys() - begun.keys()))
    due = [
        key
        for key, alert in begun.items()
        if key in holding and not alert.fired and (now - alert.began_at).total_seconds() >= for_s
    ]
    due += [condition.key for condition in begin if for_s <= 0]
    return Decision(begin, tuple(sorted(due)), tuple(sorted(begun.keys() - holding.keys())))


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day to another in a zone, past midnight where the second is the smaller. Equal: never."""

    begin: dt.time
    end: dt.time
    zone: str

    def until(self, now: dt.datetime) -> dt.datetime | None:
        """When they end, if it is quiet now."""
        here = now.astimezone(ZoneInfo(self.zone))
        if not self._holds(here.time()):
            return None
        end = here.replace(hour=self.end.hour, minute=self.end.minute, second=0, microsecond=0)
        if end <= here:
            end += dt.timedelta(days=1)
        return end.astimezone(dt.UTC)

    def _holds(self, at: dt.time) -> bool:
        if self.begin <= self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end
