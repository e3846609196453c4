"""What every gate gives back, and how two readings of one gate, or of several subjects, are put together."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass

FRESH_S = 15.0
ROLE_FRESH_S = 10.0
HEARTBEAT_S = 60.0
"""rbd-mirror writes its status every 30 s; twice that without a word is a daemon that is gone or stuck."""
STUCK_AFTER_S = 60.0
"""A demotion arrives in 3 to 15 s when nothing is left to replay before it."""
CLOCK_SLACK_S = 2.0

OFF_PHASES = frozenset({"off", "undeployed", "gone"})
"""Phases without a process *and* without a saved memory image that would later write on with stale caches."""

FactValue = str | int | float | bool | None


class GateId(enum.StrEnum):
    OFF = "G-OFF"
    PATH = "G-PATH"
    SYNC = "G-SYNC"
    DEMOTED = "G-DEMOTED"
    PROMOTED = "G-PROMOTED"
    META = "G-META"
    ONE = "G-ONE"
    PEER_OFF = "G-PEER-OFF"
    RUNS = "G-RUNS"
    RETURN = "G-RETURN"
    FORCE = "G-FORCE"
    APPROVAL = "G-APPROVAL"
    FENCE = "G-FENCE"
    ALONE = "G-ALONE"
    PEER = "G-PEER"
    COPIED = "G-COPIED"
    FREE = "G-FREE"
    HOME = "G-HOME"


GATE_TITLES: dict[GateId, str] = {
    GateId.OFF: "VM is off and nobody holds its image open",
    GateId.PATH: "The copy is alive and able to receive a demotion",
    GateId.SYNC: "Nothing is left to replay",
    GateId.DEMOTED: "The demotion has arrived, whole, as the last word",
    GateId.PROMOTED: "Primary here, and not there",
    GateId.META: "The VM's definition is captured, fresh and unchanged",
    GateId.ONE: "Every disk is the mirrored image itself, and persistent",
    GateId.PEER_OFF: "The VM does not run at the other side",
    GateId.RUNS: "The VM runs at the other side",
    GateId.RETURN: "The source may be promoted again",
    GateId.FORCE: "The other side is silent and the copy was whole",
    GateId.APPROVAL: "A second person's yes names this command",
    GateId.FENCE: "The VM cannot run at the other side",
    GateId.ALONE: "Primary here, and the other side is not seen to be",
    GateId.PEER: "The copy that counts is whole, writable, and at the other side",
    GateId.COPIED: "The new copy is whole and follows",
    GateId.FREE: "No mirror daemon here holds the image",
    GateId.HOME: "What stands for the VM at home does not run",
}


class GateOutcome(enum.StrEnum):
    MET = "met"
    NOT_MET = "not_met"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One reading of a gate. ``facts``: the figures behind the sentence; keys ending in ``_s`` are ages and may differ
    between readings.

    ``hopeless``: waiting cannot make it true any more; ``remedy`` then says the way that works.
    """

    gate: GateId
    outcome: GateOutcome
    sentence: str
    facts: dict[str, FactValue]
    remedy: str | None = None
    hopeless: bool = False

    @property
    def met(self) -> bool:
        return self.outcome is GateOutcome.MET


def confirmed(previous: GateResult | None, current: GateResult) -> bool:
    """True when two consecutive readings agree that the gate is met, on the same figures. Needed before every
    destructive act."""
    if previous is None or previous.gate is not current.gate or not (previous.met and current.met):
        return False
    return _figures(previous) == _figures(current)


def all_of(gate: GateId, results: Iterable[tuple[str, GateResult]]) -> GateResult:
    """One result for several subjects (the images of a VM), each named: the worst outcome and the sentences of those
    not met."""
    named = list(results)
    if not named:
        return GateResult(
            gate, GateOutcome.CANNOT_TELL, "There was nothing to check, so nothing is shown.", {"subjects": 0}
        )
    open_ = [(name, result) for name, result in named if not result.met]
    facts: dict[str, FactValue] = {"subjects": len(named), "met": len(named) - len(open_)}
    for name, result in named:
        facts.update({f"{name}: {key}": value for key, value in result.facts.items()})
    if not open_:
        sentence = named[0][1].sentence if len(named) == 1 else f"{GATE_TITLES[gate]}: met for all {len(named)}."
        return GateResult(gate, GateOutcome.MET, sentence, facts)
    refused = [result for _, result in open_ if result.outcome is GateOutcome.NOT_MET]
    worst = GateOutcome.NOT_MET if refused else GateOutcome.CANNOT_TELL
    sentence = " ".join(f"{name}: {result.sentence}" for name, result in open_)
    remedy = " ".join(dict.fromkeys(result.remedy for _, result in open_ if result.remedy)) or None
    return GateResult(gate, worst, sentence, facts, remedy, any(result.hopeless for _, result in open_))


class Reading:
    """Collects the figures of one reading and words its result."""

    def __init__(self, gate: GateId, now: dt.datetime | None) -> None:
        self.gate = gate
        self.now = now
        self.facts: dict[str, FactValue] = {}

    def met(self, sentence: str) -> GateResult:
        return GateResult(self.gate, GateOutcome.MET, sentence, self.facts)

    def not_met(self, sentence: str, remedy: str | None, *, hopeless: bool = False) -> GateResult:
        return GateResult(self.gate, GateOutcome.NOT_MET, sentence, self.facts, remedy, hopeless)

    def cannot_tell(self, sentence: str, remedy: str | None) -> GateResult:
        return GateResult(self.gate, GateOutcome.CANNOT_TELL, sentence, self.facts, remedy)

    def unread(self, what: str) -> GateResult:
        return self.cannot_tell(
            f"Cannot tell: {what} could not be read.",
            "Nothing is done until it can be read. Check that the site answers.",
        )

    def stale(
        self, readings: dict[str, dt.datetime], fresh_s: float, *, not_before: dt.datetime | None = None
    ) -> GateResult | None:
        """None when every reading is fresh (and, where asked, not older than ``not_before``); else the *cannot tell*
        that says which is not."""
        assert self.now is not None
        for what, read_at in readings.items():
            age_s = (self.now - read_at).total_seconds()
            self.facts[f"{what}, age_s"] = round(age_s, 1)
            if age_s > fresh_s:
                return self.cannot_tell(
                    f"Cannot tell: {what}: read {span(age_s)} ago, and only {span(fresh_s)} counts.", "Read it again."
                )
            if age_s < -CLOCK_SLACK_S:
                return self.cannot_tell(
                    f"Cannot tell: {what}: the reading is dated {span(-age_s)} in the future.",
                    "Check the portal's clock.",
                )
            if not_before is not None and read_at < not_before:
                return self.cannot_tell(
                    f"Cannot tell: {what}: read before the source's role, so perhaps before the demotion.",
                    "Read it again.",
                )
        return None


def _figures(result: GateResult) -> dict[str, FactValue]:
    return {key: value for key, value in result.facts.items() if not key.endswith("_s")}


def count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
