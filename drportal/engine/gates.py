"""Gates: machine-checked conditions that stand before and after acts. Each is a pure function of facts and ``now``.

A gate says *met* only from facts that were read a moment ago; a fact that is missing or old gives *cannot tell*. Ceph's
exit 0 and its status texts are not proof of anything (``promote`` without ``--force`` loses data in both modes), so the
proofs here are positional.

For whoever reads the facts: read one after the other, the source's role *first*, then positions or snapshots. A
position that was read before the role might be from before the demotion, and is not accepted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from drportal.engine.facts import (
    DiskFacts,
    JournalFacts,
    Mode,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    VmFacts,
    WatcherFacts,
)
from drportal.engine.gate_base import (
    CLOCK_SLACK_S,
    FRESH_S,
    GATE_TITLES,
    HEARTBEAT_S,
    OFF_PHASES,
    ROLE_FRESH_S,
    STUCK_AFTER_S,
    GateId,
    GateOutcome,
    GateResult,
    Reading,
    all_of,
    confirmed,
    count,
    span,
)
from drportal.engine.gate_parts import (
    START_OVER,
    compare_positions,
    demoted_roles,
    demoted_snapshots,
    off_remedy,
    path_heartbeat,
    path_journal,
    path_roles,
    path_snapshots,
    stuck,
    sync_snapshots,
)
from drportal.engine.unfit import ONE_WAY_REMEDY, disk_trouble, disks_remedy, one_way

__all__ = [
    "FRESH_S",
    "GATE_TITLES",
    "HEARTBEAT_S",
    "OFF_PHASES",
    "ROLE_FRESH_S",
    "START_OVER",
    "STUCK_AFTER_S",
    "GateId",
    "GateOutcome",
    "GateResult",
    "all_of",
    "confirmed",
    "g_demoted",
    "g_meta",
    "g_off",
    "g_one",
    "g_path",
    "g_peer_off",
    "g_promoted",
    "g_return",
    "g_sync",
]


def g_off(
    vm: VmFacts | None,
    watchers: WatcherFacts | None,
    now: dt.datetime,
    *,
    fresh_s: float = FRESH_S,
    may_run: bool = True,
) -> GateResult:
    """The VM is off in OpenNebula *and* only the mirror daemon watches its image: a demote cuts a running writer off
    without warning. ``may_run``: its group runs here."""
    say = Reading(GateId.OFF, now)
    if vm is None or watchers is None:
        return say.unread("the VM's state" if vm is None else "the image's watchers")
    if stale := say.stale({"the VM's state": vm.read_at, "the image's watchers": watchers.read_at}, fresh_s):
        return stale
    say.facts.update(
        phase=vm.phase, state=vm.state_word, foreign_watchers=len(watchers.foreign), watchers=watchers.total
    )
    if vm.phase not in OFF_PHASES:
        return say.not_met(
            f"OpenNebula says {vm.state_word} ({vm.phase}), not powered off.",
            off_remedy(vm.phase, vm.state_word, may_run=may_run),
        )
    if watchers.foreign:
        who = ", ".join(watchers.foreign[:3])
        return say.not_met(
            f"The VM is off, but {count(len(watchers.foreign), 'client')} still hold(s) the image open: {who}.",
            "A client that died is listed for up to 30 s: wait. If it stays, find it by its address and stop it; it "
            "could still write.",
        )
    word = "OpenNebula has no such VM" if vm.phase == "gone" else f"The VM is {vm.state_word}"
    return say.met(f"{word}, and nobody but the mirror daemon holds the image open.")


def g_path(
    target: SideFacts,
    source: SideFacts,
    now: dt.datetime,
    *,
    fresh_s: float = FRESH_S,
    heartbeat_s: float = HEARTBEAT_S,
) -> GateResult:
    """Before a demote: a demotion can arrive at the target, and there is a whole copy to promote. Otherwise nobody
    would end up primary."""
    say = Reading(GateId.PATH, now)
    for side, name in ((source, "source"), (target, "target")):
        if side.reachable is not True:
            return say.unread(f"the {name} site, which does not answer,")
    if wrong := one_way((("the source", source), ("the target", target))):
        return say.not_met(wrong, ONE_WAY_REMEDY)
    if early := path_roles(say, target, source, fresh_s):
        return early
    if early := path_heartbeat(say, target.status, target.daemon_healthy, fresh_s, heartbeat_s):
        return early
    mode = source.role.mode if source.role else None
    if mode is None:
        return say.unread("how the image is mirrored (journal or snapshot)")
    if mode is Mode.JOURNAL:
        return path_journal(say, source.journal, fresh_s)
    return path_snapshots(say, target.snapshots, fresh_s)


def g_sync(
    mode: Mode,
    source_journal: JournalFacts | None,
    source_snaps: SnapshotFacts | None,
    target_snaps: SnapshotFacts | None,
    now: dt.datetime,
    *,
    fresh_s: float = FRESH_S,
) -> GateResult:
    """Nothing is left to replay, by positions. Only says something about the future when the VM is off (G-OFF)."""
    say = Reading(GateId.SYNC, now)
    if mode is Mode.JOURNAL:
        if source_journal is None:
            return say.unread("the journal's positions at the source")
        if stale := say.stale({"the journal's positions": source_journal.read_at}, fresh_s):
            return stale
        return compare_positions(say, source_journal, "The target has replayed everything")
    if source_snaps is None or target_snaps is None:
        return say.unread("the mirror snapshots at the " + ("source" if source_snaps is None else "target"))
    if stale := say.stale(
        {"the source's snapshots": source_snaps.read_at, "the target's snapshots": target_snaps.read_at}, fresh_s
    ):
        return stale
    return sync_snapshots(say, source_snaps, target_snaps)


def g_demoted(
    mode: Mode,
    source_role: RoleFacts | None,
    source_journal: JournalFacts | None,
    source_snaps: SnapshotFacts | None,
    target_role: RoleFacts | None,
    target_snaps: SnapshotFacts | None,
    now: dt.datetime,
    *,
    waited_s: float = 0.0,
    stuck_after_s: float = STUCK_AFTER_S,
    fresh_s: float = FRESH_S,
    role_fresh_s: float = ROLE_FRESH_S,
) -> GateResult:
    """The demotion has arrived at the target, whole, and is the last word: the only proof that an unforced promote
    loses nothing (I14).

    ``waited_s``: time since the demote was done. Positions and snapshots count only when read *after* the source's
    role.
    """
    say = Reading(GateId.DEMOTED, now)
    if early := demoted_roles(say, mode, source_role, target_role, fresh_s, role_fresh_s):
        return early
    assert source_role is not None
    say.facts["waited_s"] = round(waited_s, 1)
    late = waited_s >= stuck_after_s
    if mode is Mode.JOURNAL:
        if source_journal is None:
            return say.unread("the journal's positions at the source")
        if stale := say.stale(
            {"the journal's positions": source_journal.read_at}, fresh_s, not_before=source_role.read_at
        ):
            return stale
        result = compare_positions(
            say, source_journal, "The demotion has been replayed at the target, and nothing came after it"
        )
        return stuck(result, waited_s) if late and result.outcome is GateOutcome.NOT_MET else result
    if source_snaps is None or target_snaps is None:
        return say.unread("the mirror snapshots at the " + ("source" if source_snaps is None else "target"))
    ages = {"the source's snapshots": source_snaps.read_at, "the target's snapshots": target_snaps.read_at}
    if stale := say.stale(ages, fresh_s, not_before=source_role.read_at):
        return stale
    result = demoted_snapshots(say, source_snaps, target_snaps)
    return stuck(result, waited_s) if late and result.outcome is GateOutcome.NOT_MET else result


def g_promoted(
    target_role: RoleFacts | None, source_role: RoleFacts | None, now: dt.datetime, *, fresh_s: float = ROLE_FRESH_S
) -> GateResult:
    """``rbd info`` says primary here (``target_role``) and not primary there (``source_role``), both just now."""
    say = Reading(GateId.PROMOTED, now)
    if target_role is None or source_role is None:
        return say.unread("the role " + ("here" if target_role is None else "at the other side"))
    if stale := say.stale(
        {"the role here": target_role.read_at, "the role at the other side": source_role.read_at}, fresh_s
    ):
        return stale
    say.facts.update(
        primary_here=target_role.primary, primary_there=source_role.primary, exists_there=source_role.exists
    )
    if not target_role.exists:
        return say.not_met(
            "The image does not exist here.", "Find out who removed it before doing anything else with this image."
        )
    if target_role.primary is True and source_role.primary is True:
        return say.not_met(
            "TWO PRIMARIES: the image is writable at both sides.",
            "Start nothing. Stop every writer at one side first, then choose which copy survives.",
            hopeless=True,
        )
    if target_role.primary is not True:
        return say.not_met("The image is not primary here.", None)
    if source_role.exists and source_role.primary is None:
        return say.not_met(
            "The image is primary here, but at the other side an image of that name is not mirrored, so it is "
            "writable there.",
            "Find out what that image is before starting anything.",
        )
    gone = "" if source_role.exists else " (where it does not exist)"
    return say.met(f"rbd info says primary here and not primary at the other side{gone}.")


def g_meta(
    captured_at: dt.datetime | None,
    captured_version: int | None,
    current_hash: str | None,
    captured_hash: str | None,
    now: dt.datetime,
    max_age_s: float,
    *,
    gone: bool = False,
) -> GateResult:
    """The VM's definition is held at the other side, and is what the front end says now. ``captured_at``: last captured
    or confirmed. ``gone``: the home front end answered that it has no such VM any more, so nobody can confirm it; what
    was captured last is what it is made anew from."""
    say = Reading(GateId.META, now)
    say.facts.update(version=captured_version, captured_hash=captured_hash, current_hash=current_hash)
    if captured_at is None or captured_hash is None:
        return say.not_met("The VM's definition was never captured.", "Run a discovery of this site pair.")
    age_s = (now - captured_at).total_seconds()
    say.facts["age_s"] = round(age_s, 1)
    if gone:
        return say.met(
            f"The VM is gone at home. Version {captured_version} of its definition, last confirmed {span(age_s)} ago, "
            "is what it is made anew from."
        )
    if age_s < -CLOCK_SLACK_S:
        return say.cannot_tell("The captured definition is dated in the future.", "Check the portal's clock.")
    if current_hash is None:
        return say.unread("the VM's present definition")
    if current_hash != captured_hash:
        return say.not_met(
            f"The VM was changed since its definition was captured (version {captured_version}).",
            "Run a discovery, look at what changed, check again.",
        )
    if age_s > max_age_s:
        return say.not_met(
            f"The definition was last confirmed {span(age_s)} ago; the limit is {span(max_age_s)}.", "Run a discovery."
        )
    return say.met(f"Version {captured_version} of the definition was confirmed {span(age_s)} ago and is unchanged.")


def g_one(disks: Sequence[DiskFacts]) -> GateResult:
    """Each disk's SOURCE *is* the mirrored image, persistent, not a clone: what is moved is what the VM writes to."""
    say = Reading(GateId.ONE, None)
    say.facts["disks"] = len(disks)
    if not disks:
        return say.unread("the VM's disks")
    wrong = [f"disk {disk.disk_id} {why}" for disk in disks if (why := disk_trouble(disk))]
    say.facts["unfit"] = len(wrong)
    if wrong:
        return say.not_met(
            f"{count(len(wrong), 'disk')} of {len(disks)} cannot be moved: {'; '.join(wrong)}.",
            disks_remedy(disks),
            hopeless=True,
        )
    return say.met(f"{count(len(disks), 'disk')}: persistent, mirrored, no clone.")


def g_peer_off(vm: VmFacts | None, now: dt.datetime, *, fresh_s: float = FRESH_S) -> GateResult:
    """The VM is off or absent at the other side (I5). ``vm`` None means not read, never absent: absent is phase
    ``gone``."""
    say = Reading(GateId.PEER_OFF, now)
    if vm is None:
        return say.unread("the VM's state at the other side")
    if stale := say.stale({"the VM's state at the other side": vm.read_at}, fresh_s):
        return stale
    say.facts.update(phase=vm.phase, state=vm.state_word)
    if vm.phase not in OFF_PHASES:
        return say.not_met(
            f"At the other side the VM is {vm.state_word} ({vm.phase}): it runs, or may run.",
            off_remedy(vm.phase, vm.state_word, may_run=False),
        )
    word = "does not exist" if vm.phase == "gone" else f"is {vm.state_word}"
    return say.met(f"At the other side the VM {word}.")


def g_runs(vm: VmFacts | None, now: dt.datetime, *, fresh_s: float = FRESH_S) -> GateResult:
    """The VM runs at the other side: until then the copy here is the only one to go back to."""
    say = Reading(GateId.RUNS, now)
    if vm is None:
        return say.unread("the VM's state at the other side")
    if stale := say.stale({"the VM's state at the other side": vm.read_at}, fresh_s):
        return stale
    say.facts.update(phase=vm.phase, state=vm.state_word)
    if vm.phase != "running":
        word = "does not exist" if vm.phase == "gone" else f"is {vm.state_word}"
        return say.not_met(
            f"At the other side the VM {word}: the copy here is still what could be gone back to.",
            "Start it there, or skip this step and retire the copy by hand later.",
        )
    return say.met("At the other side the VM runs.")


def g_return(
    source_role: RoleFacts | None,
    target_role: RoleFacts | None,
    own_demotion_recorded: bool,
    target_promote_ever_sent: bool,
    now: dt.datetime,
    *,
    fresh_s: float = ROLE_FRESH_S,
) -> GateResult:
    """After an abort: the source was demoted by us and nothing was ever promoted elsewhere, so the source still has the
    last write.

    ``target_promote_ever_sent``: a promote was sent to the target since that demotion and is not known to have been
    refused.
    """
    say = Reading(GateId.RETURN, now)
    say.facts.update(own_demotion_recorded=own_demotion_recorded, target_promote_ever_sent=target_promote_ever_sent)
    if source_role is None or target_role is None:
        return say.unread("the role at the " + ("source" if source_role is None else "target"))
    if stale := say.stale(
        {"the role at the source": source_role.read_at, "the role at the target": target_role.read_at}, fresh_s
    ):
        return stale
    say.facts.update(source_primary=source_role.primary, target_primary=target_role.primary)
    if not source_role.exists or source_role.primary is None:
        return say.not_met(
            "At the source the image is missing or not mirrored.",
            "Investigate before doing anything else with this image.",
            hopeless=True,
        )
    if target_role.primary is True:
        return say.not_met(
            "The target is primary: promoting the source again would make two primaries.",
            "Finish the move for this VM, or bring it home later by a failback.",
            hopeless=True,
        )
    if target_role.exists and target_role.primary is None:
        return say.not_met(
            "At the target the image is not mirrored any more, so it may be written to there.",
            "Investigate.",
            hopeless=True,
        )
    if source_role.primary is True:
        return say.not_met("The source is primary already; there is nothing to promote.", None)
    if target_promote_ever_sent:
        return say.not_met(
            "A promote was sent to the target since the demotion: the target may have been written to.",
            "Go forward: let the target become primary, then fail back.",
            hopeless=True,
        )
    if not own_demotion_recorded:
        return say.not_met(
            "This run has no record of having demoted the image at the source, so it is not shown that the source "
            "has the last write.",
            "Compare the two copies by hand before promoting either.",
            hopeless=True,
        )
    return say.met(
        "The source was demoted by this run, no promote was sent to the target, and neither side is primary."
    )
