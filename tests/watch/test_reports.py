"""The report of a quarter: what was held, how it went, and what is still open."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import settings

from drportal.audit.models import AuditEntry
from drportal.recovery.models import RecoveryPlan, ReviewAct, Run
from drportal.watch.reports import Period
from tests.conftest import Person
from tests.recovery.conftest import Bell, ask, plan, ready  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(("quarter", "since", "until"), [(1, (2026, 1), (2026, 4)), (4, (2026, 10), (2027, 1))])
def test_a_quarter_is_three_months_in_utc(quarter: int, since: tuple[int, int], until: tuple[int, int]) -> None:
    period = Period.quarter(2026, quarter)
    assert period.since == dt.datetime(*since, 1, tzinfo=dt.UTC)
    assert period.until == dt.datetime(*until, 1, tzinfo=dt.UTC)


@pytest.fixture
def ended(plan: RecoveryPlan, bell: Bell, ready: list[Any]) -> Run:  # noqa: F811
    """On the first moment of the second quarter of 2026."""
    run = ask(plan, actor="olga", reason="A test")
    ends = {"state": "succeeded", "started_at": FIRST - dt.timedelta(minutes=3), "finished_at": FIRST}
    Run.objects.filter(pk=run.pk).update(sentence="All is at Site-B.", **ends)
    run.images.update(held=False)
    return run


def report(person: Person, quarter: int, **more: object) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    found: dict[str, Any] = person.read(f"/reports/quarter?year=2026&quarter={quarter}&{query}")
    return found


def test_it_tells_of_the_runs_that_ended_in_it_and_of_no_others(manager: Person, ended: Run) -> None:
    told = report(manager, 2)
    assert told["results"] == {"planned_failover": {"succeeded": 1}}
    (run,) = told["runs"]
    assert (run["id"], run["plan"], run["requested_by"], run["reason"]) == (ended.pk, "shop", "olga", "A test")
    assert (run["duration_s"], run["approved_by"], run["review"]) == (180, [], "new")
    (line,) = told["plans"]
    assert (line["plan_name"], line["exercised_within"]) == ("shop", 1)
    before = report(manager, 1)
    assert (before["runs"], before["results"]) == ([], {})
    assert before["plans"][0]["exercised_within"] == 0
    assert before["plans"][0]["exercised_at"] == line["exercised_at"]


def test_what_is_open_is_said_until_it_is_done(manager: Person, ended: Run) -> None:
    assert f"Run {ended.pk} of shop has not been reviewed, overdue since 2026-04-06." in report(manager, 2)["open"]
    ReviewAct.objects.create(run=ended, verb="questioned", by="mara", text="Why?", at=FIRST)
    assert any("was questioned and is not accepted" in sentence for sentence in report(manager, 2)["open"])
    ReviewAct.objects.create(run=ended, verb="accepted", by="mara", text="", at=FIRST)
    told = report(manager, 2)["open"]
    assert not [sentence for sentence in told if sentence.startswith("Run ")]
    assert any("The trail's heads are noted nowhere" in sentence for sentence in told)
    assert "shop was not exercised in this time: no VM went over by it." in report(manager, 1)["open"]


def test_of_one_plan_it_tells_of_that_plan_alone(manager: Person, ended: Run) -> None:
    told = report(manager, 2, plan=ended.plan_id)
    assert (told["plan_id"], len(told["runs"])) == (ended.plan_id, 1)
    assert not any("The trail's heads" in sentence for sentence in told["open"])
    unknown = manager.api("GET", "/reports/quarter?year=2026&quarter=2&plan=999999")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_it_names_the_trail_that_proves_it(manager: Person, ended: Run) -> None:
    told = report(manager, 2)
    made = told["made"]
    assert made["head_hash"] == manager.read("/audit/chain")["head"]["hash"]
    assert (made["by"], made["portal"]) == ("manager", settings.VERSION)


def test_times_are_held_against_the_target_that_was_agreed_then(
    manager: Person,
    operator: Person,
    plan: RecoveryPlan,  # noqa: F811
    bell: Bell,
    ready: list[Any],  # noqa: F811
) -> None:
    path = f"/plans/{plan.pk}/rto-target"
    assert operator.api("PUT", path, {"rto_s": 60}).json()["rto_s"] == 60
    run = ask(plan, actor="olga")
    operator.api("PUT", path, {"rto_s": None})
    assert manager.read(f"/plans/{plan.pk}")["rto_s"] is None
    changes = AuditEntry.objects.filter(action="plan.rto_target").order_by("seq").values_list("payload", flat=True)
    assert list(changes) == [{"before_s": None, "after_s": 60}, {"before_s": 60, "after_s": None}]
    Run.objects.filter(pk=run.pk).update(state="succeeded", started_at=FIRST, finished_at=FIRST)
    run.images.update(held=False)
    assert report(manager, 2)["runs"][0]["recovery"]["word"] == "not_back"
    run.steps.filter(kind="vm.power_off").update(started_at=FIRST, state="succeeded")
    for took, word in ((59, "within"), (61, "beyond")):
        ends = FIRST + dt.timedelta(seconds=took)
        run.steps.filter(kind__in=["vm.start", "vm.resume_here"]).update(finished_at=ends, state="succeeded")
        told = report(manager, 2)
        recovery = told["runs"][0]["recovery"]
        assert (recovery["word"], recovery["measured_s"], recovery["target_s"]) == (word, took, 60)
        (line,) = told["plans"]
        assert (line["within_target"], line["beyond_target"]) == (int(took < 60), int(took > 60))
        late = [sentence for sentence in told["open"] if "1 s beyond the target of 60 s" in sentence]
        assert len(late) == line["beyond_target"]
        assert manager.read(f"/runs/{run.pk}/review")["recovery"] == recovery
    assert "shop has no RTO target: no time is held against one." in told["open"]


def test_each_section_is_mapped_and_says_what_it_does_not_prove(manager: Person) -> None:
    lines = report(manager, 2)["mapping"]
    words = " ".join(line["dora"] for line in lines)
    assert all(f"Art. {article}" in words for article in ("11(6)", "11(8)", "12(6)", "24(5)", "25(1)", "26"))
    assert all(line["iso"][0].isdigit() and line["shows"] and line["shows_not"] for line in lines)
