"""The fence ladder: how surely nothing can run or write at the site that was left.

A rung that nobody can reach, because the site is silent, is never demanded (I11): then a named person's word counts.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass


class FenceRung(enum.IntEnum):
    NONE = 0
    OFF = 1
    DEMOTED = 2
    LOCKED = 3
    SHUT_OUT = 4
    CUT = 5


RUNG_WORDS = {
    FenceRung.NONE: "not fenced",
    FenceRung.OFF: "VM off, nobody holds its images",
    FenceRung.DEMOTED: "images demoted",
    FenceRung.LOCKED: "VM and images locked and its host disabled in OpenNebula",
    FenceRung.SHUT_OUT: "whoever held its images shut out of Ceph",
    FenceRung.CUT: "power or network cut, attested by a named person",
}
PLANNABLE = (FenceRung.OFF, FenceRung.DEMOTED, FenceRung.LOCKED, FenceRung.SHUT_OUT)
"""What a plan may want done at a site that came back. The highest rung is a person's word, asked for where it is
silent."""

ATTESTABLE = {
    FenceRung.CUT: "power or network cut",
    FenceRung.OFF: "VMs seen to be off, nothing cut",
}
"""What a person can give their word for where the site is silent."""


@dataclass(frozen=True, slots=True)
class FenceSteps:
    """What a run has seen done at the returned site for one VM; of its images all of them."""

    off: bool
    demoted: bool
    shut_out: bool
    locked: bool = False


def reached(seen: FenceSteps) -> FenceRung:
    """The highest rung that holds. Shut out while the VM still counts as running is no less: it cannot write."""
    if seen.shut_out:
        return FenceRung.SHUT_OUT
    if seen.off and seen.demoted:
        return FenceRung.LOCKED if seen.locked else FenceRung.DEMOTED
    return FenceRung.OFF if seen.off else FenceRung.NONE


def reached_alone(vm_off: bool | None, attested: bool, word: FenceRung = FenceRung.CUT) -> FenceRung:
    """In a disaster. ``vm_off`` None: the site's OpenNebula does not answer. Its Ceph is silent in any case. ``word``:
    what a person attests, one of ``ATTESTABLE``."""
    seen = FenceRung.OFF if vm_off else FenceRung.NONE
    return max(seen, word) if attested else seen


def lowest(rungs: Iterable[FenceRung]) -> FenceRung:
    """Of several: a group is fenced as well as the worst of its VMs."""
    return min(rungs, default=FenceRung.NONE)


def rung_sentence(rung: FenceRung, wanted: FenceRung) -> str:
    said = f"Rung {rung.value}: {RUNG_WORDS[rung]}."
    return said if rung >= wanted else f"{said} The plan wants rung {wanted.value}: {RUNG_WORDS[wanted]}."


def below(reached: FenceRung, wanted: FenceRung, by: str, deviation: str) -> str:
    """Empty where the wanted rung is reached; else that it is not, and who goes on all the same and why."""
    if reached >= wanted:
        return ""
    said = f"That is rung {reached.value}; the plan wants rung {wanted.value}: {RUNG_WORDS[wanted]}."
    return f"{said} {by} goes on below it, because: {deviation}" if deviation else said


def floor_of(least: FenceRung, wanted: FenceRung) -> FenceRung:
    """Of a site that came back: how far below the plan's rung a reason may let a run go. No fence there does more than
    the plan wants."""
    return min(least, wanted)


def what_is_fenced(
    lost: str,
    wanted: FenceRung,
    attested_by: str,
    attestation: str,
    word: FenceRung = FenceRung.CUT,
    deviation: str = "",
    at: dt.datetime | None = None,
) -> tuple[str, ...]:
    """For who is asked to say yes to a disaster failover: what is done now, what cannot be, and what comes later."""
    when = f" at {at:%F %T} UTC" if at else ""
    said = (
        f"Nothing is sent to {lost}: while it is silent, rungs 1 to 4 cannot be reached there. A VM that its "
        "OpenNebula shows as not off keeps its images from being forced.",
        f"Rung {word.value}, {ATTESTABLE[word]}: attested by {attested_by}{when}: {attestation}",
        below(word, wanted, attested_by, deviation),
        f"When {lost} is back, the plan wants rung {wanted.value} there first: {RUNG_WORDS[wanted]}.",
    )
    return tuple(sentence for sentence in said if sentence)
