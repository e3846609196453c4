"""Each guard is taken out of the product in turn, and the machine of three people finds the harm that it kept away."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from drportal.engine import approvals, force_gates, gates, quarantine, return_gates
from drportal.engine.approvals import ApprovalFacts, Misfit, Unfit
from drportal.engine.facts import Mode, Side
from drportal.engine.gate_base import Reading
from drportal.engine.gates import GateId, GateOutcome, GateResult
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from tests.engine.people import Harm
from tests.engine.test_people_machine import ThreePeople


def met(gate: GateId) -> Callable[..., GateResult]:
    return lambda *_, **__: GateResult(gate, GateOutcome.MET, "(guard taken out)", {})


def blind_to(code: Unfit) -> Callable[..., Misfit | None]:
    """A judgement of approvals that overlooks one reason, and only that one."""
    real = approvals.misfit

    def judged(facts: ApprovalFacts, **given: Any) -> Misfit | None:
        wrong = real(facts, **given)
        if wrong is None or wrong.code is not code:
            return wrong
        match code:
            case Unfit.OTHER_RUN:
                return judged(dataclasses.replace(facts, run_id=given["run_id"]), **given)
            case Unfit.OTHER_PLAN:
                return judged(dataclasses.replace(facts, plan_version=given["plan_version"]), **given)
            case Unfit.OTHER_EVIDENCE:
                return judged(dataclasses.replace(facts, evidence_sha256=given["evidence_sha256"]), **given)
            case Unfit.OTHER_COMMANDS:
                return judged(dataclasses.replace(facts, commands=tuple(given["commands"])), **given)
            case Unfit.EXPIRED:
                return judged(dataclasses.replace(facts, expires_at=given["now"] + dt.timedelta(1)), **given)
            case Unfit.USED_BEFORE:
                return judged(dataclasses.replace(facts, state=approvals.ApprovalState.APPROVED), **given)
        return None

    return judged


def own_yes_counts(facts: ApprovalFacts) -> frozenset[int]:
    return facts.said_yes & facts.may_approve


def lost_role_counts(facts: ApprovalFacts) -> frozenset[int]:
    return facts.said_yes - {facts.requester_id}


def wants_the_dead_site(here: Any, there: Any, whole: Any, now: Any, **given: Any) -> GateResult:
    if there is None:
        return Reading(GateId.FORCE, now).unread("the role there")
    return force_gates_g_force(here, there, whole, now, **given)


def forgets_what_was_forced(here: Any, there: Any, now: Any, **given: Any) -> GateResult:
    return return_gates_g_peer(here, there, now, **{**given, "forced_here": False})


def wants_no_choice(here: Any, there: Any, now: Any, **given: Any) -> GateResult:
    return return_gates_g_peer(here, there, now, **{**given, "salvage_chosen": True})


force_gates_g_force, return_gates_g_peer = force_gates.g_force, return_gates.g_peer

CALM, LIVES = (0, ""), [""] * 8
History = Callable[[ThreePeople], object]


def disaster(
    misfortune: tuple[int, str] = CALM, *, dies: bool = True, says: str = "anna", stolen: bool = False
) -> History:
    return lambda three: three.a_disaster(dies, "olga", says, False, stolen, misfortune, LIVES)


def reprotect(misfortune: tuple[int, str] = CALM, *, salvage: str = "saved", wrong_way: bool = False) -> History:
    def history(three: ThreePeople) -> None:
        three.write(Side.A)
        three.a_site_is_lost_and_forced(Side.A, LIVES, False)
        three.the_lost_site_is_made_whole(salvage, True, wrong_way, misfortune)

    return history


def half_a_demotion(three: ThreePeople) -> None:
    three.a_planned_move(1, True, LIVES, CALM)


def lost_and_forced(three: ThreePeople) -> None:
    three.a_site_is_lost_and_forced(Side.A, LIVES, False)


def back_in_the_middle(*, pauses: bool, again: bool = False, forced: bool = True) -> History:
    """The fence's executor dies right after it has demoted."""
    first, dies = [""] if forced else [], ["", "after", "", ""]
    return lambda three: three.the_lost_site_is_back_in_the_middle(pauses, "back running", again, first, dies)


def waits_for_nobody(kind: RunKind, other: RunKind, state: RunState) -> bool:
    return kind is RunKind.FENCE


def stays_good(state: approvals.ApprovalState, event: approvals.ApprovalEvent) -> approvals.ApprovalState:
    return state


SEEDED: dict[str, tuple[Any, str, Callable[..., Any], History]] = {
    "I1 G-FORCE": (force_gates, "g_force", met(GateId.FORCE), disaster(dies=False)),
    "I3 G-OFF": (gates, "g_off", met(GateId.OFF), reprotect((1, "started"))),
    "I3 the salvage choice": (return_gates, "g_peer", wants_no_choice, reprotect(salvage="")),
    "I4 G-PEER": (return_gates, "g_peer", met(GateId.PEER), reprotect((0, "by hand"))),
    "I4 the record of what was forced": (return_gates, "g_peer", forgets_what_was_forced, reprotect(wrong_way=True)),
    "I5 G-FENCE and G-ALONE": (force_gates, "g_fence", met(GateId.FENCE), disaster((3, "returns running"))),
    "I5 G-ALONE": (force_gates, "g_alone", met(GateId.ALONE), disaster((3, "returns"))),
    "I6 G-APPROVAL at each command": (force_gates, "g_approval", met(GateId.APPROVAL), disaster((2, "late"))),
    "I6 own yes": (approvals, "counted", own_yes_counts, disaster(says="olga")),
    "I6 role removed": (approvals, "counted", lost_role_counts, disaster((1, "roles"))),
    "I6 second use": (approvals, "misfit", blind_to(Unfit.USED_BEFORE), disaster()),
    "I6 expired": (approvals, "misfit", blind_to(Unfit.EXPIRED), disaster((1, "late"))),
    "I6 another run": (approvals, "misfit", blind_to(Unfit.OTHER_RUN), disaster(stolen=True)),
    "I6 another plan version": (approvals, "misfit", blind_to(Unfit.OTHER_PLAN), disaster((1, "plan"))),
    "I6 other evidence": (approvals, "misfit", blind_to(Unfit.OTHER_EVIDENCE), disaster((1, "returns"))),
    "I6 other commands": (approvals, "misfit", blind_to(Unfit.OTHER_COMMANDS), disaster((1, "command"))),
    "I6 from before the fence": (
        approvals,
        "next_approval_state",
        stays_good,
        back_in_the_middle(pauses=True, again=True, forced=False),
    ),
    "I12 a fence waits until the other rests": (
        quarantine,
        "goes_before",
        waits_for_nobody,
        back_in_the_middle(pauses=False),
    ),
    "I11 a gate that wants the dead site": (force_gates, "g_force", wants_the_dead_site, lost_and_forced),
    "I14 G-DEMOTED": (gates, "g_demoted", met(GateId.DEMOTED), half_a_demotion),
}


def three_people() -> ThreePeople:
    """In snapshot mode: in journal mode Ceph itself refuses half a demotion."""
    three = ThreePeople()
    three.choose(Mode.SNAPSHOT)
    return three


@pytest.mark.parametrize("name", SEEDED)
def test_a_seeded_bug_in_the_guard_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One history of the machine's own rules: harmless as the product is, and with its guard taken out the harm of just
    that invariant."""
    module, guard, instead, history = SEEDED[name]
    if guard == "g_fence":  # G-ALONE refuses what it would let through
        monkeypatch.setattr(module, "g_alone", met(GateId.ALONE))
    history(three_people())
    monkeypatch.setattr(module, guard, instead)
    if guard == "misfit":
        monkeypatch.setattr(force_gates, "misfit", instead)  # which has it by its own name
    with pytest.raises(Harm) as found:
        history(three_people())
    assert str(found.value).startswith(f"{name.split()[0]} "), f"{found.value}, which is another one's"


def test_the_machine_finds_a_seeded_bug_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells it the history."""
    monkeypatch.setattr(return_gates, "g_peer", met(GateId.PEER))
    searching = settings(
        max_examples=2000, stateful_step_count=20, deadline=None, database=None, derandomize=True,
        phases=[Phase.generate], report_multiple_bugs=False,
    )  # fmt: skip
    with pytest.raises(Harm, match=r"^I4 "):
        run_state_machine_as_test(ThreePeople, settings=searching)  # type: ignore[no-untyped-call]
