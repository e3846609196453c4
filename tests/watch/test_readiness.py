"""Readiness is asked for by the clock, by a change and by a viewer; it is kept, and goes stale with what it saw."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from drportal import jobs
from drportal.engine.facts import Side
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Capacity, Finding, ReadinessInput, Severity
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.recovery.models import RecoveryPlan, Run
from drportal.watch import readiness
from drportal.watch import schedule as schedule_module
from drportal.watch.models import CheckRequest, ReadinessCheck
from drportal.watch.readiness import ask_for_checks, check, next_to_ring_for
from drportal.watch.schedule import Schedule
from tests.conftest import Person
from tests.recovery.conftest import Mover, StandIn, make_vm
from tests.stack import LabProcess

BLOCK = Finding("vm_locked", Severity.BLOCK, "db", "The VM is locked.", "Unlock it.")


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Checks find what is put into the list, without asking a site."""
    found: list[Finding] = []
    nothing = ReadinessInput(Side.A, (), (), (), (), True, Capacity(0, 0, 0.0, 0.0))

    def assess(kind: RunKind, group: Any, plan: Any, source: Any, target: Any) -> StandIn:
        return StandIn(kind, plan, tuple(found), nothing)

    monkeypatch.setattr(readiness, "assess_now", assess)
    return found


@pytest.fixture
def plan(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> RecoveryPlan:
    reachable = {f"{part}_reachable": True for part in ("ssh", "ceph", "opennebula")}
    Site.objects.update(ceph_through="rbd", **reachable)  # and so no receipts to be compared first
    SitePair.objects.update(polled_at=timezone.now())
    return make_plan("shop", make_vm(pair, "db", 1, ["one-1"]))


def later(minutes: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(minutes=minutes)


@pytest.mark.django_db
def test_a_check_is_kept_and_holds_until_something_changes(
    viewer: Person, plan: RecoveryPlan, findings: list[Finding]
) -> None:
    told = viewer.read(f"/plans/{plan.pk}/standing")
    assert (told["standing"], told["sentence"]) == ("needs_verification", "It was never checked.")
    check(plan.pk)
    assert viewer.read(f"/plans/{plan.pk}/standing")["standing"] == "verified"
    findings.append(BLOCK)
    check(plan.pk)
    told = viewer.read(f"/plans/{plan.pk}/standing")
    assert (told["standing"], told["blockers"]) == ("not_ready", 1)
    assert told["findings"][0]["remedy"] == "Unlock it."
    MirroredImage.objects.update(verdict="broken_mirroring")
    told = viewer.read("/readiness")["items"][0]
    assert told["standing"] == "needs_verification"
    assert "one-1" in told["changed"][0]
    SitePair.objects.update(polled_at=timezone.now() - dt.timedelta(hours=1))
    assert "cannot tell" in viewer.read("/readiness")["items"][0]["changed"][0]


@pytest.mark.django_db
def test_the_history_has_a_row_for_each_news(viewer: Person, plan: RecoveryPlan, findings: list[Finding]) -> None:
    for _ in range(3):
        check(plan.pk)
    findings.append(BLOCK)
    check(plan.pk)
    page = viewer.read(f"/plans/{plan.pk}/checks")["items"]
    assert [(row["state"], row["times"]) for row in page] == [("not_ready", 1), ("ready", 3)]
    one = viewer.read(f"/plans/{plan.pk}/checks/{page[0]['id']}")
    assert one["findings"][0]["code"] == "vm_locked"
    assert viewer.api("GET", f"/plans/{plan.pk}/checks/999").status_code == 404
    assert viewer.read(f"/plans/{plan.pk}/checks?limit=1")["next"] == page[0]["id"]


@pytest.mark.django_db
def test_what_is_kept_is_bounded(plan: RecoveryPlan, findings: list[Finding], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEEP", 3)
    for number in range(6):
        findings[:] = [Finding("x", Severity.WARN, "db", f"Number {number}.", None)]
        check(plan.pk)
    assert [row.findings[0]["sentence"] for row in ReadinessCheck.objects.all()] == [
        "Number 5.",
        "Number 4.",
        "Number 3.",
    ]


@pytest.mark.django_db
def test_it_is_due_at_first_after_a_quarter_of_an_hour_and_at_a_change(
    plan: RecoveryPlan, findings: list[Finding]
) -> None:
    assert ask_for_checks(timezone.now()) == [plan.pk]
    assert ask_for_checks(timezone.now()) == [], "asked for already"
    check(plan.pk)
    assert not CheckRequest.objects.exists()
    assert ask_for_checks(later(14)) == []
    assert ask_for_checks(later(15)) == [plan.pk]
    check(plan.pk)
    RecoveryPlan.objects.update(version=F("version") + 1)
    assert ask_for_checks(timezone.now()) == [], "a change is given a moment to be followed by others"
    assert ask_for_checks(later(1)) == [plan.pk]
    assert "plan was changed" in CheckRequest.objects.get().because


@pytest.mark.django_db
def test_a_group_that_is_being_moved_is_left_alone(plan: RecoveryPlan, findings: list[Finding]) -> None:
    Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", state="running", plan_version=1, plan_copy={},
        source_site=plan.group.pair.a, target_site=plan.group.pair.b, requested_name="olga", request_key="k",
    )  # fmt: skip
    assert ask_for_checks(timezone.now()) == []
    assert check(plan.pk) is None


@pytest.mark.django_db
def test_a_viewer_may_ask_and_many_askers_make_one_check(
    viewer: Person, stranger: Person, plan: RecoveryPlan, findings: list[Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stranger.api("POST", f"/plans/{plan.pk}/check").status_code == 401
    for _ in range(2):
        answer = viewer.api("POST", f"/plans/{plan.pk}/check")
        assert (answer.status_code, answer.json()["waiting"]) == (202, True)
    rung: list[int] = []
    idle = [False, True, True]
    monkeypatch.setattr(jobs, "default_queue_is_idle", lambda: idle.pop(0))
    monkeypatch.setattr(schedule_module, "ring_for_readiness", rung.append)
    schedule = Schedule(every_s=0)
    for _ in range(3):
        schedule.tick()
    assert rung == [plan.pk], "not while something else is being done, and once only"
    assert next_to_ring_for(later(3)) == plan.pk, "a ring that nobody heard is repeated"
    row = check(plan.pk)
    assert row is not None
    assert row.because == "viewer asked"
    assert viewer.read(f"/plans/{plan.pk}/standing")["waiting"] is False


@pytest.mark.django_db
def test_a_plan_that_cannot_be_asked_for_says_why(viewer: Person, plan: RecoveryPlan) -> None:
    """The sites have no credentials here."""
    check(plan.pk)
    told = viewer.read(f"/plans/{plan.pk}/standing")
    assert told["standing"] == "not_ready"
    assert told["findings"][0]["sentence"]


@pytest.mark.django_db
def test_a_duration_is_predicted_from_completed_runs_only(viewer: Person, plan: RecoveryPlan) -> None:
    begin = timezone.now()
    for number in range(7):
        Run.objects.create(
            plan=plan, group=plan.group, kind="planned_failover", plan_version=1, plan_copy={},
            state="succeeded" if number < 5 else "failed", source_site=plan.group.pair.a,
            target_site=plan.group.pair.b, requested_name="olga", request_key=str(number),
            started_at=begin, finished_at=begin + dt.timedelta(seconds=10 * (number + 1)),
        )  # fmt: skip
    told = viewer.read(f"/plans/{plan.pk}/standing")["prediction"]
    assert (told["n"], told["needed"], told["p50_s"], told["p90_s"]) == (5, 5, 30.0, 50.0)


@pytest.mark.django_db(transaction=True)
def test_against_the_lab_a_sound_plan_is_verified(viewer: Person, own_lab: LabProcess) -> None:
    plan = Mover(own_lab.client).plan("web-1")
    row = check(plan.pk)
    assert row is not None
    assert [found["sentence"] for found in row.findings if found["severity"] == "block"] == []
    assert row.counts["met"] > 0
