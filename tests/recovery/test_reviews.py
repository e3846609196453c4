"""Reviews: by somebody who took no part, once, in the trail; and what the manager sees."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.audit.record import record
from drportal.engine.approvals import ApprovalEvent
from drportal.recovery.api_reviews import OF_THE_ENGINE
from drportal.recovery.models import Approval, Evidence, RecoveryPlan, Run
from drportal.roles import Role
from tests.conftest import Person, make_person
from tests.recovery.conftest import Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ended(plan: RecoveryPlan, bell: Bell, ready: list[Any]) -> Run:
    run = ask(plan, actor="olga", reason="The power will be cut")
    return end(run)


def end(run: Run, days_ago: int = 0) -> Run:
    at = timezone.now() - dt.timedelta(days=days_ago)
    ended = {"state": "succeeded", "started_at": at - dt.timedelta(minutes=3), "finished_at": at}
    Run.objects.filter(pk=run.pk).update(sentence="All is at Site-B.", **ended)
    run.images.update(held=False)
    return run


def say(person: Person, run: Run, verb: str, text: str = "") -> HttpResponse:
    return person.api("POST", f"/runs/{run.pk}/review/{verb}", {"text": text})


def test_a_review_says_in_words_what_was_done_why_and_by_whom(manager: Person, ended: Run) -> None:
    review = manager.read(f"/runs/{ended.pk}/review")
    assert review["what"] == "A planned failover of shop from Site-A to Site-B."
    assert (review["why"], review["result"]) == ("The power will be cut", "All is at Site-B.")
    assert review["participants"] == ["olga"]
    assert [(one["by"], one["action"]) for one in review["people"]] == [("olga", "run.request")]
    assert review["duration_s"] == 180
    assert (review["item"]["state"], review["item"]["overdue"], review["why_not"]) == ("new", False, "")


def test_what_the_portal_did_by_itself_is_not_said_of_people(manager: Person, ended: Run) -> None:
    with transaction.atomic():
        for action in ("run.start", "step.begin", "step.succeed", "step.skip", "run.finish"):
            record(action, "image.demote:1", {}, actor="olga", run_id=ended.pk)
    review = manager.read(f"/runs/{ended.pk}/review")
    assert [one["action"] for one in review["people"]] == ["run.request", "step.skip"]


def test_each_act_of_a_person_has_words_on_the_page() -> None:
    """And no act of the portal's is among those: a manager reads them as what somebody did."""
    words = (Path(__file__).parents[2] / "frontend" / "src" / "pages" / "reviews" / "words.ts").read_text()
    known = set(re.findall(r'"([a-z]+\.[a-z_]+)":', words))
    of_approvals = {f"approval.{event}" for event in ApprovalEvent} - {"approval.use", "approval.expire"}
    voices = {"approval.request", "approval.ask", "approval.yes", "approval.refused"}
    of_runs = {"run.request", "run.refused", "run.pause", "run.resume", "run.cancel", "step.retry", "step.skip"}
    assert known == of_approvals | voices | of_runs
    assert not known & set(OF_THE_ENGINE)


def test_a_run_that_one_person_began_alone_is_marked_in_the_queue(manager: Person, ended: Run) -> None:
    (item,) = manager.read("/reviews")["items"]
    assert item["alone"] is False
    now = timezone.now()
    evidence = Evidence.objects.create(sha256="e", content={}, taken_at=now)
    Approval.objects.create(
        run=ended, token="t", state="used", evidence=evidence, plan_version=1, commands=[], attested_by="olga",
        attestation="", requested_by=manager.user, glass=True, expires_at=now,
    )  # fmt: skip
    (item,) = manager.read("/reviews")["items"]
    assert item["alone"] is True


def test_question_answer_accept_are_all_in_the_trail(manager: Person, operator: Person, ended: Run) -> None:
    assert say(manager, ended, "question", "Why at noon?").json()["item"]["state"] == "questioned"
    assert say(operator, ended, "answer", "The cut was at one.").json()["item"]["state"] == "questioned"
    done = say(manager, ended, "accept", "Fine.").json()
    assert done["item"]["state"] == "accepted"
    assert [act["verb"] for act in done["acts"]] == ["questioned", "answered", "accepted"]
    kept = AuditEntry.objects.filter(action__startswith="review.", run_id=ended.pk).values_list("action", "actor")
    assert list(kept) == [
        ("review.questioned", "manager"),
        ("review.answered", "operator"),
        ("review.accepted", "manager"),
    ]
    again = say(manager, ended, "accept")
    assert (again.status_code, again.json()["code"]) == (409, "not_reviewable")


def test_whoever_took_part_cannot_review(plan: RecoveryPlan, bell: Bell, ready: list[Any]) -> None:
    both = make_person("both", Role.OPERATOR, Role.MANAGER)
    run = end(ask(plan, actor="both"))
    for verb in ("accept", "question"):
        refused = say(both, run, verb, "me")
        assert (refused.status_code, refused.json()["code"]) == (403, "took_part")
    assert "took part" in both.read(f"/runs/{run.pk}/review")["why_not"]


@pytest.mark.parametrize("actor", ["manager (cli:root)", "Manager (cli:root)", "cli:manager", "olga (cli:manager)"])
def test_whoever_took_part_at_the_command_line_cannot_review(
    manager: Person, plan: RecoveryPlan, bell: Bell, ready: list[Any], actor: str
) -> None:
    run = end(ask(plan, actor=actor))
    assert say(manager, run, "accept").json()["code"] == "took_part"
    assert "took part" in manager.read(f"/runs/{run.pk}/review")["why_not"]


@pytest.mark.parametrize("actor", ["cli:managers", "olga (cli:root)", "the manager", "executor"])
def test_another_ones_name_keeps_nobody_from_reviewing(
    manager: Person, plan: RecoveryPlan, bell: Bell, ready: list[Any], actor: str
) -> None:
    assert say(manager, end(ask(plan, actor=actor)), "accept").status_code == 200


def test_pausing_a_run_is_taking_part(manager: Person, ended: Run) -> None:
    from django.db import transaction

    from drportal.audit.record import record

    with transaction.atomic():
        record("run.pause_asked", "run", {}, actor="manager", run_id=ended.pk)
    assert say(manager, ended, "accept").json()["code"] == "took_part"


def test_a_run_that_has_not_ended_is_not_reviewed(
    manager: Person, plan: RecoveryPlan, bell: Bell, ready: list[Any]
) -> None:
    run = ask(plan, actor="olga")
    assert manager.api("GET", f"/runs/{run.pk}/review").status_code == 404
    assert say(manager, run, "accept").json()["code"] == "not_reviewable"
    assert manager.read("/reviews")["items"] == []


def test_only_a_manager_accepts_and_an_empty_question_is_none(operator: Person, manager: Person, ended: Run) -> None:
    assert say(operator, ended, "accept").status_code == 403
    assert say(manager, ended, "question", "  ").status_code == 422
    assert say(operator, ended, "answer", "but").json()["code"] == "not_questioned"


def test_the_queue_shows_what_is_open_and_what_is_overdue(manager: Person, ended: Run) -> None:
    end(ended, days_ago=6)
    queue = manager.read("/reviews?state=open")
    assert queue["overdue"] == 1
    assert [(item["run"]["id"], item["overdue"]) for item in queue["items"]] == [(ended.pk, True)]
    assert manager.read("/reviews?state=questioned")["items"] == []
    say(manager, ended, "accept")
    assert manager.read("/reviews?state=open") == {"items": [], "next": None, "overdue": 0}
    assert len(manager.read("/reviews?state=accepted")["items"]) == 1
