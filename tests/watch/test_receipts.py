"""The sites' own records are held against the trail: what agrees is acknowledged, what differs is an alarm."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from drportal import jobs
from drportal.audit.models import AuditEntry
from drportal.engine.alerts import AlertKind, Condition
from drportal.engine.states import RunState
from drportal.engine.steps import StepKind
from drportal.inventory.models import Site, SitePair
from drportal.recovery.acts.registry import ACTS
from drportal.recovery.models import RecoveryPlan, Run, Step, StepAttempt
from drportal.watch import receipts
from drportal.watch.conditions import conditions
from drportal.watch.models import ReceiptDifference, SiteRecord
from drportal.watch.receipts import compare_receipts, next_to_compare
from drportal.watch.schedule import Schedule
from tests.conftest import Person
from tests.recovery.conftest import Bell, Mover, make_vm
from tests.stack import LabProcess

NOON, HOUR = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC), dt.timedelta(hours=1)


@pytest.fixture
def mover(own_lab: LabProcess, transactional_db: None, bell: Bell) -> Iterator[Mover]:
    """Both sites know of no act yet: what other tests left there was done for a database that is gone."""
    for side in ("a", "b"):
        for receipt in records(own_lab, side):
            receipt.unlink()
    yield Mover(own_lab.client)
    for side in ("a", "b"):
        own_lab.client.restore(side)


def records(lab: LabProcess, side: str) -> list[Path]:
    """The files of a site's receipts."""
    return sorted((lab.client.directory / f"home-{side}" / ".drportal-site" / "ops").glob("*"))


def told(lab: LabProcess, side: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in records(lab, side)]


def change(file: Path, **fields: Any) -> None:
    """Somebody with root at the site edits a receipt."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def alarms() -> list[Condition]:
    return [one for one in conditions(timezone.now()) if one.kind is AlertKind.RECORDS_DIFFER]


def site(side: str) -> Site:
    return Site.objects.get(slug=f"site-{side}")


def moved(mover: Mover, *names: str) -> Run:
    run = mover.drive(mover.ask(mover.plan(*names)))
    assert run.state == RunState.SUCCEEDED, run.sentence
    return run


def test_every_act_that_leaves_a_receipt_is_compared_under_the_site_s_own_name_for_it() -> None:
    """Registering an image with OpenNebula leaves none: the site program has no part in it. Waiting sends nothing."""
    sending = [kind.value for kind in StepKind if not ACTS[kind].only_checks]
    acts = {kind for kind in sending if kind.startswith("image.") and "register" not in kind}
    assert acts == set(receipts._VERBS)
    assert receipts._VERBS["image.force_promote"] == "force-promote"


def test_what_agrees_is_acknowledged_at_both_sites(mover: Mover, own_lab: LabProcess) -> None:
    moved(mover, "db-1")
    for side, verb in (("a", "demote"), ("b", "promote")):
        assert {receipt["acknowledged"] for receipt in told(own_lab, side)} == {False}
        sentence = compare_receipts(site(side).pk)
        assert sentence.endswith("0 differences are open."), sentence
        assert [(receipt["verb"], receipt["acknowledged"]) for receipt in told(own_lab, side)] == [(verb, True)] * 2
        assert compare_receipts(site(side).pk).endswith("0 differences are open.")
    assert not ReceiptDifference.objects.exists()
    assert not AuditEntry.objects.filter(action="receipt.differs").exists()


def test_each_kind_of_difference_is_an_alarm_with_both_sides(mover: Mover, own_lab: LabProcess) -> None:
    run = moved(mover, "db-3")
    first, second = records(own_lab, "a")
    change(first, state="not-done", reason="other")
    second.unlink()
    (promoted, other) = records(own_lab, "b")
    change(promoted, shown="rbd mirror image promote --force one/one-99")
    StepAttempt.objects.filter(operation_id=other.name).update(operation_id=uuid.uuid4())
    for side in "ab":
        compare_receipts(site(side).pk)

    found = {row.operation_id: row for row in ReceiptDifference.objects.all()}
    assert {name: row.word for name, row in found.items()} == {
        first.name: "outcome",
        second.name: "missing_there",
        promoted.name: "other_act",
        other.name: "unknown_here",
        # the attempt whose id was changed is one that the site has never heard of
        **{name: "missing_there" for name in found if name not in (first.name, second.name, promoted.name, other.name)},
    }
    assert found[first.name].ours["outcome"] == "done" and found[first.name].theirs["state"] == "not-done"
    assert found[second.name].theirs is None and found[other.name].ours is None
    assert "--force" in found[promoted.name].sentence
    trail = AuditEntry.objects.filter(action="receipt.differs")
    assert {entry.payload["operation_id"] for entry in trail} == set(found)
    assert {entry.run_id for entry in trail} == {run.pk, None}
    assert [receipt["acknowledged"] for side in "ab" for receipt in told(own_lab, side)] == [False] * 3


def test_the_alarm_stands_on_the_overview_until_a_manager_settles_it(
    mover: Mover, own_lab: LabProcess, viewer: Person, operator: Person, manager: Person
) -> None:
    moved(mover, "web-1")
    (receipt,) = records(own_lab, "a")
    change(receipt, state="unknown", how="found")
    StepAttempt.objects.filter(operation_id=receipt.name).update(outcome="refused")
    change(receipt, state="done")
    compare_receipts(site("a").pk)
    compare_receipts(site("a").pk)  # told once
    (shown,) = viewer.read("/overview")["differences"]
    assert (shown["ours"]["outcome"], shown["theirs"]["state"], shown["site"]) == ("refused", "done", "site-a")
    assert AuditEntry.objects.filter(action="receipt.differs").count() == 1
    (alert,) = alarms()
    assert (alert.path, shown["sentence"] in alert.sentence) == ("/", True), "and leads to where both records stand"

    where = f"/receipts/differences/{shown['id']}/settle"
    because = {"because": "The row was edited by hand during a test."}
    assert operator.api("POST", where, because).status_code == 403
    assert manager.api("POST", where, {"because": " "}).status_code == 422
    assert manager.api("POST", where, because).status_code == 200
    assert manager.api("POST", where, because).status_code == 409
    assert (viewer.read("/overview")["differences"], alarms()) == ([], [])
    assert viewer.read("/receipts")["differences"] == []
    assert viewer.read("/receipts?settled=true")["differences"][0]["settled_by"] == "manager"
    assert AuditEntry.objects.get(action="receipt.settle").payload["because"] == because["because"]
    assert told(own_lab, "a")[0]["acknowledged"] is False
    compare_receipts(site("a").pk)
    assert told(own_lab, "a")[0]["acknowledged"] is True


def test_an_act_that_is_not_over_is_looked_at_again(mover: Mover, own_lab: LabProcess) -> None:
    run = moved(mover, "web-2")
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING.value)
    attempts = StepAttempt.objects.filter(step__run=run, step__kind="image.demote")
    attempts.update(outcome="unknown")
    assert "1 belong to acts that are not over" in compare_receipts(site("a").pk)
    assert told(own_lab, "a")[0]["acknowledged"] is False
    attempts.update(outcome="found_done")
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED.value)
    compare_receipts(site("a").pk)
    assert told(own_lab, "a")[0]["acknowledged"] is True
    assert not ReceiptDifference.objects.exists()


@pytest.fixture
def acts(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> list[StepAttempt]:
    """Two of one run at site a, both done by the word of the site's receipts, an hour apart."""
    plan = make_plan("shop", make_vm(pair, "db", 1, ["one-1", "one-2"]))
    run = Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", state="running", plan_version=1, plan_copy={},
        source_site=pair.a, target_site=pair.b, requested_name="olga", request_key="k",
    )  # fmt: skip
    made = []
    for number, ended in ((1, NOON), (2, NOON + HOUR)):
        where = {"subject": f"one/one-{number}", "site": pair.a, "position": number}
        step = Step.objects.create(run=run, key=str(number), kind="image.demote", **where)
        op = uuid.uuid4()
        answers = [{"stdout": json.dumps({"op": str(op), "state": "done"})}]
        command = f"rbd mirror image demote one/one-{number}"
        made.append(
            StepAttempt.objects.create(
                step=step, number=1, operation_id=op, fence=1, command=command, host="a", intent_at=ended,
                finished_at=ended, outcome="done", answers=answers,
            )
        )  # fmt: skip
    return made


def receipt_of(attempt: StepAttempt, change: int, state: str = "done") -> dict[str, Any]:
    sent = receipts.sent_of(attempt)
    pool, _, image = sent.source.partition("/")
    about = {"verb": sent.verb, "pool": pool, "image": image, "shown": sent.command, "group": sent.group}
    return {**about, "op": str(attempt.operation_id), "fence": sent.fence, "state": state, "change": change}


@pytest.mark.django_db
def test_an_act_that_ends_while_the_site_is_asked_is_judged_by_the_next_comparison(acts: list[StepAttempt]) -> None:
    """Its receipt may have been written after the site told what it has: that is no receipt that is gone."""
    at_a, (first, second) = acts[0].step.site, acts
    row = SiteRecord.objects.create(site=at_a)
    asked = second.finished_at - dt.timedelta(seconds=1)
    receipts._kept(at_a, row, [receipt_of(first, 10)], 10, asked)
    assert not ReceiptDifference.objects.exists()
    # Nor is one that was told judged then: the site shall tell it again when the act is looked for.
    told_of_both = receipts._kept(at_a, row, [receipt_of(first, 10), receipt_of(second, 20)], 20, asked)
    assert ([one["change"] for one in told_of_both.agreed], told_of_both.early, row.since) == ([10], [20], 19)
    receipts._kept(at_a, row, [], 20, second.finished_at)
    assert ReceiptDifference.objects.get().word == "missing_there", "and now it is"


@pytest.mark.django_db
def test_what_agreed_is_not_looked_for_again_while_another_act_takes_hours(acts: list[StepAttempt]) -> None:
    """The site tells again what could not be judged, and nothing before it."""
    at_a, (first, second) = acts[0].step.site, acts
    row = SiteRecord.objects.create(site=at_a, compared_at=NOON - HOUR)
    StepAttempt.objects.filter(pk=second.pk).update(finished_at=None, outcome="", answers=[])
    begun = receipt_of(second, 20, "begun")
    then = receipts._kept(at_a, row, [receipt_of(first, 10), begun], 30, NOON + HOUR / 2)
    assert ([one["change"] for one in then.agreed], then.early, row.since) == ([10], [20], 19)
    second.save()
    after = receipts._kept(at_a, row, [receipt_of(second, 40)], 40, NOON + 2 * HOUR)
    assert ([one["change"] for one in after.agreed], after.found) == ([40], [])


def test_a_site_that_is_down_is_asked_again(mover: Mover, own_lab: LabProcess, viewer: Person) -> None:
    own_lab.client.fail("a", "site-down")
    assert "were not compared" in compare_receipts(site("a").pk)
    row = SiteRecord.objects.get(site=site("a"))
    assert row.compared_at is None and row.tried_at is not None
    (record, other) = viewer.read("/receipts")["records"]
    assert "were not compared" in record["sentence"] and other["sentence"].endswith("not been compared yet.")
    SiteRecord.objects.create(site=site("b"), compared_at=timezone.now())
    assert next_to_compare(timezone.now()) is None
    assert next_to_compare(timezone.now() + dt.timedelta(minutes=11)) == site("a").pk


@pytest.mark.django_db
def test_each_night_each_site_is_due_once(pair: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []
    monkeypatch.setattr(jobs, "default_queue_is_idle", lambda: True)
    monkeypatch.setattr(jobs, "ring_for_comparison", lambda site_id: rung.append(site_id) or True)
    for _ in range(3):
        Schedule(every_s=0.0).tick()
        for site_id in rung:
            SiteRecord.objects.get_or_create(
                site_id=site_id, defaults={"compared_at": timezone.now(), "tried_at": timezone.now()}
            )
    assert sorted(rung) == sorted([pair.a_id, pair.b_id])
    assert next_to_compare(timezone.now() + dt.timedelta(hours=23)) is None
    assert next_to_compare(timezone.now() + dt.timedelta(hours=25)) in rung


def test_the_end_of_a_run_rings_for_both_sites(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []
    monkeypatch.setattr(jobs, "ring_for_comparison", lambda site_id: rung.append(site_id) or True)
    monkeypatch.setattr(jobs, "enqueue_discovery", lambda pair_id: None)
    monkeypatch.setenv("DRPORTAL_SPEED", "20")
    run = mover.ask(mover.plan("web-3"))
    assert jobs.drive_run(run.pk) == "succeeded"
    assert sorted(rung) == sorted([mover.pair.a_id, mover.pair.b_id])
