"""Gates of the disaster path. None needs the dead site to answer (I11); one that answers speaks against force."""

from __future__ import annotations

import datetime as dt

from drportal.engine.approvals import ApprovalFacts, misfit
from drportal.engine.facts import HoldFacts, Mode, RoleFacts, SnapshotFacts, StatusFacts, VmFacts
from drportal.engine.fence import FenceRung, below, reached_alone
from drportal.engine.gate_base import OFF_PHASES, ROLE_FRESH_S, GateId, GateResult, Reading
from drportal.engine.gate_parts import off_remedy

USE_PLANNED = (
    "Nothing is forced at a site whose peer can be read: make a planned failover, or stop the writers there and look "
    "at the image's verdict."
)


GO_BELOW = (
    "Cut its power or its network, or say why it goes on without, and ask for a new approval on the run's page (New "
    "approval)."
)


NEW_APPROVAL = (
    "Ask for a new approval on the run's page (New approval): the run goes on with what is still to be sent when it is "
    "given."
)


def whole_copy(mode: Mode | None, status: StatusFacts | None, snapshots: SnapshotFacts | None) -> bool | None:
    """Whether the copy was whole once since its present primary wrote; None: it cannot be told."""
    if mode is Mode.SNAPSHOT:
        return None if snapshots is None else any(snap.complete is True for snap in snapshots.since_own)
    if mode is Mode.JOURNAL:
        return None if status is None else False if status.syncing else status.caught_up_once
    return None


def whole_as_handed_over(mode: Mode | None, status: StatusFacts | None, snapshots: SnapshotFacts | None) -> bool:
    """Of a copy that was primary here until a move demoted it (by the portal's own record): nothing of the peer's lies
    on it in part. What a journal has brought since is a later moment of the same disk."""
    if mode is Mode.SNAPSHOT:
        return snapshots is not None and bool(snapshots.snaps) and snapshots.snaps[-1].made_here
    return mode is Mode.JOURNAL and (status is None or not status.syncing)


def g_force(
    here: RoleFacts | None,
    there: RoleFacts | None,
    whole: bool | None,
    now: dt.datetime,
    *,
    fresh_s: float = ROLE_FRESH_S,
) -> GateResult:
    """The copy ``here`` may be forced: it was whole once, and the other side cannot be read (``there`` is None)."""
    say = Reading(GateId.FORCE, now)
    if here is None:
        return say.unread("the role here")
    if stale := say.stale({"the role here": here.read_at}, fresh_s):
        return stale
    say.facts.update(
        primary_here=here.primary, exists_here=here.exists, other_side_answers=there is not None, whole=whole
    )
    if not here.exists or here.primary is None:
        return say.not_met("The image is missing here, or not mirrored.", "There is no copy to promote.", hopeless=True)
    if there is not None:
        word = "primary" if there.primary else "not primary"
        return say.not_met(f"The other side answers: {word} there.", USE_PLANNED, hopeless=True)
    if whole is None:
        return say.cannot_tell("Cannot tell: it is not shown that the copy here was ever whole.", "Read it again.")
    if not whole:
        return say.not_met(
            "The first copy was never completed: what is here is part of a disk.",
            "This image cannot be saved from here. Restore its site, or a backup.",
            hopeless=True,
        )
    return say.met("The other side cannot be read, and the copy here was whole.")


def g_approval(
    facts: ApprovalFacts | None, run_id: int, plan_version: int, command: str | None, now: dt.datetime
) -> GateResult:
    """The run holds a used-up, unexpired yes that names this very command. ``plan_version``: the run's own; what the
    evidence says was hashed anew when the yes was taken into use."""
    say = Reading(GateId.APPROVAL, now)
    if facts is None:
        return say.not_met("The run has no approval.", "Ask for one.", hopeless=True)
    say.facts.update(approval=facts.approval_id, state=facts.state.value)
    wrong = misfit(
        facts,
        run_id=run_id,
        plan_version=plan_version,
        evidence_sha256=facts.evidence_sha256,
        commands=[command] if command else [],
        now=now,
        used=True,
    )
    if wrong is not None:
        return say.not_met(f"{wrong.sentence} Nothing was sent.", NEW_APPROVAL, hopeless=True)
    return say.met("The approval names this command and has not expired.")


def g_fence(
    vm_there: VmFacts | None,
    attested_by: str,
    attestation: str,
    now: dt.datetime,
    *,
    word: FenceRung = FenceRung.CUT,
    wanted: FenceRung = FenceRung.OFF,
    deviation: str = "",
) -> GateResult:
    """The VM cannot run at the other side, on the rung that the plan wants: read there, or attested by a named person.

    ``word``: what is attested. ``deviation``: why it goes on below the wanted rung, by the same person; never below the
    first, on which the VM is off (I5).
    """
    say = Reading(GateId.FENCE, now)
    say.facts.update(attested_by=attested_by, phase_there=vm_there.phase if vm_there else None)
    if vm_there is not None and vm_there.phase not in OFF_PHASES:
        return say.not_met(
            f"The other side's OpenNebula answers: the VM is {vm_there.state_word} there. It may run twice.",
            off_remedy(vm_there.phase, vm_there.state_word, may_run=False),
        )
    attested = bool(attested_by and attestation)
    reached = reached_alone(vm_there is not None or None, attested, word)
    say.facts.update(rung=reached.value, rung_wanted=wanted.value)
    if reached is FenceRung.NONE:
        return say.not_met(
            "Nobody has attested that the VM cannot run at the other side.", "Say who cut it off, and how."
        )
    how = (
        "The other side's OpenNebula answers: the VM is off there."
        if vm_there is not None
        else f"Attested by {attested_by}: {attestation.rstrip(' .')}."
    )
    lacking = below(reached, wanted, attested_by, deviation)
    if lacking and not deviation:
        return say.not_met(f"{how} {lacking} Nothing is started there.", GO_BELOW, hopeless=True)
    return say.met(f"{how} {lacking}".strip())


def g_alone(
    here: RoleFacts | None, there: RoleFacts | None, now: dt.datetime, *, fresh_s: float = ROLE_FRESH_S
) -> GateResult:
    """``rbd info`` says primary here, and the other side is silent or not primary."""
    say = Reading(GateId.ALONE, now)
    if here is None:
        return say.unread("the role here")
    if stale := say.stale({"the role here": here.read_at}, fresh_s):
        return stale
    say.facts.update(primary_here=here.primary, primary_there=there.primary if there else None)
    if here.primary is not True:
        return say.not_met("The image is not primary here.", "Look at the step that promotes it.")
    if there is not None and there.primary is True:
        return say.not_met(
            "TWO PRIMARIES: the other side answers again, and is primary too.",
            "Stop every writer at the other side first; nothing is started here until then.",
        )
    return say.met("Primary here; the other side " + ("does not answer." if there is None else "is not primary."))


def g_free(hold: HoldFacts | None, now: dt.datetime, *, fresh_s: float = ROLE_FRESH_S) -> GateResult:
    """No mirror daemon of this site has the image open.

    One that waits for a dead peer keeps the image's lock: in snapshot mode a forced promotion then never ends, in
    journal mode it does, ``rbd info`` says primary, and every write is refused (measured on Ceph 16.2.15).
    """
    say = Reading(GateId.FREE, now)
    if hold is None:
        return say.unread("who has the image open here")
    if stale := say.stale({"who has the image open here": hold.read_at}, fresh_s):
        return stale
    say.facts.update(daemons=", ".join(hold.daemons))
    if hold.daemons:
        return say.not_met(
            f"The mirror daemon here ({', '.join(hold.daemons)}) has the image open: it waits for the silent side, and "
            "nobody else can write.",
            "Try the step that frees it again, or restart rbd-mirror at this site.",
        )
    return say.met("No mirror daemon here has the image open.")
