"""What a kind of step is made of: a probe that looks, and the deed it prepares when there is something to do.

The probe is also the verification: after the deed the step is done when the probe says *done*, and at no other word.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from drportal.drivers.base import Answer
from drportal.drivers.opennebula_parse import masked
from drportal.engine.steps import ProbeOutcome, StepKind
from drportal.recovery.plan_copy import ImageCopy, VmCopy
from drportal.recovery.world import SiteEnd, World


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of an act only when its intent is recorded (``drivers.base.Order``)."""

    operation_id: str
    group: str
    fence: int


@dataclass(frozen=True, slots=True)
class Deed:
    """One act, ready to be sent: ``command`` is byte for byte what ``send`` sends, ``host`` where to. ``named_by``: of
    one in which the operation's id has a part."""

    command: str
    host: str
    send: Callable[[Ticket], Awaitable[Answer]]
    named_by: Callable[[Ticket], str] | None = None

    def command_of(self, ticket: Ticket) -> str:
        return self.named_by(ticket) if self.named_by is not None else self.command


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found. ``deed``: with *not done*, what would make it done; None for a step that only checks."""

    outcome: ProbeOutcome
    sentence: str
    answers: tuple[Answer, ...] = ()
    deed: Deed | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A step as its kind sees it: the VM and, for an image's step, the image; ``end`` is the site where it acts.

    ``operation_id``: of an attempt whose end is not recorded yet; empty: nothing was sent.
    """

    kind: StepKind
    vm: VmCopy
    image: ImageCopy | None
    end: SiteEnd
    operation_id: str = ""

    @property
    def one_image(self) -> ImageCopy:
        assert self.image is not None, f"{self.kind} acts on an image"
        return self.image


class Act(Protocol):
    """``only_checks``: nothing is ever sent; the step is its gates.

    ``patience_s``: how long the effect may take to show.
    """

    only_checks: bool

    async def probe(self, world: World, task: Task) -> Probe: ...

    def patience_s(self, world: World) -> float: ...


def call_text(method: str, *arguments: object) -> str:
    """An OpenNebula call as the driver writes it in its answers, secrets of guests masked."""
    return f"one.{method}({', '.join(masked(json.dumps(argument, ensure_ascii=False)) for argument in arguments)})"


def done(sentence: str, *answers: Answer | None) -> Probe:
    return Probe(ProbeOutcome.DONE, sentence, tuple(a for a in answers if a))


def not_done(sentence: str, deed: Deed | None, *answers: Answer | None) -> Probe:
    return Probe(ProbeOutcome.NOT_DONE, sentence, tuple(a for a in answers if a), deed)


def conflict(sentence: str, *answers: Answer | None) -> Probe:
    return Probe(ProbeOutcome.CONFLICT, sentence, tuple(a for a in answers if a))


def cannot_tell(sentence: str, *answers: Answer | None) -> Probe:
    return Probe(ProbeOutcome.CANNOT_TELL, sentence, tuple(a for a in answers if a))
