"""What a person may choose for a run that rests with work left, and what is said to follow from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drportal.engine.going_on import given_up, may_begin
from drportal.engine.partial import Choice, Decision, NoSuchChoice, Part, Rest, RestingStep, RestingVm, decide
from drportal.engine.plans import PlanInput, PlannedVm, RunKind, build
from drportal.engine.states import StepState

S = StepState
VMS = (PlannedVm("1", "db", 1, ("d1", "d2")), PlannedVm("2", "app", 2, ("p1",)), PlannedVm("3", "web", 3, ("w1",)))


def rest(kind: RunKind, states: Mapping[str, StepState], on_hold: Collection[str] = ()) -> Rest:
    """``states`` by how the step's key begins; all other steps are pending."""
    planned = build(kind, PlanInput(VMS, "Site A", "Site B"))
    steps = tuple(
        RestingStep(
            step.key, step.vm_key, step.kind, step.subject, step.site,
            next((state for key, state in states.items() if step.key.startswith(key)), S.PENDING), "said so",
            step.needs,
        )
        for step in planned
    )  # fmt: skip
    vms = tuple(RestingVm(vm.key, vm.name, vm.priority, f"{vm.name} was seen at Site A") for vm in VMS)
    return Rest(kind, "Site A", "Site B", steps, vms, frozenset(on_hold))


DISASTER = rest(RunKind.DISASTER_FAILOVER, {"image.force_promote:d2": S.FAILED, "image.free": S.SUCCEEDED})


def said(decision: Decision) -> str:
    return "\n".join(decision.consequences)


def test_how_far_each_vm_has_come() -> None:
    there = {"image.force_promote:d2": S.FAILED, "image.force_promote:p1": S.UNKNOWN, "image.free": S.SUCCEEDED}
    at = rest(RunKind.DISASTER_FAILOVER, there)
    assert [at.part(vm.key) for vm in VMS] == [Part.FAILED, Part.UNKNOWN, Part.WAITING]
    assert at.trouble("1") == "Force-promote d2 at Site B: said so"
    assert (at.trouble("3"), rest(at.kind, there, ["1"]).part("1")) == ("", Part.ON_HOLD)
    done = replace(at, steps=tuple(replace(step, state=S.SUCCEEDED) for step in at.steps), on_hold=frozenset({"1"}))
    assert done.part("1") is Part.DONE, "however it was held"


def test_retry_these_tries_only_these_and_says_what_comes_and_what_is_left() -> None:
    """The failed image first, then what waits for it; what is forced is said to be for good."""
    decision = decide(Choice.RETRY, DISASTER, ["1"])
    assert (decision.retried, decision.on_hold, decision.goes_on) == ({"1"}, frozenset(), True)
    text = said(decision)
    assert "db: tried again, from its first look on: “Force-promote d2 at Site B”; then “Force-promote d1" in text
    assert "can't be taken back" in text
    other = replace(
        DISASTER,
        steps=tuple(
            replace(step, state=S.FAILED) if step.key == "image.force_promote:p1" else step for step in DISASTER.steps
        ),
    )
    left = said(decide(Choice.RETRY, other, ["1"]))
    assert (
        "app: “Force-promote p1 at Site B” failed, and is not tried again. It stays as it is (app was seen at" in left
    )


def test_in_a_planned_run_it_is_said_who_waits_for_what_has_failed_and_what_goes_on_beside_it() -> None:
    """What a planned move has not begun when it stopped at its first error begins now, whosever it is."""
    off = {"vm.check": S.SUCCEEDED, "vm.power_off": S.SUCCEEDED}
    at = rest(RunKind.PLANNED_FAILOVER, {**off, "image.demote:d1": S.FAILED, "image.demote:p1": S.FAILED})
    text = said(decide(Choice.RETRY, at, ["2"]))
    assert "db: goes on with “Demote d2 at Site A”" in text
    assert "“Demote d1 at Site A” failed, and is not tried again." in text
    assert "app: tried again, from its first look on: “Demote p1 at Site A”; then “Promote p1" in text
    assert text.count("waits for db") == 2, "app's start, and web's behind it"
    only = rest(RunKind.FENCE, {"vm.stop_returned": S.FAILED})
    assert not decide(Choice.HOLD, only, ["1"]).goes_on


def test_a_hold_is_passed_over_named_and_can_be_undone() -> None:
    held = decide(Choice.HOLD, DISASTER, ["1"])
    assert (held.on_hold, held.retried, held.goes_on) == ({"1"}, frozenset(), True)
    text = said(held)
    assert "db is on hold. It stays as it is (db was seen at Site A). Not done: “Force-promote d1" in text
    assert "app no longer waits for db." in text
    assert "A hold can be undone" in text
    back = decide(Choice.RETRY, replace(DISASTER, on_hold=frozenset({"1"})), ["1"])
    assert (back.on_hold, back.retried) == (frozenset(), {"1"})


def test_the_critical_ones_go_on_and_the_rest_waits() -> None:
    decision = decide(Choice.CRITICAL, DISASTER, up_to=1)
    assert (decision.retried, decision.on_hold, decision.goes_on) == ({"1"}, {"2", "3"}, True)
    kept = decide(Choice.CRITICAL, replace(DISASTER, on_hold=frozenset({"1"})), up_to=2)
    assert (kept.retried, kept.on_hold) == (frozenset(), {"1", "3"}), "what a person holds stays held"


def test_stop_says_what_never_begins_and_whether_there_is_a_way_back() -> None:
    assert "What was forced stays forced" in said(decide(Choice.STOP, DISASTER))
    planned = rest(
        RunKind.PLANNED_FAILOVER, {"vm.check": S.SUCCEEDED, "vm.power_off": S.SUCCEEDED, "image.demote:d": S.FAILED}
    )
    text = said(decide(Choice.STOP, planned))
    assert "The way back to there is offered while it is safe" in text
    assert "db: It stays as it is (db was seen at Site A). Not done: “Demote d1 at Site A”" in text
    assert decide(Choice.STOP, rest(RunKind.FENCE, {})).consequences[-1].startswith("What was done stays done.")


def test_nothing_goes_on_where_all_that_is_left_is_held_or_failed() -> None:
    decision = decide(Choice.HOLD, DISASTER, ["1", "2", "3"])
    assert not decision.goes_on
    assert said(decision).startswith("Nothing goes on")


@pytest.mark.parametrize(
    ("choice", "given", "why"),
    [
        (Choice.RETRY, {}, "at least one VM"),
        (Choice.HOLD, {"chosen": ["9"]}, "no VM 9"),
        (Choice.CRITICAL, {}, "up to which priority"),
        (Choice.CRITICAL, {"up_to": 3}, "retry them instead"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_the_reason(choice: Choice, given: dict[str, object], why: str) -> None:
    with pytest.raises(NoSuchChoice, match=why):
        decide(choice, DISASTER, **given)  # type: ignore[arg-type]


def test_what_is_done_is_neither_retried_nor_held() -> None:
    done = replace(
        DISASTER,
        steps=tuple(replace(step, state=S.SUCCEEDED) if step.vm_key == "3" else step for step in DISASTER.steps),
    )
    with pytest.raises(NoSuchChoice, match="web is done"):
        decide(Choice.HOLD, done, ["3"])


@given(
    st.sampled_from([kind for kind in RunKind if kind is not RunKind.WAY_BACK]),
    st.lists(st.sampled_from(list(StepState)), min_size=40, max_size=40),
    st.sets(st.sampled_from("123")),
    st.sampled_from([Choice.RETRY, Choice.HOLD, Choice.CRITICAL]),
    st.sets(st.sampled_from("123")),
    st.integers(1, 5),
)
def test_whatever_is_chosen_nothing_of_a_held_vm_begins_and_all_is_named(
    kind: RunKind, states: list[StepState], held: set[str], choice: Choice, chosen: set[str], up_to: int
) -> None:
    at = rest(kind, {}, held)
    at = replace(at, steps=tuple(replace(step, state=state) for step, state in zip(at.steps, states, strict=False)))
    try:
        decision = decide(choice, at, chosen, up_to)
    except NoSuchChoice:
        return
    assert not decision.retried & decision.on_hold
    finished = {step.key for step in at.steps if not step.open}
    lost = frozenset(step.key for step in at.steps if step.open and step.vm_key in decision.on_hold)
    failed = {s.key for s in at.steps if s.state is S.FAILED and s.vm_key not in decision.retried}
    if kind is RunKind.DISASTER_FAILOVER:
        lost |= given_up(at.steps, failed)
    begins = {s for s in at.steps if s.open and s.key not in failed and may_begin(s, lost | finished, lost)}
    assert not {step.vm_key for step in begins} & decision.on_hold
    assert bool(begins) == decision.goes_on, "an executor is called when, and only when, it has something to do"
    text = said(decision)
    assert all(f"{vm.name} is on hold" in text for vm in VMS if vm.key in decision.on_hold)
    assert all(f"{vm.name}: " in text for vm in VMS if vm.key in {step.vm_key for step in begins})
