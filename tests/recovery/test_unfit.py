"""The disaster door: what it refuses by name, and what it only warns of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drportal.inventory.models import VmDisk
from drportal.recovery import unfit
from drportal.recovery.models import Approval, RecoveryPlan
from drportal.recovery.services import disaster
from tests.conftest import Person

pytestmark = pytest.mark.django_db


def test_a_vm_whose_disk_dies_with_it_is_refused_by_name_and_the_others_are_saved(
    plan: RecoveryPlan, seen: dict[str, Any], request_of: Callable[..., Any], approver: Person
) -> None:
    db = plan.group.members.get(vm__name="db-1").vm
    VmDisk.objects.create(vm=db, disk_id=7, kind="volatile", source="")
    door = disaster.disaster_door(plan.pk)
    assert door.blockers == ()
    (note,) = door.notes
    assert note.startswith("db-1 is refused, the others go on: 1 disk of 3 cannot be moved: disk 7 is volatile")
    assert "onevm disk-detach" in note
    assert request_of().status_code == 201
    shown = approver.api("GET", f"/approvals/{Approval.objects.get().pk}").json()
    assert shown["notes"] == [note], "who says yes reads it too"


def test_where_no_vm_can_be_saved_nothing_is_asked_for(
    plan: RecoveryPlan, seen: dict[str, Any], request_of: Callable[..., Any]
) -> None:
    for member in plan.group.members.all():
        VmDisk.objects.create(vm=member.vm, disk_id=7, kind="clone", source="one/one-7-1-7")
    answer = request_of()
    assert answer.status_code == 409
    assert "No VM can be saved" in answer.json()["detail"]
    assert "onevm disk-saveas" in answer.json()["detail"]


@pytest.mark.parametrize("side", ["here", "there"])
def test_one_way_mirroring_is_said_with_its_remedy_and_lets_what_is_whole_be_saved(
    plan: RecoveryPlan, seen: dict[str, Any], side: str
) -> None:
    disaster.disaster_door(plan.pk)
    for image in seen["images"].values():
        image["peer_direction"] = "rx-only" if side == "here" else "rx-tx"
        image["last_heard_there"] = {"peer_direction": "tx-only" if side == "there" else "rx-tx"}
    door = disaster.disaster_door(plan.pk)
    assert door.blockers == ()
    (note,) = door.notes
    assert note.startswith("Pool one: Mirroring goes one way only")
    assert "Reprotect is refused until that is mended" in note
    assert "--direction rx-tx" in note


def test_what_is_fit_has_no_notes(plan: RecoveryPlan, seen: dict[str, Any]) -> None:
    door = disaster.disaster_door(plan.pk)
    assert (door.blockers, door.notes) == ((), ())
    assert unfit.fit_images(door.copy) == {image.key for image in door.copy.images()}
