"""A change of the approval policy comes into force by a second person's yes to just that, and by nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from drportal.engine.policy import (
    POLICY_TRANSITIONS,
    ChangeEvent,
    ChangeFacts,
    ChangeState,
    Policy,
    next_change_state,
    why_not_in_force,
)
from drportal.engine.states import IllegalTransition

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
GOOD = ChangeFacts(ChangeState.REQUESTED, "h" * 64, 1, True, NOW + dt.timedelta(hours=1))


def refused(facts: ChangeFacts = GOOD, decider: int = 2, shown: str = "h" * 64, now: dt.datetime = NOW) -> str:
    found = why_not_in_force(facts, decider, shown, now)
    return found.code if found else ""


def test_a_second_person_s_yes_to_what_was_shown_counts() -> None:
    assert refused() == ""


@pytest.mark.parametrize("state", [state for state in ChangeState if state is not ChangeState.REQUESTED])
def test_what_is_decided_stays_so(state: ChangeState) -> None:
    assert refused(replace(GOOD, state=state)) == "policy_decided"


def test_anything_else_is_refused_by_its_own_code() -> None:
    assert refused(decider=1) == "own_approval"
    assert refused(shown="0" * 64) == "policy_moved"
    assert refused(replace(GOOD, may_ask=False)) == "requester_lost_right"
    assert refused(now=GOOD.expires_at) == "policy_expired"


def test_only_a_request_comes_into_force() -> None:
    into = {row.from_ for row in POLICY_TRANSITIONS if row.to is ChangeState.IN_FORCE}
    assert into == {ChangeState.REQUESTED}
    for state in ChangeState:
        if state not in (ChangeState.REQUESTED, ChangeState.IN_FORCE):
            for event in ChangeEvent:
                with pytest.raises(IllegalTransition):
                    next_change_state(state, event)


def test_what_it_may_say_and_how_it_is_looser() -> None:
    assert Policy(1, 15, True).wrong() == ""
    for bad in (Policy(0, 15, True), Policy(6, 15, True), Policy(1, 0, True), Policy(1, 241, True)):
        assert bad.wrong()
    assert Policy(1, 60, True).looser_than(Policy(2, 15, False)) == (
        "fewer people have to say yes",
        "a request stands longer, so the evidence may be older",
        "one person may go on alone",
    )
    assert Policy(2, 15, False).looser_than(Policy(1, 60, True)) == ()
    assert Policy(1, 15, True, 1).looser_than(Policy(1, 15, True, 5)) == ("a run may go on with less of a fence",)
    assert Policy(1, 15, True, 0).wrong() and Policy(1, 15, True, 6).wrong() and not Policy(1, 15, True, 5).wrong()
    assert "below fence rung 5 (power or network cut" in Policy(1, 15, True, 5).words()
    assert "2 other people" in Policy(2, 15, False).words() and "may not go on alone" in Policy(2, 15, False).words()
