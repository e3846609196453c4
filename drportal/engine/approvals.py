"""A second person's yes: its states, and what makes it fit one run, plan version, evidence and command list.

Pure: who may approve and what time it is are arguments. The words are for the person who is refused.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from drportal.engine.fence import FenceRung
from drportal.engine.states import IllegalTransition, Transition


class ApprovalState(enum.StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    EXPIRED = "expired"
    VOID = "void"
    USED = "used"


class ApprovalEvent(enum.StrEnum):
    APPROVE = "approve"
    BREAK_GLASS = "break_glass"
    DECLINE = "decline"
    EXPIRE = "expire"
    MAKE_VOID = "make_void"
    USE = "use"


A, AE = ApprovalState, ApprovalEvent

APPROVAL_TRANSITIONS: tuple[Transition[ApprovalState, ApprovalEvent], ...] = (
    Transition(
        A.REQUESTED, AE.APPROVE, A.APPROVED, "As many people as the policy asks for said yes to what was shown."
    ),
    Transition(A.REQUESTED, AE.BREAK_GLASS, A.APPROVED, "One person went on alone, with a reason. Everybody is told."),
    Transition(A.REQUESTED, AE.DECLINE, A.DECLINED, "Somebody who may approve said no, with a reason."),
    Transition(A.REQUESTED, AE.EXPIRE, A.EXPIRED, "Nobody decided in time."),
    Transition(A.REQUESTED, AE.MAKE_VOID, A.VOID, "What was asked about has changed, or the run was withdrawn."),
    Transition(A.APPROVED, AE.EXPIRE, A.EXPIRED, "It was not used in time."),
    Transition(A.APPROVED, AE.MAKE_VOID, A.VOID, "What was approved has changed, or who approved it no longer may."),
    Transition(A.APPROVED, AE.USE, A.USED, "The run has begun on it. It is used up."),
    Transition(
        A.USED,
        AE.MAKE_VOID,
        A.VOID,
        "The lost site came back in the middle of the run and is fenced: what was not sent yet needs a new yes.",
    ),
)
OPEN_APPROVAL = frozenset({A.REQUESTED, A.APPROVED})
FINAL_APPROVAL = frozenset({A.DECLINED, A.EXPIRED, A.VOID})

_NEXT = {(row.from_, row.event): row.to for row in APPROVAL_TRANSITIONS}


def next_approval_state(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """Raises IllegalTransition."""
    try:
        return _NEXT[(state, event)]
    except KeyError:
        raise IllegalTransition(state, event) from None


class Unfit(enum.StrEnum):
    """Why an approval does not stand for what is about to be done; stable, for programs."""

    NOT_APPROVED = "approval_not_given"
    USED_BEFORE = "approval_used"
    EXPIRED = "approval_expired"
    OTHER_RUN = "approval_other_run"
    OTHER_PLAN = "approval_other_plan_version"
    OTHER_EVIDENCE = "approval_evidence_moved"
    OTHER_COMMANDS = "approval_commands_changed"
    TOO_FEW = "approval_too_few"


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """An approval as its row has it. ``said_yes``: people; ``may_approve``: those of them who still may, read now.

    ``glass``: somebody broke the glass, and may do so still: no yes of another person is needed. ``attested_rung``:
    what is attested; ``deviation``: why it goes on below the rung that the plan wants.
    """

    approval_id: str
    run_id: int
    state: ApprovalState
    plan_version: int
    evidence_sha256: str
    commands: tuple[str, ...]
    expires_at: dt.datetime
    requester_id: int
    needed: int
    said_yes: frozenset[int] = frozenset()
    may_approve: frozenset[int] = frozenset()
    glass: bool = False
    attested_by: str = ""
    attestation: str = ""
    attested_rung: FenceRung = FenceRung.CUT
    deviation: str = ""

    @property
    def sha256(self) -> str:
        """Of all that it is bound to: what a site's receipt keeps of it."""
        bound = [self.approval_id, self.run_id, self.plan_version, self.evidence_sha256, list(self.commands)]
        return content_hash(bound)


@dataclass(frozen=True, slots=True)
class Misfit:
    code: Unfit
    sentence: str


def content_hash(content: object) -> str:
    """SHA-256 of the content as JSON with sorted keys and no spaces."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def counted(facts: ApprovalFacts) -> frozenset[int]:
    """Whose yes counts: never the requester's, and never that of somebody who may not approve any more."""
    return (facts.said_yes & facts.may_approve) - {facts.requester_id}


def misfit(
    facts: ApprovalFacts,
    *,
    run_id: int,
    plan_version: int,
    evidence_sha256: str,
    commands: Sequence[str],
    now: dt.datetime,
    used: bool = False,
) -> Misfit | None:
    """Why it may not be used for this; None when it fits. ``used``: the run that used it goes on with it."""
    wanted = ApprovalState.USED if used else ApprovalState.APPROVED
    if facts.run_id != run_id:
        return Misfit(Unfit.OTHER_RUN, "The approval was given for another run.")
    if facts.state is ApprovalState.USED and not used:
        return Misfit(Unfit.USED_BEFORE, "The approval was used before; it counts once.")
    if facts.state is ApprovalState.EXPIRED or now >= facts.expires_at:
        return Misfit(Unfit.EXPIRED, f"The approval expired at {facts.expires_at:%H:%M:%S} UTC.")
    if facts.state is not wanted:
        return Misfit(Unfit.NOT_APPROVED, f"The approval is {facts.state}, not approved.")
    if facts.plan_version != plan_version:
        return Misfit(
            Unfit.OTHER_PLAN, f"It was given for version {facts.plan_version} of the plan, not {plan_version}."
        )
    if facts.evidence_sha256 != evidence_sha256:
        return Misfit(Unfit.OTHER_EVIDENCE, "It was given for other evidence.")
    if not set(commands) <= set(facts.commands):
        return Misfit(Unfit.OTHER_COMMANDS, "A command to be sent is not among those that were approved.")
    if not facts.glass and len(counted(facts)) < facts.needed:
        return Misfit(Unfit.TOO_FEW, "Somebody who said yes may not approve any more, or was the requester.")
    return None
