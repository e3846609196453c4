"""Of a VM that is on hold nothing begins; what became of an act on it is read all the same (I13)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from drportal.engine.states import StepState
from drportal.recovery.step_runner import Control, StepRunner


def runner(state: StepState, on_hold: frozenset[str]) -> Any:
    """Its unknown act turns out to be not done; an attempt to do anything is noted."""
    step = SimpleNamespace(state=state, vm_key="1", spec=SimpleNamespace(patient=False), sentence="")
    made = SimpleNamespace(step=step, control=Control(halt=asyncio.Event(), on_hold=on_hold), tried=0, read=0)
    made.pace = SimpleNamespace(poll_first_s=0.01, poll_last_s=0.01, gate_patience_s=60.0)

    async def resolve() -> bool:
        made.read += 1
        step.state = StepState.PENDING
        return True

    async def try_() -> bool:
        made.tried += 1
        step.state = StepState.SUCCEEDED
        return True

    made._resolve, made._try = resolve, try_
    return made


@pytest.mark.parametrize(
    ("state", "held", "tried", "end"),
    [
        (StepState.UNKNOWN, True, 0, StepState.PENDING),
        (StepState.UNKNOWN, False, 1, StepState.SUCCEEDED),
        (StepState.PENDING, True, 0, StepState.PENDING),
    ],
)
async def test_what_is_unknown_is_read_and_nothing_is_sent(
    state: StepState, held: bool, tried: int, end: StepState
) -> None:
    one = runner(state, frozenset({"1"}) if held else frozenset({"2"}))
    assert await StepRunner._perform(one) is end
    assert (one.tried, one.read) == (tried, int(state is StepState.UNKNOWN))
