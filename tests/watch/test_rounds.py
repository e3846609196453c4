"""The first page is worked out once a round, and says what working it out anew would say."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from drportal.engine.verdicts import VerdictCode
from drportal.inventory.models import MirroredImage, Pool, Site, SitePair, VirtualMachine, VmDisk
from drportal.recovery.models import ProtectionGroup, RecoveryPlan
from drportal.watch import rounds
from drportal.watch.api_exposure import worst_now
from drportal.watch.rounds import round_of, speakers
from tests.conftest import Person
from tests.recovery.conftest import make_vm

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_kept", {})


@pytest.fixture
def plan(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> RecoveryPlan:
    polled()
    return make_plan("shop", make_vm(pair, "db", 1, ["one-1", "one-2"]))


def polled() -> None:
    SitePair.objects.update(polled_at=timezone.now())


def shown(viewer: Person) -> dict[str, Any]:
    """Without the figures that grow between two answers."""
    told = viewer.read("/overview")
    for exposed in (told["exposure"], *(group["exposure"] for group in told["groups"])):
        exposed.pop("seconds")
    told["live"].pop("worker")
    return dict(told)


def test_a_second_look_in_the_same_round_asks_for_no_image_and_no_gap(viewer: Person, plan: RecoveryPlan) -> None:
    first = shown(viewer)
    with CaptureQueriesContext(connection) as made:
        assert shown(viewer) == first
    asked = " ".join(query["sql"] for query in made)
    for table in ("mirroredimage", "virtualmachine", "vmdisk", "captureddefinition", "siteresource"):
        assert f'FROM "inventory_{table}"' not in asked


def changes(plan: RecoveryPlan) -> list[Callable[[], object]]:
    """All sorts of things that the page depends on, as their writers write them."""
    images, pair = MirroredImage.objects.filter(name="one-1"), plan.group.pair

    def of_a_round(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: (work(), polled())

    def another_vm() -> None:
        vm = make_vm(pair, "web", 2, ["one-3"])
        plan.group.members.create(vm=vm, priority=2)
        RecoveryPlan.objects.filter(pk=plan.pk).update(version=2)

    return [
        of_a_round(lambda: images.update(verdict="two_primaries")),
        of_a_round(lambda: images.update(verdict="protected", protected_until=timezone.now())),
        of_a_round(lambda: images.update(gaps=[])),
        of_a_round(lambda: VmDisk.objects.create(vm=VirtualMachine.objects.get(), disk_id=7, kind="volatile")),
        of_a_round(lambda: images.update(gone_at=timezone.now())),
        of_a_round(lambda: Pool.objects.create(site=pair.a, name="one", mode="disabled")),
        another_vm,
        lambda: ProtectionGroup.objects.update(active_site=pair.b),
        lambda: Site.objects.filter(pk=pair.a_id).update(ceph_version="13.2.1", version=2),
        lambda: SitePair.objects.update(polled_at=timezone.now() - dt.timedelta(hours=1)),
        lambda: plan.delete(),
    ]


def test_whatever_changes_the_answer_is_that_of_working_it_out_anew(
    viewer: Person, plan: RecoveryPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [shown(viewer)]
    for change in changes(plan):
        change()
        told = shown(viewer)
        with monkeypatch.context() as patch:
            patch.setattr(rounds, "_kept", {})
            assert told == shown(viewer)
        seen.append(told)
    assert sum(one != other for one, other in pairwise(seen)) >= 8, "the changes do show"


def test_what_grows_with_time_grows_between_the_rounds(viewer: Person, plan: RecoveryPlan) -> None:
    pair, now = SitePair.objects.select_related("a", "b").get(), timezone.now()
    MirroredImage.objects.update(protected_until=now)
    kept = round_of(pair, now)
    assert round_of(pair, now + dt.timedelta(seconds=20)) is kept
    later = now + dt.timedelta(seconds=20)
    assert worst_now(kept.groups[plan.group_id], later).seconds == 20
    assert round_of(pair, now + dt.timedelta(seconds=rounds.KEEP_S)) is not kept, "gaps grow old without a round, too"


@pytest.mark.parametrize("polled_ago_s", [1, 3600])
def test_those_that_speak_are_as_bad_as_all_together(pair: SitePair, polled_ago_s: int) -> None:
    now, chance = timezone.now(), random.Random(7)
    pair.polled_at = now - dt.timedelta(seconds=polled_ago_s)
    for _ in range(300):
        rows = [
            MirroredImage(
                pair=pair,
                pool="one",
                name=str(number),
                verdict=chance.choice(list(VerdictCode)).value,
                protected_until=chance.choice([None, now - dt.timedelta(seconds=chance.randrange(9000))]),
            )
            for number in range(chance.randrange(1, 12))
        ]
        few, every = worst_now(speakers(rows), now), worst_now(rows, now)
        assert (few.kind, few.seconds) == (every.kind, every.seconds)
        assert {row.verdict for row in speakers(rows)} == {row.verdict for row in rows}
