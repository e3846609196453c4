"""The RPO target is what was agreed: it is kept beside the measurement, and its change is in the trail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drportal.audit.models import AuditEntry
from drportal.inventory.models import MirroredImage, SitePair
from drportal.recovery.models import RecoveryPlan
from drportal.watch.targets import targets_of_images
from tests.conftest import Person
from tests.recovery.conftest import make_vm

pytestmark = pytest.mark.django_db


def test_a_target_is_agreed_shown_and_taken_back(
    operator: Person, viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    group = make_plan("shop", make_vm(pair, "db", 1, ["one-1"])).group
    path = f"/groups/{group.pk}/rpo-target"
    assert viewer.api("PUT", path, {"rpo_s": 60}).status_code == 403
    assert operator.api("PUT", path, {"rpo_s": 0}).status_code == 422
    assert operator.api("PUT", path, {"rpo_s": 60}).json()["target_s"] == 60
    assert viewer.read(f"/groups/{group.pk}/exposure")["target_s"] == 60
    image = MirroredImage.objects.get(name="one-1")
    assert viewer.read(f"/images/{image.pk}/exposure")["target_s"] == 60
    assert viewer.read(f"/pairs/{pair.pk}/pools/one/exposure")["target_s"] == 60
    assert operator.api("PUT", path, {"rpo_s": None}).json()["target_s"] is None
    entries = AuditEntry.objects.filter(action="group.rpo_target").order_by("seq")
    assert [entry.payload for entry in entries] == [
        {"before_s": None, "after_s": 60},
        {"before_s": 60, "after_s": None},
    ]
    assert operator.api("PUT", "/groups/999/rpo-target", {"rpo_s": 60}).status_code == 404


def test_an_image_answers_to_the_strictest_of_its_groups(
    operator: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    strict = make_plan("a", make_vm(pair, "db", 1, ["one-1"])).group
    loose = make_plan("b", make_vm(pair, "app", 2, ["one-1", "one-2"])).group
    operator.api("PUT", f"/groups/{strict.pk}/rpo-target", {"rpo_s": 30})
    operator.api("PUT", f"/groups/{loose.pk}/rpo-target", {"rpo_s": 300})
    ids = {image.name: image.pk for image in MirroredImage.objects.all()}
    assert targets_of_images() == {ids["one-1"]: 30, ids["one-2"]: 300}
