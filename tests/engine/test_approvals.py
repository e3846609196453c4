"""An approval fits one run, one plan version, one evidence, one command list; it expires; it counts once (I6)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from drportal.engine.approvals import (
    APPROVAL_TRANSITIONS,
    FINAL_APPROVAL,
    ApprovalEvent,
    ApprovalFacts,
    ApprovalState,
    Unfit,
    counted,
    misfit,
    next_approval_state,
)
from drportal.engine.states import IllegalTransition

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
COMMANDS = ("promote one/x by force", "promote one/y by force")
GOOD = ApprovalFacts(
    approval_id="a1",
    run_id=7,
    state=ApprovalState.APPROVED,
    plan_version=3,
    evidence_sha256="e" * 64,
    commands=COMMANDS,
    expires_at=NOW + dt.timedelta(minutes=15),
    requester_id=1,
    needed=1,
    said_yes=frozenset({2}),
    may_approve=frozenset({2, 3}),
)


def judged(facts: ApprovalFacts = GOOD, **changed: Any) -> Unfit | None:
    asked: dict[str, Any] = {
        "run_id": 7, "plan_version": 3, "evidence_sha256": "e" * 64, "commands": COMMANDS, "now": NOW, **changed,
    }  # fmt: skip
    found = misfit(facts, **asked)
    return found.code if found else None


def test_it_fits_what_it_was_given_for_and_any_part_of_it() -> None:
    assert judged() is None
    assert judged(commands=COMMANDS[:1]) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"run_id": 8}, Unfit.OTHER_RUN),
        ({"plan_version": 4}, Unfit.OTHER_PLAN),
        ({"evidence_sha256": "f" * 64}, Unfit.OTHER_EVIDENCE),
        ({"commands": (*COMMANDS, "promote one/z by force")}, Unfit.OTHER_COMMANDS),
        ({"now": NOW + dt.timedelta(minutes=15)}, Unfit.EXPIRED),
    ],
)
def test_anything_else_is_refused_by_its_own_code(changed: dict[str, Any], code: Unfit) -> None:
    assert judged(**changed) is code


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (replace(GOOD, state=ApprovalState.USED), Unfit.USED_BEFORE),
        (replace(GOOD, state=ApprovalState.REQUESTED), Unfit.NOT_APPROVED),
        (replace(GOOD, state=ApprovalState.DECLINED), Unfit.NOT_APPROVED),
        (replace(GOOD, state=ApprovalState.VOID), Unfit.NOT_APPROVED),
        (replace(GOOD, state=ApprovalState.EXPIRED), Unfit.EXPIRED),
        (replace(GOOD, may_approve=frozenset()), Unfit.TOO_FEW),
        (replace(GOOD, said_yes=frozenset({1}), may_approve=frozenset({1})), Unfit.TOO_FEW),
        (replace(GOOD, needed=2), Unfit.TOO_FEW),
    ],
)
def test_a_yes_that_is_none_is_refused(facts: ApprovalFacts, code: Unfit) -> None:
    assert judged(facts) is code


def test_the_run_that_used_it_goes_on_with_it_until_it_expires_and_no_other_does() -> None:
    used = replace(GOOD, state=ApprovalState.USED)
    assert judged(used, used=True) is None
    assert judged(GOOD, used=True) is Unfit.NOT_APPROVED, "it was never taken into use"
    assert judged(used, used=True, now=GOOD.expires_at) is Unfit.EXPIRED


def test_the_requester_never_counts() -> None:
    assert counted(replace(GOOD, said_yes=frozenset({1, 2}), may_approve=frozenset({1, 2}))) == {2}


def test_final_is_final() -> None:
    assert {row.from_ for row in APPROVAL_TRANSITIONS} == set(ApprovalState) - FINAL_APPROVAL
    for state in FINAL_APPROVAL:
        for event in ApprovalEvent:
            with pytest.raises(IllegalTransition):
                next_approval_state(state, event)
    with pytest.raises(IllegalTransition):
        next_approval_state(ApprovalState.REQUESTED, ApprovalEvent.USE)


def test_what_it_is_bound_to_is_in_its_hash() -> None:
    hashes = {
        replace(GOOD, **changed).sha256
        for changed in ({}, {"run_id": 8}, {"plan_version": 4}, {"evidence_sha256": "f" * 64}, {"commands": ("x",)})
    }
    assert len(hashes) == 5
