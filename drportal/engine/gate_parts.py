"""The parts that the gates are made of: comparing roles, positions and snapshots."""

from __future__ import annotations

from drportal.engine.facts import (
    JournalFacts,
    MirrorSnap,
    Mode,
    Position,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    StatusFacts,
)
from drportal.engine.gate_base import CLOCK_SLACK_S, GateResult, Reading, span

GIVE_UP = (
    "Terminate it there (onevm terminate): its persistent disks stay, and it is made anew from its captured definition "
    "when its group comes there again."
)


def off_remedy(phase: str, state_word: str, *, may_run: bool) -> str:
    """How a VM that is neither off nor gone is brought there. ``may_run``: it is where its group runs, so it may be
    started for a moment. Anywhere else that would make two of it, and OpenNebula powers off nothing but what runs."""
    if state_word.startswith("unknown("):
        end = "bring it to POWEROFF" if may_run else "see that it cannot run"
        return f"The portal has no word for this state: look at it there (onevm show), and {end}."
    if phase in {"moving", "running"}:
        return "It is changing state; wait until it rests." if phase == "moving" else "Power it off there."
    return (_OFF_WHERE_IT_RUNS if may_run else _OFF_ELSEWHERE).get(phase, "Power it off there.")


_OFF_WHERE_IT_RUNS = {
    "hold": "It waits to be released, and can't be powered off. Release it there (onevm release): what runs is powered "
    "off by the run. Or take it out of the group.",
    "pending": "It waits for a host: once it runs, it is powered off by the run. If no host takes it, OpenNebula says "
    "why (onevm show).",
    "suspended": "Its saved memory would be resumed over a disk that has moved on: resume it there, then power it off.",
    "stopped": "Its saved memory would be resumed over a disk that has moved on: resume it there, then power it off.",
    "stuck": "OpenNebula lost control of it: settle it there (onevm recover) and see that no process of it is left.",
}
_OFF_ELSEWHERE = {
    "hold": f"It has no process, and can't be powered off. Never release it: there would be two. {GIVE_UP}",
    "pending": f"It starts as soon as a host takes it, and then there are two: hold it at once (onevm hold). {GIVE_UP}",
    "suspended": f"Never resume it: there would be two, and its memory is of a disk that has moved on. {GIVE_UP}",
    "stopped": f"Never resume it: there would be two, and its memory is of a disk that has moved on. {GIVE_UP}",
    "stuck": "OpenNebula lost control of it: see that no process of it is left on its host. Never let it boot again "
    "(onevm recover --retry): there would be two.",
}


def _show(position: Position | None) -> str:
    return "none" if position is None else f"tag {position.tag_tid} entry {position.entry_tid}"


def compare_positions(say: Reading, journal: JournalFacts, done: str) -> GateResult:
    """Equal means whole. Nothing at all on both sides means nothing: the same is read before a first catch-up."""
    say.facts.update(
        local_position=_show(journal.local), peer_position=_show(journal.peer), peer_registered=journal.peer_registered
    )
    if not journal.peer_registered:
        return say.not_met(
            "The target is not registered as a reader of the source's journal.",
            "Its mirror daemon registers when it begins to replay; check it.",
        )
    if journal.local is None:
        return say.cannot_tell(
            "Cannot tell: the source's journal has no position yet.",
            "It has one after the first write since mirroring was enabled.",
        )
    if journal.peer is None:
        return say.not_met(
            "The target has not replayed anything of the source's journal yet.", "Wait for its first catch-up."
        )
    if journal.local != journal.peer:
        return say.not_met(
            f"The source is at {_show(journal.local)}, the target has replayed to {_show(journal.peer)}.",
            "Wait; the target commits every 5 s.",
        )
    return say.met(f"{done}: both are at {_show(journal.local)}.")


def _newest(snaps: SnapshotFacts) -> MirrorSnap | None:
    return snaps.snaps[-1] if snaps.snaps else None


def _snap_facts(
    say: Reading, source: SnapshotFacts, target: SnapshotFacts
) -> tuple[MirrorSnap | None, MirrorSnap | None]:
    ours, theirs = _newest(source), _newest(target)
    if ours is not None:
        say.facts.update(source_snap=ours.snap_id, source_snap_state=ours.state)
    if theirs is not None:
        say.facts.update(
            target_snap=theirs.snap_id,
            target_snap_state=theirs.state,
            target_complete=theirs.complete,
            target_copy_of=theirs.primary_snap_id,
        )
    return ours, theirs


def sync_snapshots(say: Reading, source: SnapshotFacts, target: SnapshotFacts) -> GateResult:
    ours, theirs = _snap_facts(say, source, target)
    if ours is None or not ours.made_here:
        return say.not_met(
            "The source has made no mirror snapshot since it is primary.",
            "Wait for, or take, a mirror snapshot at the source.",
        )
    if theirs is None or theirs.made_here or theirs.primary_snap_id != ours.snap_id:
        return say.not_met(
            f"The source's newest mirror snapshot ({ours.snap_id}) has not reached the target.", "Wait for the copy."
        )
    if theirs.complete is None:
        return say.cannot_tell(
            "Cannot tell: Ceph does not say whether the target's copy is complete.", "Read it again."
        )
    if not theirs.complete:
        return say.not_met(
            f"The target is still copying the source's newest mirror snapshot ({ours.snap_id}).", "Wait for the copy."
        )
    return say.met(f"The target holds the source's newest mirror snapshot ({ours.snap_id}), complete.")


def path_roles(say: Reading, target: SideFacts, source: SideFacts, fresh_s: float) -> GateResult | None:
    if source.role is None or target.role is None:
        return say.unread("the role at the " + ("source" if source.role is None else "target"))
    if stale := say.stale(
        {"the role at the source": source.role.read_at, "the role at the target": target.role.read_at}, fresh_s
    ):
        return stale
    say.facts.update(
        source_primary=source.role.primary, target_primary=target.role.primary, target_exists=target.role.exists
    )
    if not target.role.exists:
        return say.not_met(
            "The image does not exist at the target (a re-copy deletes it first).",
            "Wait for the copy, or investigate who removed it.",
        )
    if source.role.primary is not True or target.role.primary is not False:
        return say.not_met(
            "Not primary at the source and copy at the target.",
            "Look at the image's verdict; this is not a state to move from.",
        )
    if source.role.global_id != target.role.global_id:
        return say.not_met(
            "The two images have different mirroring ids: they are not copies of each other.",
            "Investigate; do not act on either.",
        )
    return None


# What a side says between a move and the next tick or two of its mirror daemon (30 s each), when all is well.
SETTLING = frozenset({"remote image is not primary", "local image is primary", "remote image demoted", "stopped"})
SETTLES = "Right after a move this takes up to a minute: wait. If it stays so, look at rbd-mirror at the target."


# Measured: after an interrupted move the promoted source is sometimes not recognised by the target (quick failback,
# journal mode). path_roles has seen the source primary when this is said.
DISCARD_TARGET = (
    "The source is primary and has the data that count. If a VM ever ran on the target's copy, save what it wrote "
    "there first. Then discard that copy and copy again: rbd mirror image resync, at the target, never at the source."
)


def path_heartbeat(
    say: Reading, status: StatusFacts | None, daemon_healthy: bool | None, fresh_s: float, heartbeat_s: float
) -> GateResult | None:
    if status is None or status.age_s is None or status.age_s < -CLOCK_SLACK_S:
        return say.unread("the mirror status of the target, or its age by that site's clock,")
    if stale := say.stale({"the mirror status": status.read_at}, fresh_s):
        return stale
    assert say.now is not None
    age_s = status.age_s + (say.now - status.read_at).total_seconds()
    say.facts.update(
        status=status.state, heartbeat_age_s=round(age_s, 1), daemon_healthy=daemon_healthy, syncing=status.syncing
    )
    repair = "Repair the mirror daemon at the target first: a demotion could not arrive, and nobody would be primary."
    if daemon_healthy is False or status.state.startswith("down+"):
        return say.not_met(f"The target's mirror daemon is down (status {status.state}).", repair)
    if age_s > heartbeat_s:
        return say.not_met(
            f"The target's mirror daemon was last heard {span(age_s)} ago; it should speak every 30 s.", repair
        )
    if "split-brain" in f"{status.state} {status.description}":
        return say.not_met(
            "The target's copy has diverged (Ceph says split-brain): it will never follow the source again by itself.",
            DISCARD_TARGET,
        )
    if status.syncing or status.state == "up+syncing":
        return say.not_met("The target is still making its first whole copy.", "Wait until it replays.")
    if status.state != "up+replaying":
        words = f"The target does not replay: {status.state}, {status.description}."
        return say.not_met(words, SETTLES if status.description in SETTLING else repair)
    return None


def path_journal(say: Reading, journal: JournalFacts | None, fresh_s: float) -> GateResult:
    if journal is None:
        return say.unread("the journal's positions at the source")
    if stale := say.stale({"the journal's positions": journal.read_at}, fresh_s):
        return stale
    say.facts.update(peer_registered=journal.peer_registered, caught_up_once=journal.peer is not None)
    if not journal.peer_registered or journal.peer is None:
        return say.not_met(
            "The target replays but has not caught up once since the source became primary.",
            "Wait: its first position appears within a minute.",
        )
    return say.met("The target's mirror daemon is alive, replays, and has caught up.")


def path_snapshots(say: Reading, target_snaps: SnapshotFacts | None, fresh_s: float) -> GateResult:
    if target_snaps is None:
        return say.unread("the mirror snapshots at the target")
    if stale := say.stale({"the target's snapshots": target_snaps.read_at}, fresh_s):
        return stale
    whole = [snap for snap in target_snaps.since_own if snap.complete is True]
    say.facts["caught_up_once"] = bool(whole)
    if not whole:
        return say.not_met(
            "The target has no complete copy of a mirror snapshot since the source became primary.",
            "Wait for the first complete mirror snapshot.",
        )
    return say.met("The target's mirror daemon is alive, replays, and holds a complete mirror snapshot.")


def demoted_roles(
    say: Reading,
    mode: Mode,
    source_role: RoleFacts | None,
    target_role: RoleFacts | None,
    fresh_s: float,
    role_fresh_s: float,
) -> GateResult | None:
    if source_role is None or target_role is None:
        return say.unread("the role at the " + ("source" if source_role is None else "target"))
    if stale := say.stale({"the role at the source": source_role.read_at}, role_fresh_s):
        return stale
    if stale := say.stale({"the role at the target": target_role.read_at}, fresh_s):
        return stale
    say.facts.update(source_primary=source_role.primary, target_primary=target_role.primary, mode=mode.value)
    if not source_role.exists or source_role.primary is None:
        return say.not_met(
            "At the source the image is missing or not mirrored.",
            "Investigate before doing anything else with this image.",
        )
    if not target_role.exists or target_role.primary is None:
        return say.not_met(
            "At the target the image is missing or not mirrored.",
            "Promote the source again; there is nothing to promote here.",
        )
    if source_role.primary:
        return say.not_met("The source is still primary.", "Demote it there first.")
    if target_role.primary:
        return say.not_met("The target is primary already; there is nothing to promote.", None)
    if source_role.mode is not mode or target_role.mode is not mode:
        return say.cannot_tell(
            "Cannot tell: the two sides are not mirrored in the mode that was expected.", "Discover the image again."
        )
    if source_role.global_id != target_role.global_id:
        return say.not_met(
            "The two images have different mirroring ids: they are not copies of each other.",
            "Investigate; do not act on either.",
        )
    return None


START_OVER = (
    "Promote the source again, let the target catch up (positions equal), then start over. "
    "Never force, and never discard the source's image: the source has the data. "
    "Should the target say split-brain then, discard the target's copy and copy again."
)


def demoted_snapshots(say: Reading, source: SnapshotFacts, target: SnapshotFacts) -> GateResult:
    ours, theirs = _snap_facts(say, source, target)
    if ours is None or not ours.made_here or ours.state != "demoted":
        return say.not_met(
            "The source's newest mirror snapshot is not its own demotion.",
            "Look at both sides' snapshots before promoting anything.",
        )
    if theirs is None:
        return say.not_met(
            "The target has no mirror snapshot at all.", "Wait; if it stays so, promote the source again."
        )
    if theirs.made_here or (theirs.state == "demoted" and theirs.primary_snap_id != ours.snap_id):
        # The target's own last word is a demotion, so it does not copy from a source that is not primary: this never
        # resolves by itself, and yet Ceph would promote it with exit 0, without what the source wrote since.
        return say.not_met(
            f"The target's newest snapshot ({theirs.snap_id}) belongs to an earlier handover, not to the source's "
            f"demotion ({ours.snap_id}). "
            "Ceph would promote it all the same, and lose what was written in between.",
            START_OVER,
            hopeless=True,
        )
    if theirs.state != "demoted":
        return say.not_met(f"The source's demotion (snapshot {ours.snap_id}) has not reached the target.", "Wait.")
    if theirs.complete is None:
        return say.cannot_tell(
            "Cannot tell: Ceph does not say whether the target's copy of the demotion is complete.", "Read it again."
        )
    if not theirs.complete:
        return say.not_met(
            f"The target has only part of the source's demotion (snapshot {ours.snap_id}). Ceph would promote a torn "
            "disk with exit 0.",
            "Wait while its mirror daemon copies.",
        )
    return say.met(f"The target's newest snapshot is the source's demotion ({ours.snap_id}), complete.")


def stuck(result: GateResult, waited_s: float) -> GateResult:
    return GateResult(
        result.gate,
        result.outcome,
        f"{result.sentence} That is {span(waited_s)} after the demotion; it should take seconds.",
        result.facts,
        f"If the target's mirror daemon is down, start it and retry. Otherwise waiting will not help: {START_OVER}",
        hopeless=True,
    )
