"""The states of a Run and of a Step, as tables of rows. The diagrams in docs are generated from them; nothing else
decides a transition."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar


class RunState(enum.StrEnum):
    DRAFT = "draft"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_EXCEPTIONS = "succeeded_with_exceptions"
    FAILED = "failed"
    ABORTED = "aborted"


class RunEvent(enum.StrEnum):
    SUBMIT = "submit"
    ACCEPT = "accept"
    APPROVE = "approve"
    REFUSE = "refuse"
    START = "start"
    PAUSE = "pause"
    STOP_AT_ERROR = "stop_at_error"
    RESUME = "resume"
    CANCEL = "cancel"
    COME_TO_REST = "come_to_rest"
    FINISH = "finish"
    FINISH_WITH_EXCEPTIONS = "finish_with_exceptions"
    GIVE_UP = "give_up"


class StepState(enum.StrEnum):
    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepEvent(enum.StrEnum):
    WAIT = "wait"
    BEGIN = "begin"
    FIND_DONE = "find_done"
    REFUSE = "refuse"
    REFUSED_FOR_NOW = "refused_for_now"
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE_SIGHT = "lose_sight"
    PROBE_DONE = "probe_done"
    PROBE_NOT_DONE = "probe_not_done"
    PROBE_CONFLICT = "probe_conflict"
    RETRY = "retry"
    SKIP = "skip"


S = TypeVar("S", bound=enum.StrEnum)
E = TypeVar("E", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True)
class Transition(Generic[S, E]):
    """One row: in ``from_``, ``event`` leads to ``to``; ``sentence`` says when and why, for the docs and the screen."""

    from_: S
    event: E
    to: S
    sentence: str


class IllegalTransition(Exception):
    """Nothing was changed: ``event`` means nothing in ``state``. Read the state again before trying anything else."""

    def __init__(self, state: str, event: str, why: str = "") -> None:
        self.state = state
        self.event = event
        reason = why or "there is no such transition"
        super().__init__(
            f"'{event}' is not possible in state '{state}': {reason}. Nothing was changed; reload and look again."
        )


R, RE, P, PE = RunState, RunEvent, StepState, StepEvent

RUN_TRANSITIONS: tuple[Transition[RunState, RunEvent], ...] = (
    Transition(R.DRAFT, RE.SUBMIT, R.AWAITING_APPROVAL, "The kind of run needs a second person's yes."),
    Transition(
        R.DRAFT,
        RE.ACCEPT,
        R.APPROVED,
        "The kind of run needs no second person; its readiness was checked and its phrase typed.",
    ),
    Transition(R.DRAFT, RE.CANCEL, R.ABORTED, "Dropped before anybody was asked; no site was touched."),
    Transition(
        R.AWAITING_APPROVAL, RE.APPROVE, R.APPROVED, "A second person said yes to this evidence and these commands."
    ),
    Transition(
        R.AWAITING_APPROVAL,
        RE.REFUSE,
        R.ABORTED,
        "A second person said no, or the request expired; no site was touched.",
    ),
    Transition(
        R.AWAITING_APPROVAL, RE.CANCEL, R.ABORTED, "Withdrawn by a person before the decision; no site was touched."
    ),
    Transition(R.APPROVED, RE.START, R.RUNNING, "An executor took the run's lease and begins with the first probes."),
    Transition(R.APPROVED, RE.CANCEL, R.ABORTED, "Withdrawn before an executor began; no site was touched."),
    Transition(
        R.APPROVED,
        RE.GIVE_UP,
        R.FAILED,
        "The run cannot begin and nobody can make it (its copy of the plan is unreadable).",
    ),
    Transition(
        R.RUNNING, RE.PAUSE, R.PAUSED, "A person asked to pause: no new step begins; those in flight have come to rest."
    ),
    Transition(
        R.RUNNING,
        RE.STOP_AT_ERROR,
        R.PAUSED,
        "A step needs a person (refused, failed, in conflict): the run stops at the first error and waits.",
    ),
    Transition(
        R.RUNNING,
        RE.CANCEL,
        R.CANCELLING,
        "A person cancelled: no new step begins; those in flight are waited for, never killed.",
    ),
    Transition(R.RUNNING, RE.FINISH, R.SUCCEEDED, "Every step was observed to be done."),
    Transition(
        R.RUNNING,
        RE.FINISH_WITH_EXCEPTIONS,
        R.SUCCEEDED_WITH_EXCEPTIONS,
        "All that could be done is done; some steps were skipped or given up, each with its reason.",
    ),
    Transition(
        R.RUNNING,
        RE.GIVE_UP,
        R.FAILED,
        "The run cannot go on and nobody can make it; where everything stands is in its last sentence.",
    ),
    Transition(
        R.PAUSED,
        RE.RESUME,
        R.RUNNING,
        "A person resumed: every step's probe and every gate is read again before anything acts.",
    ),
    Transition(
        R.PAUSED,
        RE.CANCEL,
        R.CANCELLING,
        "A person gave up on going on: the way is to rest, and then the way back while that is safe.",
    ),
    Transition(
        R.PAUSED,
        RE.GIVE_UP,
        R.FAILED,
        "The run cannot go on and nobody can make it; where everything stands is in its last sentence.",
    ),
    Transition(
        R.CANCELLING,
        RE.COME_TO_REST,
        R.ABORTED,
        "Nothing is in flight and nothing is unknown any more; where every image and VM stands was read.",
    ),
    Transition(
        R.CANCELLING, RE.FINISH, R.SUCCEEDED, "The step in flight was the last one: nothing was left to cancel."
    ),
    Transition(
        R.CANCELLING,
        RE.GIVE_UP,
        R.FAILED,
        "The site that knows what became of an act does not answer, or the executor fails again and again: it must not "
        "hold up a disaster failover. What is not known is named.",
    ),
)

STEP_TRANSITIONS: tuple[Transition[StepState, StepEvent], ...] = (
    Transition(
        P.PENDING,
        PE.WAIT,
        P.WAITING,
        "Its turn has come, but a gate is not met, or cannot be told, or a person or an approval is needed.",
    ),
    Transition(
        P.PENDING, PE.BEGIN, P.RUNNING, "Probe says not done, gates are met, the intent is recorded: the act is sent."
    ),
    Transition(P.PENDING, PE.FIND_DONE, P.SUCCEEDED, "The probe found it done already; nothing was sent."),
    Transition(
        P.PENDING,
        PE.REFUSE,
        P.FAILED,
        "The probe found a conflict, or a gate can never be met by waiting; nothing was sent.",
    ),
    Transition(P.PENDING, PE.SKIP, P.SKIPPED, "A person took the step out, with a reason."),
    Transition(
        P.WAITING, PE.BEGIN, P.RUNNING, "What it waited for has come; probe and gates were read again; the act is sent."
    ),
    Transition(P.WAITING, PE.FIND_DONE, P.SUCCEEDED, "While it waited, the probe found it done; nothing was sent."),
    Transition(
        P.WAITING, PE.REFUSE, P.FAILED, "What it waited for can no longer come, or took too long; nothing was sent."
    ),
    Transition(P.WAITING, PE.SKIP, P.SKIPPED, "A person took the step out, with a reason."),
    Transition(P.RUNNING, PE.SUCCEED, P.SUCCEEDED, "The act ended and its effect was observed."),
    Transition(P.RUNNING, PE.FAIL, P.FAILED, "The act ended, and it is observed that its effect did not come about."),
    Transition(
        P.RUNNING,
        PE.REFUSED_FOR_NOW,
        P.WAITING,
        "The site refused without effect: something has not arrived there yet (rbd exit 16), or another act goes on.",
    ),
    Transition(
        P.RUNNING,
        PE.LOSE_SIGHT,
        P.UNKNOWN,
        "Time-out, cut connection or killed executor: the act may or may not have happened.",
    ),
    Transition(P.UNKNOWN, PE.PROBE_DONE, P.SUCCEEDED, "The probe observed the effect."),
    Transition(
        P.UNKNOWN,
        PE.PROBE_NOT_DONE,
        P.PENDING,
        "The act is known to have ended and the probe observed no effect: it may be tried again.",
    ),
    Transition(
        P.UNKNOWN,
        PE.PROBE_CONFLICT,
        P.FAILED,
        "The probe observed something that neither we nor the plan intended: a person decides.",
    ),
    Transition(
        P.UNKNOWN,
        PE.SKIP,
        P.SKIPPED,
        "A person took the step out; never for an act on an image, whose role must be read first.",
    ),
    Transition(P.FAILED, PE.RETRY, P.PENDING, "A person wants it tried again: it begins with the probe."),
    Transition(P.FAILED, PE.SKIP, P.SKIPPED, "A person took the step out, with a reason."),
)

TERMINAL_RUN: frozenset[RunState] = frozenset({R.SUCCEEDED, R.SUCCEEDED_WITH_EXCEPTIONS, R.FAILED, R.ABORTED})
"""Final: no event leads out."""
TERMINAL_STEP: frozenset[StepState] = frozenset({P.SUCCEEDED, P.SKIPPED})
"""Final: no event leads out. ``failed`` is not final, because a person may retry or skip it."""
ACTIVE_RUN: frozenset[RunState] = frozenset({R.APPROVED, R.RUNNING, R.PAUSED, R.CANCELLING})
"""A run that holds its group and images (I12). One that only waits for a yes holds nothing: it must not block an
emergency."""

_RUN_NEXT = {(t.from_, t.event): t.to for t in RUN_TRANSITIONS}
_STEP_NEXT = {(t.from_, t.event): t.to for t in STEP_TRANSITIONS}


def next_run_state(state: RunState, event: RunEvent) -> RunState:
    """Raises IllegalTransition."""
    try:
        return _RUN_NEXT[(state, event)]
    except KeyError:
        raise IllegalTransition(state, event) from None


def next_step_state(state: StepState, event: StepEvent, *, acts_on_image: bool = False) -> StepState:
    """Raises IllegalTransition. ``acts_on_image``: the step changes a role in Ceph, so *unknown* may not be skipped
    (I13)."""
    if acts_on_image and (state, event) == (P.UNKNOWN, PE.SKIP):
        raise IllegalTransition(
            state, event, "what happened to the image is unknown, and only reading its role ends that"
        )
    try:
        return _STEP_NEXT[(state, event)]
    except KeyError:
        raise IllegalTransition(state, event) from None


def mermaid(rows: Iterable[Transition[S, E]]) -> str:
    """A ``stateDiagram-v2`` of the rows, in their order; states without a way in or out are linked to ``[*]``."""
    listed = list(rows)
    sources = list(dict.fromkeys(row.from_ for row in listed))
    targets = list(dict.fromkeys(row.to for row in listed))
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in sources[:1]]
    lines += [f"    {row.from_} --> {row.to}: {row.event}" for row in listed]
    lines += [f"    {state} --> [*]" for state in targets if state not in sources]
    return "\n".join(lines) + "\n"
