"""Which pairs of records agree, which differ, and which can't be judged yet."""

from __future__ import annotations

import dataclasses

import pytest

from drportal.engine.receipts import Difference, DifferenceWord, Kept, Sent, compared

COMMAND = "rbd mirror image demote one/one-10"
SENT = Sent("demote", "one/one-10", COMMAND, "group", 3_000_001, "done", settled=True, told=True)
KEPT = Kept("demote", "one/one-10", COMMAND, "group", 3_000_001, "done", "answered", "None")


def sent(**changes: object) -> Sent:
    return dataclasses.replace(SENT, **changes)  # type: ignore[arg-type]


def kept(**changes: object) -> Kept:
    return dataclasses.replace(KEPT, **changes)  # type: ignore[arg-type]


def word(said: Difference | bool) -> str | bool:
    return said.word.value if isinstance(said, Difference) else said


@pytest.mark.parametrize(
    ("ours", "state", "how", "reason", "said"),
    [
        ("done", "done", "answered", "", True),
        ("found_done", "done", "found", "", True),
        ("conflict", "done", "answered", "", True),
        ("not_done", "done", "answered", "", "outcome"),
        ("refused", "done", "answered", "", "outcome"),
        ("unknown", "done", "answered", "", "outcome"),
        ("", "done", "answered", "", "outcome"),
        ("not_done", "not-done", "answered", "other", True),
        ("refused", "not-done", "answered", "demotion-not-arrived", True),
        ("unreachable", "not-done", "barred", "", True),
        ("done", "not-done", "answered", "is-primary", True),
        ("done", "not-done", "answered", "other", "outcome"),
        ("found_done", "not-done", "barred", "", "outcome"),
        ("done", "unknown", "found", "", True),
        ("unknown", "unknown", "found", "", "outcome"),
    ],
)
def test_outcomes(ours: str, state: str, how: str, reason: str, said: str | bool) -> None:
    assert word(compared(sent(outcome=ours), kept(state=state, how=how, reason=reason))) == said


@pytest.mark.parametrize("outcome", ["", "unknown", "unreachable"])
def test_what_is_not_over_is_not_judged(outcome: str) -> None:
    assert compared(sent(outcome=outcome, settled=False), KEPT) is False
    assert compared(SENT, kept(state="begun")) is False
    assert compared(None, kept(state="begun")) is False


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "promote"},
        {"source": "one/one-11"},
        {"command": "rbd mirror image promote --force one/one-10"},
        {"group": "another"},
        {"fence": 3_000_000},
    ],
)
def test_another_act_under_the_same_id_is_told_with_both_sides(change: dict[str, object]) -> None:
    said = compared(SENT, kept(**change))
    assert isinstance(said, Difference) and said.word is DifferenceWord.OTHER_ACT
    assert str(next(iter(change.values()))) in said.sentence


def test_a_promotion_was_forced_under_a_yes_that_its_run_was_given_and_no_other() -> None:
    first, second, strange = "a" * 64, "b" * 64, "c" * 64
    forced = sent(verb="force-promote", approvals=(second, first))
    for given in (first, second):
        assert compared(forced, kept(verb="force-promote", approval=given)) is True
    for ours, theirs in ((forced, strange), (forced, ""), (sent(verb="force-promote"), strange)):
        said = compared(ours, kept(verb="force-promote", approval=theirs))
        assert isinstance(said, Difference) and said.word is DifferenceWord.OTHER_ACT
        assert f"{' or '.join(ours.approvals) or 'none'} here, {theirs or 'none'} at the site" in said.sentence
    assert word(compared(SENT, kept(approval=strange))) == "other_act", "and nothing else is done under one"


def test_an_act_that_the_portal_knows_nothing_of() -> None:
    assert word(compared(None, KEPT)) == "unknown_here"
    assert compared(None, kept(state="not-done", how="barred")) is True


def test_a_receipt_that_is_gone() -> None:
    assert word(compared(SENT, None)) == "missing_there"
    assert compared(sent(told=False), None) is True, "the portal was never told of one"
    assert compared(sent(outcome="refused"), None) is True, "what is refused has no receipt"
