"""Which steps may begin when a run goes on past errors: a disaster saves what can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Ordered(Protocol):
    """A step, as far as its order goes. ``vm_key``: whose step it is."""

    @property
    def key(self) -> str: ...
    @property
    def vm_key(self) -> str: ...
    @property
    def needs(self) -> tuple[str, ...]: ...


def given_up(steps: Sequence[Ordered], failed: Iterable[str]) -> frozenset[str]:
    """The failed steps, and those that can't come because a step of their *own* VM that they need has failed.

    Another VM's failure holds nobody up: its place in the order is passed over. ``steps`` come after those they need.
    """
    lost = set(failed)
    owner = {step.key: step.vm_key for step in steps}
    for step in steps:
        if any(need in lost and owner[need] == step.vm_key for need in step.needs):
            lost.add(step.key)
    return frozenset(lost)


def may_begin(step: Ordered, past: frozenset[str], lost: frozenset[str]) -> bool:
    """Whether nothing that it needs is still to come, and nothing of its own VM is lost (``given_up``). ``past``: what
    is finished or lost; made once for all steps, of which there are as many as there are images, and more."""
    return step.key not in lost and past.issuperset(step.needs)
