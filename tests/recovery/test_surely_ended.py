"""When "not done" is believed after an answer was lost."""

from __future__ import annotations

import datetime as dt
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from drportal.drivers.base import Answer
from drportal.drivers.orders import Receipt
from drportal.engine.steps import StepKind
from drportal.recovery.acts.base import Probe, cannot_tell, not_done
from drportal.recovery.step_runner import StepRunner

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
ANSWER = Answer("receipt", "site-b", 0, "", "", NOW, 0.1)
SEEN_TWICE: Probe = not_done("It is not so.", None)


def receipt(state: str, *, going_on: bool = False) -> Receipt:
    return Receipt("operation-1", state, going_on, "", ANSWER)


def runner(
    told: Receipt | None,
    *,
    sent_s_ago: float,
    foreign: tuple[str, ...] = (),
    kind: StepKind = StepKind.IMAGE_PROMOTE,
) -> Any:
    async def asked() -> Receipt | None:
        return told

    async def watchers(_: object) -> tuple[Any, Answer]:
        return SimpleNamespace(foreign=foreign), ANSWER

    image = SimpleNamespace(pool="one", name="disk")
    task = SimpleNamespace(end=SimpleNamespace(goes_on=lambda _: False, watchers=watchers), image=image)
    step = SimpleNamespace(last_sent_at=NOW - dt.timedelta(seconds=sent_s_ago), sent_command="", task=task, kind=kind)
    world, pace = SimpleNamespace(clock=lambda: NOW), SimpleNamespace(settle_s=35.0)
    made = SimpleNamespace(step=step, world=world, pace=pace, _receipt=asked)
    made.act = SimpleNamespace(patience_s=lambda _: 300.0)
    made._does_not_show = partial(StepRunner._does_not_show, made)
    return made


@pytest.mark.parametrize(
    ("told", "before", "sent_s_ago", "foreign", "believed"),
    [
        (receipt("not-done"), None, 1, (), True),
        # It was done, and does not show yet: a resync is obeyed at the daemon's next beat. Not sent a second time.
        (receipt("done"), SEEN_TWICE, 299, (), False),
        (receipt("done"), SEEN_TWICE, 300, (), True),
        (receipt("begun", going_on=True), SEEN_TWICE, 600, (), False),
        # Its process died and the site can't tell its end: it is looked at as if there were no receipt.
        (receipt("begun"), SEEN_TWICE, 600, (), True),
        (receipt("begun"), SEEN_TWICE, 1, (), False),
        (receipt("begun"), None, 600, (), False),
        (receipt("begun"), cannot_tell("No answer."), 600, (), False),
        (receipt("begun"), SEEN_TWICE, 600, ("client.5",), False),
        (None, SEEN_TWICE, 600, (), True),
        (None, SEEN_TWICE, 1, (), False),
    ],
)
async def test_not_done_is_believed(
    told: Receipt | None, before: Probe | None, sent_s_ago: float, foreign: tuple[str, ...], believed: bool
) -> None:
    one = runner(told, sent_s_ago=sent_s_ago, foreign=foreign)
    assert await StepRunner._surely_ended(one, before) is believed
    contradicted = believed and told is not None and told.state == "done"
    assert bool(getattr(one.step, "bad_end", "")) is contradicted, "a person decides, and nothing is sent again"


@pytest.mark.parametrize("kind", [StepKind.IMAGE_SHUT_OUT, StepKind.IMAGE_LET_IN])
async def test_who_is_shut_out_is_no_sign_that_the_act_goes_on(kind: StepKind) -> None:
    one = runner(None, sent_s_ago=600, foreign=("client.5",), kind=kind)
    assert await StepRunner._surely_ended(one, SEEN_TWICE)
