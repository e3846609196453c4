"""The portal was upgraded, or taken back, in the middle of a run: what it cannot read it does not touch."""

from __future__ import annotations

import pytest

from drportal.engine.states import RunState
from drportal.recovery import executor
from drportal.recovery.models import RecoveryPlan, Run, RunImage
from tests.recovery.conftest import FAST, Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


def of_another_version(plan: RecoveryPlan, state: RunState) -> Run:
    """A run with a step of a kind that a later portal brought."""
    run = ask(plan)
    step = run.steps.all()[0]
    run.steps.filter(pk=step.pk).update(kind="image.teleport", key=f"image.teleport:{step.subject}")
    Run.objects.filter(pk=run.pk).update(state=state.value, lease_until=None)
    return run


def driven(run: Run) -> Run:
    executor.drive(run.pk, FAST)
    run.refresh_from_db()
    return run


def test_on_its_way_it_waits_for_a_person_with_its_images_held(
    plan: RecoveryPlan, ready: list[object], bell: Bell
) -> None:
    run = driven(of_another_version(plan, RunState.RUNNING))
    assert run.state == RunState.PAUSED, run.sentence
    assert "of a kind that this portal does not know" in run.sentence
    assert "the version that made it" in run.sentence
    assert RunImage.objects.filter(run=run, held=True).exists(), "nobody else may act on what it has begun"


@pytest.mark.parametrize("state", [RunState.APPROVED, RunState.CANCELLING])
def test_before_its_first_step_or_cancelled_it_ends(
    state: RunState, plan: RecoveryPlan, ready: list[object], bell: Bell
) -> None:
    run = driven(of_another_version(plan, state))
    assert run.state == RunState.FAILED, run.sentence
    assert not RunImage.objects.filter(run=run, held=True).exists()
