"""What a run cost: time until every VM ran again, and data lost, from rows as an executor leaves them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from drportal.engine.recovery_time import TimeWord
from drportal.recovery.models import Approval, Evidence, MeasuredLoss, RecoveryPlan, Run, StepAttempt
from drportal.recovery.reckoning import losses_of, time_of, vm_times
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)
LOST = dt.datetime(2026, 4, 1, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def disaster(plan: RecoveryPlan, bell: Bell, ready: list[Any]) -> Run:
    """Ended: both VMs were seen running 90 and 100 s after contact was lost."""
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_s=120)
    plan.refresh_from_db()
    run = ask(plan, actor="olga")
    Run.objects.filter(pk=run.pk).update(kind="disaster_failover", state="succeeded", started_at=LOST, finished_at=LOST)
    run.steps.exclude(kind="vm.start").delete()
    for number, step in enumerate(run.steps.filter(kind="vm.start")):
        step.kind, step.state = "vm.start_alone", "succeeded"
        step.finished_at = LOST + dt.timedelta(seconds=90 + 10 * number)
        step.save()
    run.images.update(held=False)
    run.refresh_from_db()
    return run


def yes(run: Run, digest: str, images: dict[str, dict[str, Any]], *, used: bool = True) -> Approval:
    content = {
        "images": images,
        "source_reachable": {
            "ssh": [False, LOST.isoformat(), "no route"],
            "ceph": [False, (LOST + dt.timedelta(seconds=5)).isoformat(), ""],
            "opennebula": [True, None, ""],
        },
    }
    evidence = Evidence.objects.create(sha256=digest * 64, content=content, taken_at=LOST)
    return Approval.objects.create(
        run=run, token=digest, state="used", evidence=evidence, plan_version=1, commands=[], attested_by="olga",
        attestation="cut", requested_by=User.objects.get_or_create(username="olga")[0], expires_at=LOST,
        used_at=timezone.now() if used else None,
    )  # fmt: skip


def image(name: str, seconds: float | None) -> dict[str, Any]:
    return {"name": name, "loss_s": seconds, "loss": f"{seconds} s"}


def test_a_disaster_is_timed_from_the_loss_of_contact_to_the_last_vm(disaster: Run) -> None:
    yes(disaster, "a", {"1": image("one/one-1", 4.0)})
    steps = list(disaster.steps.all())
    assert all(vm.running_at for vm in vm_times(steps)), "a VM that was started alone was seen running too"
    found = time_of(disaster, steps)
    assert (found.word, found.measured_s, found.target_s) == (TimeWord.WITHIN, 100.0, 120)
    assert f"from when contact with {disaster.source_site.name} was lost" in found.sentence


def test_without_evidence_it_is_timed_from_the_request_and_says_so(disaster: Run) -> None:
    yes(disaster, "a", {"1": image("one/one-1", 4.0)}, used=False)
    Run.objects.filter(pk=disaster.pk).update(created_at=LOST + dt.timedelta(seconds=40))
    disaster.refresh_from_db()
    found = time_of(disaster, list(disaster.steps.all()))
    assert found.measured_s == 60.0
    assert "when contact was lost is not known" in found.sentence


def test_losses_are_those_of_the_yes_that_was_used_and_a_later_one_speaks_for_its_images(disaster: Run) -> None:
    assert losses_of(disaster).sentence == "Nothing was forced: no yes was used."
    yes(disaster, "a", {"1": image("one/one-1", 4.0), "2": image("one/one-2", 9.0)})
    yes(disaster, "b", {"2": image("one/one-2", None)})
    found = losses_of(disaster)
    assert [(lost.image, lost.bound_s, lost.exact) for lost in found.images] == [
        ("one/one-1", 4.0, ""),
        ("one/one-2", None, ""),
    ]
    said = "At most the writes of the 4 s before contact was lost; no bound is known for 1 of 2 images"
    assert found.sentence.startswith(said)


def test_what_was_measured_first_after_it_at_the_lost_site_is_what_it_lost(disaster: Run, plan: RecoveryPlan) -> None:
    lost = disaster.images.select_related("image").order_by("pk")[0].image
    name = f"{lost.pool}/{lost.name}"
    yes(disaster, "a", {str(lost.pk): image(name, 4.0), "0": image("one/other", 2.0)})
    assert losses_of(disaster).sentence.endswith(" Not found exactly yet.")
    before = Run.objects.get(pk=disaster.pk)
    for pk, site, sentence in (
        (disaster.pk + 1, disaster.target_site, "of the other site"),
        (disaster.pk + 2, disaster.source_site, "3 writes, 12288 bytes"),
        (disaster.pk + 3, disaster.source_site, "of a later accident"),
    ):
        before.pk, before.request_key = pk, f"later-{pk}"
        before.save(force_insert=True)
        MeasuredLoss.objects.create(image=lost, run_id=pk, site=site, sentence=sentence, measured_at=timezone.now())
    found = losses_of(disaster)
    assert {one.image: one.exact for one in found.images} == {name: "3 writes, 12288 bytes", "one/other": ""}
    assert found.sentence.endswith(" Found exactly for 1 of 2 images.")


def test_the_review_tells_time_losses_and_what_it_can_be_held_against(manager: Person, disaster: Run) -> None:
    yes(disaster, "a", {"1": image("one/one-1", 4.0)})
    review = manager.read(f"/runs/{disaster.pk}/review")
    assert review["recovery"]["word"] == "within"
    assert review["losses"]["images"][0]["bound_s"] == 4.0
    head = manager.read("/audit/chain")["head"]
    assert (review["made"]["head_seq"], review["made"]["head_hash"]) == (head["seq"], head["hash"])
    assert review["made"]["by"] == "manager"


def test_deviations_are_said_in_plain_words(manager: Person, disaster: Run) -> None:
    yes(disaster, "a", {"1": image("one/one-1", 4.0)})
    assert manager.read(f"/runs/{disaster.pk}/review")["deviations"] == []
    Approval.objects.update(glass=True)
    Run.objects.filter(pk=disaster.pk).update(rto_s=10)
    step = disaster.steps.order_by("position")[0]
    for number, said in ((1, "The connection was lost; what became of it is not known."), (2, "Seen running.")):
        StepAttempt.objects.create(
            step=step, number=number, operation_id=uuid.uuid4(), fence=1, command="start", host="b", intent_at=LOST,
            sentence=said,
        )  # fmt: skip
    told = manager.read(f"/runs/{disaster.pk}/review")["deviations"]
    assert len(told) == 3
    assert "one person alone" in told[0]
    assert told[1].endswith("took 2 attempts. The first: The connection was lost; what became of it is not known.")
    assert "90 s beyond the target of 10 s" in told[2]
