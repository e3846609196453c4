"""The VM at home before a failback: what is found there decides what may be done with it.

Off or gone is where a failback begins. *Unknown* is OpenNebula's word for a VM that it has lost sight of, and says
nothing about its process: only a hypervisor that is watched and images that nobody has open do. One that runs is
never a place to go back to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from drportal.engine.facts import VmFacts, WatcherFacts
from drportal.engine.gate_base import FRESH_S, OFF_PHASES, GateId, GateResult, Reading, count

LOST_SIGHT = "UNKNOWN"
# States of a host of which OpenNebula hears: it would say that the VM runs if it did. DISABLED takes no new VM, and is
# listened to all the same.
HOST_HEARD = frozenset({"MONITORED", "MONITORING_MONITORED", "DISABLED", "MONITORING_DISABLED"})
HOST_OFFLINE = "OFFLINE"

MADE_ANEW = (
    "Terminate it there (onevm terminate): its persistent disks stay, and the failback makes it anew from its captured "
    "definition."
)
FENCE_IT = (
    "Nothing goes home while it runs there. Fence it (a run of this plan: Fence), or power it off there (onevm "
    "poweroff); then ask again."
)
NO_WORD = "The portal has no word for this state: look at it there (onevm show), and bring it to POWEROFF."


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The host on which OpenNebula placed a VM last. ``state_word`` empty: the front end has no such host any more."""

    name: str
    state_word: str
    read_at: dt.datetime


def lost_sight_of(vm: VmFacts | None) -> bool:
    return vm is not None and vm.phase == "stuck" and vm.state_word == LOST_SIGHT


def g_home(
    vm: VmFacts | None,
    host: HostFacts | None,
    watchers: Sequence[WatcherFacts] | None,
    now: dt.datetime,
    *,
    fresh_s: float = FRESH_S,
) -> GateResult:
    """What stands for the VM at home does not run, by proof. ``host`` and ``watchers`` (of each of its images there)
    are asked for only where OpenNebula says UNKNOWN; None: not read."""
    say = Reading(GateId.HOME, now)
    if vm is None:
        return say.unread("the VM's state at home")
    if stale := say.stale({"the VM's state at home": vm.read_at}, fresh_s):
        return stale
    say.facts.update(phase=vm.phase, state=vm.state_word)
    if vm.phase == "gone":
        return say.met("The VM is gone at home: it is made anew there from its captured definition.")
    if vm.phase in OFF_PHASES:
        return say.met(f"At home the VM is {vm.state_word}.")
    if lost_sight_of(vm):
        return _lost_sight(say, host, watchers, fresh_s)
    if vm.phase == "running":
        return say.not_met("At home the VM runs.", FENCE_IT, hopeless=True)
    return say.not_met(f"At home the VM is {vm.state_word}: it runs, or may run.", _way_off(vm))


def _lost_sight(
    say: Reading, host: HostFacts | None, watchers: Sequence[WatcherFacts] | None, fresh_s: float
) -> GateResult:
    if host is None or not watchers:
        return say.unread("the host of the VM at home" if host is None else "who has its images open at home")
    ages = {"the host at home": host.read_at, "who has its images open": min(seen.read_at for seen in watchers)}
    if stale := say.stale(ages, fresh_s):
        return stale
    foreign = sorted({who for seen in watchers for who in seen.foreign})
    say.facts.update(host=host.name, host_state=host.state_word, holders=len(foreign))
    lost = "At home OpenNebula has lost sight of the VM (UNKNOWN)"
    if foreign:
        return say.not_met(
            f"{lost}, and {count(len(foreign), 'client')} at home still hold(s) its images open: "
            f"{', '.join(foreign[:3])}. It may be its process.",
            "Find that client by its address and stop it. One that died is listed for up to 30 s.",
        )
    if host.state_word == HOST_OFFLINE:
        return say.not_met(
            f"{lost}. Its host {host.name} is set OFFLINE: nothing of it runs, and nothing can be told to that host.",
            "Give the VM up there (onevm recover --delete): its persistent disks stay, and the failback makes it anew. "
            "Or enable the host again (onehost enable).",
        )
    if host.state_word not in HOST_HEARD:
        word = host.state_word or "not known to OpenNebula any more"
        return say.not_met(
            f"{lost}, and its host {host.name or 'without a name'} is {word}: its process may still run there.",
            f"Bring {host.name or 'the host'} back until OpenNebula monitors it. Or cut its power, set it offline "
            "(onehost offline), and give the VM up (onevm recover --delete): the failback makes it anew.",
        )
    return say.met(
        f"{lost}. It has no process: its host {host.name} is monitored ({host.state_word}) and nobody but the mirror "
        "daemon has its images open. It is powered off first."
    )


def _way_off(vm: VmFacts) -> str:
    if vm.state_word.startswith("unknown("):
        return NO_WORD
    if vm.phase in {"suspended", "stopped"}:
        return f"Its saved memory would be resumed over a disk that has moved on. {MADE_ANEW}"
    if vm.phase in {"hold", "pending"}:
        return f"It waits to be started, and would be as soon as a host takes it. {MADE_ANEW}"
    if vm.phase == "moving":
        return "It is changing state: wait until it rests, then power it off."
    return f"Settle it in OpenNebula there (onevm recover), and see that no process of it is left. Or: {MADE_ANEW}"
