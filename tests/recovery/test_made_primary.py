"""What the records say of a copy that a move demoted: whole as of then, until something was done to it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone

from drportal.inventory.models import MirroredImage
from drportal.recovery.building import copy_of_plan
from drportal.recovery.made_primary import handed_over_at, ours_at
from drportal.recovery.models import RecoveryPlan, Run, RunImage, Step, StepAttempt
from drportal.recovery.survivors import torn

pytestmark = pytest.mark.django_db


def key(name: str) -> str:
    return str(MirroredImage.objects.get(name=name).pk)


def sent(plan: RecoveryPlan, image: str, kind: str, side: str, outcome: str = "done", **fields: Any) -> None:
    """One step of a failed move from a to b, with one attempt."""
    pair, now = plan.group.pair, timezone.now()
    run = Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", source_site=pair.a, target_site=pair.b, plan_version=1,
        plan_copy={}, requested_name="olga", state="failed", request_key=uuid.uuid4().hex,
    )  # fmt: skip
    RunImage.objects.create(run=run, image_id=int(key(image)), held=False)
    step = Step.objects.create(
        run=run, key=kind, position=0, kind=kind, subject=image, vm_name="", site=getattr(pair, side), attempt=1,
        params={"image": key(image)}, finished_at=now, **{"state": "succeeded", **fields},
    )  # fmt: skip
    said = [{"stdout": '{"id": "5e2f1a", "name": "' + image + '"}'}]
    StepAttempt.objects.create(
        step=step, number=1, operation_id=uuid.uuid4(), fence=1, command="", host="", outcome=outcome, answers=said,
        intent_at=now - dt.timedelta(seconds=1),
    )  # fmt: skip


def test_what_a_move_demoted_is_whole_until_something_is_done_to_it(plan: RecoveryPlan) -> None:
    a, b = plan.group.pair.a, plan.group.pair.b
    assert not torn(plan.group)
    for image in ("one-1", "one-2"):
        sent(plan, image, "image.demote", "a")
    sent(plan, "one-3", "image.demote", "a", state="unknown")
    keys = [key(image) for image in ("one-1", "one-2", "one-3")]
    found = handed_over_at(a, keys)
    assert sorted(found) == sorted(keys[:2])
    assert handed_over_at(b, keys) == {}
    assert found[keys[0]].is_of("5e2f1a")
    assert not found[keys[0]].is_of("5e2f"), "the copy that was made anew since has another id"
    assert not found[keys[0]].is_of(None)
    assert torn(plan.group)

    sent(plan, "one-1", "image.promote_again", "a", outcome="refused")
    assert keys[0] in handed_over_at(a, keys), "nothing was done"
    sent(plan, "one-1", "image.promote_again", "a", outcome="unknown")
    sent(plan, "one-2", "image.resync", "a")
    assert handed_over_at(a, keys) == {}


def test_what_no_run_ever_moved_is_primary_at_home_by_right(plan: RecoveryPlan) -> None:
    a, b = plan.group.pair.a, plan.group.pair.b
    sent(plan, "one-1", "image.demote", "a")
    sent(plan, "one-1", "image.promote", "b")
    copy = copy_of_plan(plan, b, a)
    assert ours_at(a, copy) == {key("one-2"), key("one-3")}
    assert ours_at(b, copy) == {key("one-1")}, "of the others nobody knows who made them primary there"
