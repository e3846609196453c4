"""Executors that end by a fault of their own: told at once, and never for ever."""

from __future__ import annotations

import pytest

from drportal.audit.models import AuditEntry
from drportal.engine.states import RunState
from drportal.recovery import executor, stumbles
from drportal.recovery.models import RecoveryPlan, Run, RunImage
from tests.recovery.conftest import FAST, Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(plan: RecoveryPlan, ready: list[object], bell: Bell, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Asked for, and whoever takes it up falls over a missing key before anything is sent."""

    def no_key(*_: object) -> None:
        raise RuntimeError("no key file")

    monkeypatch.setattr(executor, "open_world", no_key)
    return ask(plan)


def driven(run: Run) -> Run:
    Run.objects.filter(pk=run.pk).update(lease_until=None)  # as if the last one's lease had run out
    assert executor.drive(run.pk, FAST) == "stumbled"
    run.refresh_from_db()
    return run


def test_the_first_fault_is_told_and_another_executor_begins_when_the_lease_has_run_out(run: Run) -> None:
    driven(run)
    assert run.state == RunState.APPROVED
    assert "RuntimeError: no key file" in run.sentence
    assert "Another one begins" in run.sentence
    assert executor.drive(run.pk, FAST) == "not to be driven, or driven by somebody else", "not at once"
    assert AuditEntry.objects.filter(run_id=run.pk, action="run.stumble").count() == 1


def test_a_run_that_cannot_begin_is_ended_and_lets_its_images_go(run: Run) -> None:
    for _ in range(stumbles.IN_A_ROW):
        driven(run)
    assert run.state == RunState.FAILED
    assert "Nothing was sent to any site" in run.sentence
    assert not RunImage.objects.filter(run=run, held=True).exists()
    assert AuditEntry.objects.filter(run_id=run.pk, action="run.give_up").count() == 1
    Run.objects.filter(pk=run.pk).update(lease_until=None)
    assert executor.drive(run.pk, FAST) == "not to be driven, or driven by somebody else"


def test_a_run_on_its_way_waits_for_a_person_with_its_images_held(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING.value)
    for _ in range(stumbles.IN_A_ROW):
        driven(run)
    assert run.state == RunState.PAUSED
    assert "waits for a person" in run.sentence
    assert RunImage.objects.filter(run=run, held=True).exists()
    assert run.stumbles == 0, "after a person's resume it is counted anew"


def test_a_cancelled_run_ends_and_lets_its_images_go(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLING.value)
    for _ in range(stumbles.IN_A_ROW):
        driven(run)
    assert run.state == RunState.FAILED
    assert "What it began is in its steps." in run.sentence
    assert not RunImage.objects.filter(run=run, held=True).exists()
