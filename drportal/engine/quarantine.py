"""Return quarantine: what a lost site's copies are, and do, when it is heard of again after a disaster failover.

Its images are *suspect primary*: nobody demoted them, and their VMs may run. Pure: what was read, and when, are
arguments; nothing here is read, and what was not read clears nobody.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drportal.engine.gate_base import OFF_PHASES
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.engine.verdicts import VerdictCode

CALM_S = 60.0
"""So long it has to stay quiet before it counts as over by itself: a mirror daemon that has just come back says that it
replays, and *split-brain* some seconds later (seen in snapshot mode)."""

FOLLOWS = frozenset({VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED, VerdictCode.BEHIND})


class QuarantineState(enum.StrEnum):
    WAITING = "waiting"
    CONTACT = "contact"
    CLEARED = "cleared"


class SignKind(enum.StrEnum):
    """What is seen at the returned site, the worst first."""

    RUNS_TWICE = "runs_twice"
    RUNS = "runs"
    WRITABLE = "writable"
    HELD_OPEN = "held_open"


@dataclass(frozen=True, slots=True)
class SuspectImage:
    """``primary_there``: at the returned site, None where it was not read since contact; ``holders``: who has it open
    there besides mirror daemons, None where that was not read. ``verdict``: of both sides, now."""

    key: str
    name: str
    primary_there: bool | None
    primary_here: bool | None
    holders: tuple[str, ...] | None
    verdict: VerdictCode


@dataclass(frozen=True, slots=True)
class SuspectVm:
    """``phase_there``: at the returned site, None where it was not read since contact; ``phase_here``: where the group
    runs, None where it has no VM there or that was not read."""

    key: str
    name: str
    phase_there: str | None
    state_word_there: str
    phase_here: str | None


@dataclass(frozen=True, slots=True)
class Sign:
    kind: SignKind
    subject: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """``quiet``: everything was read since contact, no VM runs there, and each image follows one that is primary."""

    signs: tuple[Sign, ...]
    unread: int
    quiet: bool


def outlook(site: str, survivor: str, images: Sequence[SuspectImage], vms: Sequence[SuspectVm]) -> Outlook:
    """What a look at the returned ``site`` shows; the group runs at ``survivor``."""
    signs = [*_vm_signs(site, survivor, vms), *_image_signs(site, survivor, images)]
    unread = sum(image.primary_there is None for image in images) + sum(vm.phase_there is None for vm in vms)
    stays = all(image.verdict in FOLLOWS for image in images)
    return Outlook(tuple(signs), unread, not signs and not unread and stays)


def _vm_signs(site: str, survivor: str, vms: Iterable[SuspectVm]) -> list[Sign]:
    twice, once = [], []
    for vm in vms:
        if vm.phase_there is None or vm.phase_there in OFF_PHASES:
            continue
        if vm.phase_there == "running" and vm.phase_here == "running":
            twice.append(Sign(SignKind.RUNS_TWICE, vm.name, f"{vm.name} runs at {site} and at {survivor}."))
        else:
            said = "runs" if vm.phase_there == "running" else f"is {vm.state_word_there}, which is not off,"
            once.append(Sign(SignKind.RUNS, vm.name, f"{vm.name} {said} at {site}."))
    return [*twice, *once]


def _image_signs(site: str, survivor: str, images: Iterable[SuspectImage]) -> list[Sign]:
    signs = []
    for image in images:
        if image.primary_there and image.primary_here is not False:
            also = f" and at {survivor}" if image.primary_here else ""
            signs.append(Sign(SignKind.WRITABLE, image.name, f"{image.name} can be written at {site}{also}."))
    for image in images:
        if image.holders and image.verdict not in FOLLOWS:
            said = f"{image.name} is held open at {site} by {', '.join(image.holders)}."
            signs.append(Sign(SignKind.HELD_OPEN, image.name, said))
    return signs


def calm_since(before: dt.datetime | None, seen: Outlook, now: dt.datetime) -> dt.datetime | None:
    """Since when nothing speaks against the returned site; None while something does."""
    return (before or now) if seen.quiet else None


def over(calm: dt.datetime | None, now: dt.datetime) -> bool:
    return calm is not None and (now - calm).total_seconds() >= CALM_S


def goes_before(kind: RunKind, other: RunKind, state: RunState) -> bool:
    """Whether a run of this kind may be begun although ``other`` holds the group: a fence, while the disaster failover
    rests. They share no site: the one sends commands only where the copies are suspect, the other only where they
    count. Every other pair would act on the same copies."""
    return kind is RunKind.FENCE and other is RunKind.DISASTER_FAILOVER and state is RunState.PAUSED


ALLOWED = frozenset({RunKind.REPROTECT, RunKind.FENCE})


def refusal(kind: RunKind, site: str, *, target_is_lost: bool, contact: bool) -> str:
    """Why a run of this kind is not begun while the quarantine of ``site`` lasts; empty where it may be.

    ``target_is_lost``: it would make the suspect copies the ones that count. A disaster failover that goes on *away*
    from the lost site is the same disaster: it may.
    """
    if kind in ALLOWED or (kind is RunKind.DISASTER_FAILOVER and not target_is_lost):
        return ""
    back = f"{site} is back" if contact else f"{site} has not been heard of since"
    way = (
        "Fence it, then make its copies anew (Reprotect); that ends the quarantine."
        if contact
        else f"When {site} is back: fence it, then make its copies anew (Reprotect); that ends the quarantine."
    )
    return f"Return quarantine: the copies at {site} were left behind as primary by a disaster failover; {back}. {way}"
