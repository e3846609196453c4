"""The executor's writes: those that are alike are made in one go, and each is still a compare-and-set."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from drportal.drivers.base import Answer
from drportal.engine.gates import GateId, GateOutcome, GateResult
from drportal.engine.states import StepState
from drportal.recovery import changes
from drportal.recovery.lease import LeaseLost
from drportal.recovery.models import GateCheck, RecoveryPlan, Run, Step, StepAttempt
from drportal.recovery.recorder import joined
from tests.recovery.conftest import Bell, ask

NOW = dt.datetime(2026, 5, 4, 10, 0, tzinfo=dt.UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def run(plan: RecoveryPlan, ready: list[object], bell: Bell) -> Run:
    return ask(plan)


def running(step: Step, **other: int) -> changes.StepNow:
    return changes.StepNow(step.pk, other.get("version", step.version), StepState.RUNNING, "sent", 1, NOW, None)


def answer(said: str) -> Answer:
    return Answer("rbd info", "a", 0, said, "", NOW, 0.1)


def intent(step: Step) -> changes.Intent:
    return changes.Intent(step.pk, 1, uuid.uuid4(), 1, "rbd mirror image demote one/x", "a", NOW)


def read(step: Step, sentence: str, checks: int) -> changes.GateSeen:
    result = GateResult(GateId.OFF, GateOutcome.MET, sentence, {})
    return changes.GateSeen(step.pk, result, (answer("{}"),), checks, NOW)


def make(*wanted: changes.Change) -> int:
    """In one transaction, as the recorder does; how many statements it took."""
    with transaction.atomic(), CaptureQueriesContext(connection) as said:
        for change in joined(wanted):
            change()
    return len(said)


def test_what_many_steps_begin_at_once_costs_as_many_statements_as_what_one_does(run: Run) -> None:
    steps = list(run.steps.all())
    assert len(steps) > 5
    begun = [
        change
        for step in steps
        for change in (
            changes.step_change(running(step)),
            changes.attempt_opened(intent(step)),
            changes.gate_seen(read(step, "off", 1)),
        )
    ]
    assert make(*begun) == 3
    now = {step.pk: step for step in run.steps.all()}
    for step in steps:
        after = now[step.pk]
        assert (after.state, after.sentence, after.attempt) == ("running", "sent", 1)
        assert (after.version, after.started_at, after.finished_at) == (step.version + 1, NOW, None)
    assert StepAttempt.objects.filter(step__run=run, outcome="").count() == len(steps)
    assert GateCheck.objects.filter(step__run=run, gate="G-OFF", checks=1).count() == len(steps)


def test_an_end_fills_in_its_attempt_and_leaves_the_beginning(run: Run) -> None:
    first, second = run.steps.all()[:2]
    make(*(change for step in (first, second) for change in (
        changes.step_change(running(step)), changes.attempt_opened(intent(step))
    )))  # fmt: skip
    unknown = changes.AttemptEnd(first.pk, 1, "unknown", "no answer", NOW, (answer("first"),))
    make(changes.attempt_closed(unknown))
    later = NOW + dt.timedelta(seconds=5)
    ends = [changes.AttemptEnd(step.pk, 1, "done", "seen", later, (answer("then"),)) for step in (first, second)]
    done = changes.StepNow(first.pk, first.version + 1, StepState.SUCCEEDED, "seen", 1, None, later)
    make(*map(changes.attempt_closed, ends), changes.step_change(done))
    row = StepAttempt.objects.get(step=first)
    assert (row.outcome, row.sentence, row.finished_at, row.exit_status) == ("done", "seen", later, 0)
    assert [one["stdout"] for one in row.answers] == ["first", "then"]
    assert [one["stdout"] for one in StepAttempt.objects.get(step=second).answers] == ["then"]
    first.refresh_from_db()
    assert (first.started_at, first.finished_at) == (NOW, later)


def test_one_step_that_is_not_as_believed_takes_back_what_the_others_wrote(run: Run) -> None:
    steps = list(run.steps.all())[:3]
    wrong = [running(steps[0]), running(steps[1], version=steps[1].version + 1), running(steps[2])]
    with pytest.raises(LeaseLost):
        make(*map(changes.step_change, wrong))
    assert {step.state for step in run.steps.all()} == {"pending"}


def test_of_two_readings_of_a_gate_the_last_is_kept(run: Run) -> None:
    step = run.steps.all()[0]
    make(changes.gate_seen(read(step, "first", 1)), changes.gate_seen(read(step, "last", 2)))
    row = GateCheck.objects.get(step=step)
    assert (row.sentence, row.checks) == ("last", 2)
