"""What holds is not over because nobody can see it: silence ends no alert and makes no exposure small."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from drportal.engine.alerts import AlertKind
from drportal.inventory.models import MirroredImage, SitePair
from drportal.recovery.models import RecoveryPlan, Run
from drportal.watch.conditions import conditions
from drportal.watch.models import CheckRequest, GroupTarget, ReadinessCheck
from tests.conftest import Person
from tests.recovery.conftest import make_vm
from tests.watch.test_metrics import scraped

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def plan(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> RecoveryPlan:
    SitePair.objects.update(polled_at=timezone.now())
    return make_plan("shop", make_vm(pair, "db", 1, ["one-1", "one-2"]))


def told(kind: AlertKind, now: dt.datetime | None = None) -> list[str]:
    return [one.sentence for one in conditions(now or timezone.now()) if one.kind is kind]


# --- exposure


def test_a_handover_that_nobody_watches_any_more_is_not_called_nothing(
    viewer: Person, plan: RecoveryPlan, pair: SitePair
) -> None:
    now = timezone.now()
    GroupTarget.objects.create(group=plan.group, rpo_s=60)
    MirroredImage.objects.update(verdict="handover_ready", protected_until=now - HOUR, primary_side="")
    image = MirroredImage.objects.get(name="one-1")
    assert viewer.read(f"/images/{image.pk}/exposure")["now"]["kind"] == "nothing"
    SitePair.objects.update(polled_at=now - HOUR)
    shown = viewer.read(f"/images/{image.pk}/exposure")["now"]
    assert (shown["kind"], shown["seconds"] >= 3600) == ("measured", True)
    assert "nobody watches" in shown["sentence"]
    assert viewer.read("/overview")["exposure"]["seconds"] >= 3600
    assert viewer.read("/overview")["groups"][0]["exposure"]["seconds"] >= 3600
    assert viewer.read(f"/pairs/{pair.pk}/pools/one")["exposure"]["seconds"] >= 3600
    assert scraped(viewer)["drportal_exposure_seconds"][0][1] >= 3600
    assert told(AlertKind.EXPOSURE)
    MirroredImage.objects.update(protected_until=None)
    assert viewer.read(f"/images/{image.pk}/exposure")["now"]["kind"] == "cannot_tell"
    assert viewer.read(f"/pairs/{pair.pk}/images")["items"][0]["exposure"]["kind"] == "cannot_tell"


def test_a_group_of_which_it_cannot_be_told_is_told_of(viewer: Person, plan: RecoveryPlan) -> None:
    now = timezone.now()
    GroupTarget.objects.create(group=plan.group, rpo_s=60)
    MirroredImage.objects.update(protected_until=now)
    assert told(AlertKind.EXPOSURE) == []
    MirroredImage.objects.filter(name="one-2").update(verdict="broken_mirroring", protected_until=None)
    (sentence,) = told(AlertKind.EXPOSURE)
    assert "of 1 of its images it cannot be told" in sentence
    assert "no bound" not in sentence
    assert scraped(viewer)["drportal_group_untold_images"] == [({"group": "shop"}, 1.0)]


# --- readiness


def checked(plan: RecoveryPlan, state: str, at: dt.datetime, **fields: Any) -> ReadinessCheck:
    """A check whose print is nothing like the rows: as after any change."""
    common: dict[str, Any] = {
        "kind": "planned_failover", "blockers": int(state != "ready"), "warnings": 0, "because": "", "first_at": at,
        "findings": [] if state == "ready" else [{"sentence": "It is locked."}],
        "seen": {"plan_version": 99, "active_site": "Elsewhere"},
    }  # fmt: skip
    return ReadinessCheck.objects.create(
        plan=plan, state=state, checked_at=at, digest=f"{state} {at}", **{**common, **fields}
    )


@pytest.mark.parametrize("state", ["not_ready", "cannot_tell"])
@pytest.mark.parametrize("minutes", [0, 40])
def test_a_lost_readiness_is_not_over_by_a_change_or_by_age(plan: RecoveryPlan, state: str, minutes: int) -> None:
    now = timezone.now()
    checked(plan, "ready", now - HOUR)
    checked(plan, state, now - dt.timedelta(minutes=minutes))
    (sentence,) = told(AlertKind.READINESS_LOST)
    assert "It is locked." in sentence
    checked(plan, "ready", now)
    assert told(AlertKind.READINESS_LOST) == []


def test_a_plan_that_moved_and_was_not_checked_since_keeps_its_alert(plan: RecoveryPlan, pair: SitePair) -> None:
    now = timezone.now()
    checked(plan, "ready", now - HOUR)
    checked(plan, "not_ready", now)
    plan.group.active_site = pair.b
    plan.group.save()
    assert len(told(AlertKind.READINESS_LOST)) == 1, "a check of the other direction would have to say so"


def test_a_plan_that_cannot_be_checked_is_told_of(plan: RecoveryPlan, pair: SitePair) -> None:
    now = timezone.now()
    checked(plan, "ready", now - dt.timedelta(minutes=20))
    CheckRequest.objects.create(plan=plan, asked_at=now, because="", trouble="The check failed: OSError: no space")
    assert told(AlertKind.READINESS_LOST) == []
    later = now + dt.timedelta(minutes=11)
    (sentence,) = told(AlertKind.READINESS_LOST, later)
    assert "could not be checked since" in sentence
    assert "no space" in sentence
    run = Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", state="running", plan_version=1, plan_copy={},
        source_site=pair.a, target_site=pair.b, requested_name="olga", request_key="k",
    )  # fmt: skip
    assert told(AlertKind.READINESS_LOST, later) == [], "while it is being moved it is not checked"
    Run.objects.filter(pk=run.pk).update(state="succeeded", finished_at=later)
    assert told(AlertKind.READINESS_LOST, later) == [], "it is given its time after the move"


def test_a_plan_that_was_never_verified_has_nothing_to_lose(plan: RecoveryPlan) -> None:
    checked(plan, "not_ready", timezone.now() - HOUR)
    assert told(AlertKind.READINESS_LOST) == []
