"""Readiness of hundreds of plans: each within its quarter of an hour, without a query a plan to find who is due."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from drportal import jobs
from drportal.engine.facts import Side
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Capacity, ReadinessInput
from drportal.engine.standing import CHECK_EVERY_S
from drportal.inventory.models import CapturedDefinition, MirroredImage, Site, SitePair, VirtualMachine, VmDisk
from drportal.recovery.models import GroupMember, ProtectionGroup, RecoveryPlan
from drportal.watch import readiness, schedule
from drportal.watch.models import CheckRequest, ReadinessCheck
from drportal.watch.readiness import ask_for_checks, next_to_ring_for
from drportal.watch.schedule import CHECKS_AT_ONCE, TICK_S, Schedule, check_readiness
from tests.conftest import Person
from tests.recovery.conftest import Mover, StandIn
from tests.stack import LabProcess

CHECK_TAKES_S = 5.0


def make_plans(pair: SitePair, numbers: range) -> None:
    """Each with a VM of one disk."""
    now = timezone.now()
    Site.objects.update(ceph_through="rbd")  # and so no receipts to be compared first
    for n in numbers:
        group = ProtectionGroup.objects.create(pair=pair, name=f"g{n}", home_site=pair.a, active_site=pair.a)
        vm = VirtualMachine.objects.create(
            site=pair.a, one_id=n, name=f"vm-{n}", phase="running", state_word="RUNNING", read_at=now
        )
        image = MirroredImage.objects.create(pair=pair, pool="one", name=f"one-{n}", verdict="protected")
        VmDisk.objects.create(vm=vm, disk_id=0, kind="persistent", source=str(image), image=image)
        CapturedDefinition.objects.create(vm=vm, number=1, vm_xml="", sha256="0", captured_at=now, seen_at=now)
        GroupMember.objects.create(group=group, vm=vm, priority=3)
        RecoveryPlan.objects.create(group=group, name=f"plan {n}")


class Clock:
    """Time as the schedule's jobs see it: it passes with checks and with ticks, not with the machine's load."""

    def __init__(self) -> None:
        self.now_s, self.lock = 1000.0, threading.Lock()

    def monotonic(self) -> float:
        return self.now_s

    def pass_by(self, seconds: float) -> None:
        with self.lock:
            self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Checks take ``CHECK_TAKES_S`` each, as many beside each other as the job says; jobs run at once when rung for."""
    clock = Clock()
    nothing = ReadinessInput(Side.A, (), (), (), (), True, Capacity(0, 0, 0.0, 0.0))

    def assess(kind: RunKind, group: Any, plan: Any, source: Any, target: Any) -> StandIn:
        clock.pass_by(CHECK_TAKES_S / CHECKS_AT_ONCE)
        return StandIn(kind, plan, (), nothing)

    monkeypatch.setattr(readiness, "assess_now", assess)
    monkeypatch.setattr(readiness.building, "copy_of_plan", lambda *_: None)
    monkeypatch.setattr(schedule, "time", clock)
    monkeypatch.setattr(schedule, "ring_for_readiness", check_readiness)
    monkeypatch.setattr(jobs, "default_queue_is_idle", lambda: True)
    monkeypatch.setattr(jobs, "waiting_runs", set)
    yield clock


@pytest.mark.django_db(transaction=True)
def test_five_hundred_plans_are_each_checked_within_a_quarter_of_an_hour(pair: SitePair, clock: Clock) -> None:
    make_plans(pair, range(500))
    began, ticker = clock.now_s, Schedule()
    while ReadinessCheck.objects.count() < 500:
        ticker.tick()
        clock.pass_by(TICK_S)
        assert clock.now_s - began < CHECK_EVERY_S, f"only {ReadinessCheck.objects.count()} of 500"
    assert not CheckRequest.objects.exists()
    assert clock.now_s - began > 500 * CHECK_TAKES_S / CHECKS_AT_ONCE, "the measure counts what they cost"


@pytest.mark.django_db(transaction=True)
def test_a_run_that_waits_goes_first(pair: SitePair, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plans(pair, range(20))
    monkeypatch.setattr(jobs, "waiting_runs", lambda: {7} if clock.now_s > 1006 else set())
    Schedule().tick()
    assert 4 <= ReadinessCheck.objects.count() <= 4 + CHECKS_AT_ONCE
    assert CheckRequest.objects.exists(), "the others are not forgotten"


@pytest.mark.django_db(transaction=True)
def test_one_that_fails_stops_none_of_the_others(pair: SitePair, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plans(pair, range(10))
    assess = readiness.assess_now

    def stumbling(kind: RunKind, group: Any, *rest: Any) -> Any:
        if group.name == "g3":
            raise OSError("no space")
        return assess(kind, group, *rest)

    monkeypatch.setattr(readiness, "assess_now", stumbling)
    Schedule().tick()
    assert ReadinessCheck.objects.count() == 9
    assert "no space" in CheckRequest.objects.get().trouble


@pytest.mark.django_db(transaction=True)
def test_much_of_one_kind_does_not_keep_another_waiting(
    pair: SitePair, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []

    def kind(name: str, is_due: bool) -> Callable[[dt.datetime], bool]:
        def ring(now: dt.datetime) -> bool:
            rung.extend([name] * is_due)
            return is_due

        return ring

    monkeypatch.setattr(schedule, "RINGS", (kind("a", True), kind("b", False), kind("c", True), kind("d", True)))
    ticker = Schedule(every_s=0.0)
    for _ in range(5):
        ticker.tick()
    assert rung == ["a", "c", "d", "a", "c"]


@pytest.mark.django_db
def test_who_is_due_and_how_all_stand_costs_no_query_a_plan(viewer: Person, pair: SitePair) -> None:
    def cost() -> tuple[int, int]:
        CheckRequest.objects.all().delete()
        with CaptureQueriesContext(connection) as asking:
            ask_for_checks(timezone.now() + dt.timedelta(minutes=20))
        with CaptureQueriesContext(connection) as reading:
            viewer.read("/readiness")
        return len(asking), len(reading)

    make_plans(pair, range(3))
    viewer.read("/readiness")  # a session that is new is written down
    few = cost()
    make_plans(pair, range(3, 30))
    assert cost() == few


@pytest.mark.django_db(transaction=True)
def test_against_the_lab_plans_are_checked_beside_each_other(
    own_lab: LabProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    mover = Mover(own_lab.client)
    plans = [mover.plan(name) for name in ("web-1", "app-1", "db-1")]
    monkeypatch.setattr(jobs, "waiting_runs", set)
    assert set(ask_for_checks(timezone.now())) == {plan.pk for plan in plans}
    first = next_to_ring_for(timezone.now())
    assert first is not None
    assert check_readiness(first) == "3 plans checked"
    rows = ReadinessCheck.objects.all()
    assert {row.plan_id for row in rows} == {plan.pk for plan in plans}
    assert all(row.counts["met"] > 0 for row in rows)
