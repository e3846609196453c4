"""What the wizard says of an RPO target that no snapshot schedule there is can keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from drportal.inventory.models import MirroredImage, Pool, SitePair, SnapshotSchedules
from drportal.recovery.models import RecoveryPlan
from drportal.watch.models import GroupTarget
from tests.conftest import Person
from tests.recovery.conftest import make_vm


@pytest.mark.django_db
def test_a_preview_says_that_the_schedule_at_the_target_cannot_keep_the_rpo_target(
    operator: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    plan = make_plan("shop", make_vm(pair, "db", 1, ["one-1"]))
    MirroredImage.objects.update(mode="snapshot", primary_side="a")
    pool = Pool.objects.create(site=pair.b, name="one")
    SnapshotSchedules.objects.create(pool=pool, entries=[["one", "", "1h", ""]], read_at=timezone.now())

    def told() -> list[str]:
        seen = operator.read(f"/plans/{plan.pk}/preview?kind=planned_failover")
        return [sentence for sentence in seen["consequences"] if "RPO" in sentence]

    assert told() == [], "nothing was agreed"
    GroupTarget.objects.create(group=plan.group, rpo_s=600)
    assert told() == [
        "The RPO target of 600 s can't be kept after the move: Site-B takes a mirror snapshot of one/one-1 every 1h, "
        "so just before the next one at least 3600 s of writes are at one site only."
    ]
    SnapshotSchedules.objects.update(entries=[["one", "", "5m", ""]])
    assert told() == []
