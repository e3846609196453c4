"""The two state tables: complete, reachable, final where they say so."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.engine.states import (
    ACTIVE_RUN,
    RUN_TRANSITIONS,
    STEP_TRANSITIONS,
    TERMINAL_RUN,
    TERMINAL_STEP,
    IllegalTransition,
    RunEvent,
    RunState,
    StepEvent,
    StepState,
    Transition,
    mermaid,
    next_run_state,
    next_step_state,
)


def reached(start: enum.StrEnum, rows: Iterable[Transition[Any, Any]]) -> set[enum.StrEnum]:
    rows = list(rows)
    found, size = {start}, 0
    while size != len(found):
        size = len(found)
        found |= {row.to for row in rows if row.from_ in found}
    return found


def test_every_row_of_both_tables_is_reachable_and_every_state_too() -> None:
    assert reached(RunState.DRAFT, RUN_TRANSITIONS) == set(RunState)
    assert reached(StepState.PENDING, STEP_TRANSITIONS) == set(StepState)
    for row in RUN_TRANSITIONS:
        assert next_run_state(row.from_, row.event) is row.to
    for step_row in STEP_TRANSITIONS:
        assert next_step_state(step_row.from_, step_row.event) is step_row.to


def test_no_event_means_two_things_in_one_state_and_every_event_is_used() -> None:
    for rows, events in ((RUN_TRANSITIONS, RunEvent), (STEP_TRANSITIONS, StepEvent)):
        pairs = [(row.from_, row.event) for row in rows]
        assert len(pairs) == len(set(pairs))
        assert {row.event for row in rows} == set(events)


@given(st.lists(st.sampled_from(list(RunEvent)), max_size=30))
def test_a_final_run_stays_as_it_is_whatever_happens(events: list[RunEvent]) -> None:
    state = RunState.DRAFT
    for event in events:
        before = state
        try:
            state = next_run_state(state, event)
        except IllegalTransition:
            state = before
        assert before not in TERMINAL_RUN or state is before


@given(st.lists(st.sampled_from(list(StepEvent)), max_size=30), st.booleans())
def test_a_final_step_stays_as_it_is_whatever_happens(events: list[StepEvent], on_image: bool) -> None:
    state = StepState.PENDING
    for event in events:
        before = state
        try:
            state = next_step_state(state, event, acts_on_image=on_image)
        except IllegalTransition:
            state = before
        assert before not in TERMINAL_STEP or state is before


def test_terminal_states_are_exactly_those_without_a_way_out() -> None:
    assert set(RunState) - {row.from_ for row in RUN_TRANSITIONS} == TERMINAL_RUN
    assert set(StepState) - {row.from_ for row in STEP_TRANSITIONS} == TERMINAL_STEP
    assert not ACTIVE_RUN & TERMINAL_RUN


def test_unknown_is_left_only_by_a_probe_and_never_skipped_for_an_act_on_an_image() -> None:
    ways = {row.event for row in STEP_TRANSITIONS if row.from_ is StepState.UNKNOWN}
    assert ways == {StepEvent.PROBE_DONE, StepEvent.PROBE_NOT_DONE, StepEvent.PROBE_CONFLICT, StepEvent.SKIP}
    assert next_step_state(StepState.UNKNOWN, StepEvent.SKIP) is StepState.SKIPPED
    with pytest.raises(IllegalTransition, match="only reading its role"):
        next_step_state(StepState.UNKNOWN, StepEvent.SKIP, acts_on_image=True)


def test_a_running_run_is_never_aborted_before_it_has_come_to_rest() -> None:
    assert {row.from_ for row in RUN_TRANSITIONS if row.to is RunState.ABORTED} == {
        RunState.DRAFT, RunState.AWAITING_APPROVAL, RunState.APPROVED, RunState.CANCELLING,
    }  # fmt: skip


def test_an_illegal_transition_says_that_nothing_changed() -> None:
    with pytest.raises(IllegalTransition, match="Nothing was changed"):
        next_run_state(RunState.SUCCEEDED, RunEvent.START)


def test_the_diagram_has_every_row_and_the_ends() -> None:
    drawn = mermaid(RUN_TRANSITIONS)
    assert drawn.startswith("stateDiagram-v2\n    [*] --> draft\n")
    assert all(f"    {row.from_} --> {row.to}: {row.event}\n" in drawn for row in RUN_TRANSITIONS)
    assert all(f"    {state} --> [*]\n" in drawn for state in TERMINAL_RUN)
