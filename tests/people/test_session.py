"""Signing in and out, and what is kept of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from drportal.audit.models import AuditEntry
from tests.conftest import PASSWORD, Person

SIGN_IN = {"username": "operator", "password": PASSWORD}


def test_a_stranger_learns_that_nobody_is_signed_in_and_gets_the_csrf_cookie(stranger: Person) -> None:
    session = stranger.read("/session")
    assert session["authenticated"] is False
    assert session["user"] is None
    assert session["demo_logins"] == []
    assert stranger.cookies["csrftoken"].value


def test_signing_in_tells_roles_and_permissions_and_is_in_the_trail(operator: Person, stranger: Person) -> None:
    answer = stranger.api("POST", "/session", SIGN_IN)
    assert answer.status_code == 200, answer.content
    user = answer.json()["user"]
    assert user["username"] == "operator"
    assert user["roles"] == ["operator"]
    assert set(user["permissions"]) == {"view", "test", "run", "break_glass", "plan", "discover", "alerts", "audit"}
    entry = AuditEntry.objects.get(action="session.start")
    assert (entry.actor, entry.subject) == ("operator", "operator")


def test_the_session_changes_at_sign_in(operator: Person, stranger: Person) -> None:
    stranger.api("POST", "/session", SIGN_IN)
    first = stranger.cookies["sessionid"].value
    stranger.api("DELETE", "/session")
    stranger.api("POST", "/session", SIGN_IN)
    assert stranger.cookies["sessionid"].value != first


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"username": "nobody-of-that-name"}])
def test_a_wrong_name_and_a_wrong_password_get_the_same_refusal(
    operator: Person, stranger: Person, given: dict[str, str]
) -> None:
    answer = stranger.api("POST", "/session", SIGN_IN | given)
    assert answer.status_code == 401
    assert answer.json()["code"] == "wrong_password"
    assert answer.json()["detail"] == "User name or password is wrong. You are not signed in."
    entry = AuditEntry.objects.get(action="session.refused")
    assert entry.subject == (SIGN_IN | given)["username"]
    assert PASSWORD not in str(entry.payload)


def test_a_closed_account_cannot_sign_in_and_its_session_ends(operator: Person, stranger: Person) -> None:
    User.objects.filter(username="operator").update(is_active=False)
    assert stranger.api("POST", "/session", SIGN_IN).json()["code"] == "wrong_password"
    assert operator.read("/session")["authenticated"] is False


def test_signing_out_ends_the_session_and_is_in_the_trail(operator: Person) -> None:
    assert operator.api("DELETE", "/session").status_code == 204
    assert operator.read("/session")["authenticated"] is False
    assert AuditEntry.objects.get(action="session.end").actor == "operator"


def test_signing_out_twice_is_no_error(stranger: Person) -> None:
    assert stranger.api("DELETE", "/session").status_code == 204


def test_signing_in_needs_the_csrf_token(operator: Person, stranger: Person) -> None:
    answer = stranger.api("POST", "/session", SIGN_IN, **{"X-CSRFToken": "wrong"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "csrf"


def test_the_demo_shows_its_logins_to_strangers_only(operator: Person, stranger: Person, settings: Any) -> None:
    settings.DEMO = True
    assert {login["username"] for login in stranger.read("/session")["demo_logins"]} >= {"operator", "approver"}
    assert operator.read("/session")["demo_logins"] == []


def guess(person: Person, times: int, **given: str) -> list[int]:
    return [person.api("POST", "/session", SIGN_IN | {"password": "wrong"} | given).status_code for _ in range(times)]


def test_guessing_is_stopped_and_the_right_password_does_not_help_then(operator: Person, stranger: Person) -> None:
    assert guess(stranger, 7) == [401] * 5 + [429] * 2
    refused = stranger.api("POST", "/session", SIGN_IN)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert AuditEntry.objects.filter(action="session.refused").count() == 5


def test_nobody_can_lock_somebody_else_out(operator: Person, stranger: Person) -> None:
    guess(stranger, 6)
    elsewhere = Person(None)
    elsewhere.defaults["REMOTE_ADDR"] = "198.51.100.7"
    assert elsewhere.api("POST", "/session", SIGN_IN).status_code == 200


def test_many_names_from_one_address_are_stopped_too(stranger: Person) -> None:
    statuses = [guess(stranger, 1, username=f"name-{number}")[0] for number in range(52)]
    assert statuses == [401] * 50 + [429] * 2


def test_it_is_over_after_a_quarter_of_an_hour(
    operator: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess(stranger, 5)
    later = timezone.now() + dt.timedelta(minutes=16)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert stranger.api("POST", "/session", SIGN_IN).status_code == 200
