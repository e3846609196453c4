"""The approval policy: what it may say, and how a change of it comes into force. Nobody changes it alone."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from drportal.engine.fence import RUNG_WORDS, FenceRung
from drportal.engine.states import IllegalTransition, Transition

MOST_NEEDED, MOST_MINUTES = 5, 240


class ChangeState(enum.StrEnum):
    REQUESTED = "requested"
    IN_FORCE = "in_force"
    SUPERSEDED = "superseded"
    DECLINED = "declined"
    EXPIRED = "expired"
    VOID = "void"


class ChangeEvent(enum.StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"
    EXPIRE = "expire"
    MAKE_VOID = "make_void"
    SUPERSEDE = "supersede"


C, E = ChangeState, ChangeEvent
POLICY_TRANSITIONS: tuple[Transition[ChangeState, ChangeEvent], ...] = (
    Transition(C.REQUESTED, E.APPROVE, C.IN_FORCE, "Somebody other than who asked said yes. It counts from now on."),
    Transition(C.REQUESTED, E.DECLINE, C.DECLINED, "Somebody who may decide said no, with a reason."),
    Transition(C.REQUESTED, E.EXPIRE, C.EXPIRED, "Nobody decided in time."),
    Transition(C.REQUESTED, E.MAKE_VOID, C.VOID, "It was withdrawn, or who asked for it may not ask any more."),
    Transition(C.IN_FORCE, E.SUPERSEDE, C.SUPERSEDED, "Another change came into force."),
)
_NEXT = {(row.from_, row.event): row.to for row in POLICY_TRANSITIONS}


def next_change_state(state: ChangeState, event: ChangeEvent) -> ChangeState:
    """Raises IllegalTransition."""
    try:
        return _NEXT[(state, event)]
    except KeyError:
        raise IllegalTransition(state, event) from None


@dataclass(frozen=True, slots=True)
class Policy:
    """``needed``: people other than the requester who must say yes to a forced promotion; ``minutes``: how long a
    request stands; ``break_glass``: whether one person may go on alone when nobody else can be reached.

    ``least_rung``: of the fence. Below what its plan wants a run goes on for a reason that a named person gives; below
    this one for none."""

    needed: int
    minutes: int
    break_glass: bool
    least_rung: int = FenceRung.OFF.value

    def wrong(self) -> str:
        """Why it cannot be a policy; empty when it can."""
        if not 1 <= self.needed <= MOST_NEEDED:
            return f"From 1 to {MOST_NEEDED} people can be asked for."
        if not 1 <= self.minutes <= MOST_MINUTES:
            return f"A request stands from 1 to {MOST_MINUTES} minutes."
        if not FenceRung.OFF <= self.least_rung <= FenceRung.CUT:
            return "The least fence rung is one from 1 to 5."
        return ""

    def words(self) -> str:
        people = "one other person" if self.needed == 1 else f"{self.needed} other people"
        glass = "may" if self.break_glass else "may not"
        return (
            f"A forced promotion needs the yes of {people}; a request stands {self.minutes} min; one person {glass} go "
            "on alone when nobody else can be reached. Whatever the reason, nothing goes on below fence rung "
            f"{self.least_rung} ({RUNG_WORDS[FenceRung(self.least_rung)]})."
        )

    def looser_than(self, other: Policy) -> tuple[str, ...]:
        """In which points it lets through what the other does not: for who is asked to say yes."""
        points = (
            (self.needed < other.needed, "fewer people have to say yes"),
            (self.minutes > other.minutes, "a request stands longer, so the evidence may be older"),
            (self.break_glass and not other.break_glass, "one person may go on alone"),
            (self.least_rung < other.least_rung, "a run may go on with less of a fence"),
        )
        return tuple(said for is_so, said in points if is_so)


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    """A requested change as its row has it. ``may_ask``: who asked still may, read now."""

    state: ChangeState
    sha256: str
    requester_id: int
    may_ask: bool
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    code: str
    sentence: str


def why_not_in_force(facts: ChangeFacts, decider_id: int, shown_sha256: str, now: dt.datetime) -> Refusal | None:
    """Why the yes of this person to what they were shown brings nothing into force; None when it does."""
    if facts.state is not ChangeState.REQUESTED:
        return Refusal("policy_decided", f"The change is {facts.state.value.replace('_', ' ')} already.")
    if now >= facts.expires_at:
        return Refusal("policy_expired", f"The request expired at {facts.expires_at:%F %H:%M} UTC. Ask for it again.")
    if decider_id == facts.requester_id:
        return Refusal("own_approval", "You asked for it yourself: another person decides.")
    if not facts.may_ask:
        return Refusal("requester_lost_right", "Who asked for it may not change the policy any more.")
    if shown_sha256 != facts.sha256:
        return Refusal("policy_moved", "You looked at something else than what is asked for now. Look again.")
    return None
