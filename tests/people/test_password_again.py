"""Dangerous acts need the password again when it was given too long ago."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from drportal.audit.models import AuditEntry
from drportal.people.models import ApiToken
from drportal.recovery.models import RecoveryPlan
from tests.conftest import PASSWORD, Person
from tests.recovery.conftest import make_plan, plan  # noqa: F401  (fixtures)
from tests.stack import PortalClient

TOKEN = {"name": "x", "days": 1}


@pytest.fixture
def later(operator: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A quarter of an hour after the operator signed in."""
    moment = timezone.now() + dt.timedelta(minutes=16)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    return operator


def prove(person: Person, password: str) -> tuple[int, str]:
    answer = person.api("POST", "/session/proof", {"password": password})
    return answer.status_code, answer.json()["code"] if answer.content else ""


def test_soon_after_signing_in_nobody_is_asked(stranger: Person, operator: Person) -> None:
    stranger.api("POST", "/session", {"username": "operator", "password": PASSWORD})
    assert stranger.api("POST", "/tokens", TOKEN).status_code == 201


def test_later_the_password_is_needed_again_and_then_it_goes_on(later: Person) -> None:
    refused = later.api("POST", "/tokens", TOKEN)
    assert (refused.status_code, refused.json()["code"]) == (403, "password_again")
    assert not ApiToken.objects.exists()
    assert prove(later, PASSWORD) == (204, "")
    assert later.api("POST", "/tokens", TOKEN).status_code == 201
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions == ["request.refused", "session.proved", "token.create"]


def test_a_wrong_password_opens_nothing_and_cannot_be_guessed(later: Person) -> None:
    assert [prove(later, "wrong") for _ in range(5)] == [(403, "wrong_password")] * 5
    assert prove(later, PASSWORD) == (429, "too_many_attempts")
    assert later.api("POST", "/tokens", TOKEN).json()["code"] == "password_again"
    assert "wrong" not in str(list(AuditEntry.objects.filter(action="session.not_proved").values("payload")))


def test_of_the_runs_only_one_that_discards_copies_needs_it(later: Person, plan: RecoveryPlan) -> None:  # noqa: F811
    body = {"plan_version": 1, "phrase": "x", "reason": "", "request_key": "key-0001", "accept_warnings": False}
    path = f"/plans/{plan.pk}/runs"
    for kind, code in [("reprotect", "password_again"), ("planned_failover", "wrong_phrase")]:
        answer = later.api("POST", path, {**body, "kind": kind})
        assert answer.json()["code"] == code, answer.content
    assert prove(later, PASSWORD) == (204, "")
    assert later.api("POST", path, {**body, "kind": "reprotect"}).json()["code"] != "password_again"


def test_reading_goes_on_without(later: Person) -> None:
    assert later.api("GET", "/sites").status_code == 200
    assert later.api("GET", "/tokens").status_code == 200


def forget_the_proof() -> None:
    """As when the quarter of an hour has passed, for every session."""
    for row in Session.objects.all():
        kept = {name: value for name, value in row.get_decoded().items() if name != "proved_at"}
        row.session_data = Session.objects.encode(kept)
        row.save()


@pytest.mark.django_db(transaction=True)
def test_a_long_lived_client_answers_the_question_and_goes_on(operator: Person, live_server: LiveServer) -> None:
    client = PortalClient(live_server.url, "operator", PASSWORD)
    forget_the_proof()
    assert client.raw("POST", "/tokens", TOKEN).status_code == 201
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions[-3:] == ["request.refused", "session.proved", "token.create"]
    assert ApiToken.objects.count() == 1
