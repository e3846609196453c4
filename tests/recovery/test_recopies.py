"""The run's page tells how far the copies are that it makes anew, and nothing that was so before it began."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.utils import timezone

from drportal.engine.facts import CopyLook, SideFacts, StatusFacts
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Finding
from drportal.inventory.facts import side_as_text
from drportal.inventory.models import MirroredImage
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.presenters import RunPage
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask

GIB = 2**30


@pytest.fixture
def going(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> Run:
    """A reprotect whose images one-1 to one-3 are discarded, and waited for."""
    plan.group.active_site = plan.group.pair.b
    plan.group.save()
    MirroredImage.objects.update(verdict="diverged", primary_side="b")
    run = ask(plan, RunKind.REPROTECT)
    ended = timezone.now() - dt.timedelta(seconds=60)
    run.steps.filter(kind="image.resync").update(state="succeeded", attempt=1, finished_at=ended)
    run.steps.filter(kind="image.follows").update(state="waiting")
    return run


def told(name: str, status: StatusFacts | None, *looks: CopyLook) -> None:
    row = MirroredImage.objects.get(name=name)
    row.side_a, row.size_bytes = json.loads(side_as_text(SideFacts(True, status=status, copying=looks))), GIB
    row.save()


def copying(percent: int | None, age_s: float = 5.0) -> StatusFacts:
    now = timezone.now()
    return StatusFacts("up+syncing", "bootstrapping", True, age_s, None, now, copied_percent=percent)


def test_each_image_and_the_run_tell_bytes_rate_end_and_age(going: Run, operator: Person) -> None:
    status = copying(50)
    assert status.written_at is not None
    told("one-1", status, CopyLook(status.written_at - dt.timedelta(seconds=25), 25), CopyLook(status.written_at, 50))
    told("one-2", None)
    going.steps.filter(kind="image.follows", subject="one/one-3").update(state="succeeded")
    found = operator.read(f"/runs/{going.pk}")
    first, second, third = found["recopy"]["images"]
    size = 2**20  # the plan's copy of the image
    assert (first["image"], first["state"], first["copied_bytes"]) == ("one/one-1", "copying", size // 2)
    assert first["bytes_per_second"] == pytest.approx(size / 100)
    assert first["eta_s"] == pytest.approx(50)
    assert (second["state"], second["copied_bytes"], second["eta_s"]) == ("untold", None, None)
    assert (third["state"], third["copied_bytes"]) == ("whole", size)
    run = found["recopy"]
    assert (run["whole"], run["copying"], run["untold"], run["copied_bytes"]) == (1, 1, 1, size * 3 // 2)
    assert run["eta_s"] is None, "of one image nothing is told"
    cells = {image["name"]: image["cells"]["image.follows"]["word"] for vm in found["vms"] for image in vm["images"]}
    assert cells == {"one/one-1": "Copying 50 %", "one/one-2": "Copying", "one/one-3": "Done"}

    side = operator.read(f"/images/{MirroredImage.objects.get(name='one-1').pk}")["sides"]["site-a"]
    assert (side["recopy"]["copied_bytes"], side["recopy"]["percent"]) == (GIB // 2, 50)


def test_what_was_written_before_the_discard_is_of_the_copy_that_is_gone(going: Run) -> None:
    for name in ("one-1", "one-2", "one-3"):
        told(name, copying(90, age_s=70))
    found = RunPage(going).out().recopy
    assert found is not None
    assert (found.untold, found.copied_bytes) == (3, 0)


def test_what_needs_no_copy_is_left_out_and_what_is_not_begun_is_nothing_yet(going: Run) -> None:
    told("one-1", copying(90))
    going.steps.filter(kind="image.resync", subject="one/one-1").update(state="pending", attempt=0)
    going.steps.filter(subject="one/one-2", kind="image.resync").update(attempt=0)
    going.steps.filter(subject="one/one-2", kind="image.follows").update(state="succeeded")
    follows = StatusFacts("up+replaying", "replaying, {}", False, 5.0, 0, timezone.now(), caught_up_once=True)
    told("one-3", follows)
    found = RunPage(going).out().recopy
    assert found is not None
    states = {one.image: (one.state, one.copied_bytes) for one in found.images}
    assert states == {"one/one-1": ("not_begun", 0), "one/one-3": ("whole", 2**20)}


def test_a_run_that_makes_no_copies_tells_of_none(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    assert RunPage(ask(plan)).out().recopy is None
