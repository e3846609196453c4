"""From where somebody is signed in, and how they end it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.people.models import BrowserSession
from tests.conftest import PASSWORD, Person

SIGN_IN = {"username": "operator", "password": PASSWORD}


def browser(address: str, agent: str) -> Person:
    person = Person(None)
    person.defaults |= {"REMOTE_ADDR": address, "HTTP_USER_AGENT": agent}
    assert person.api("POST", "/session", SIGN_IN).status_code == 200
    return person


@pytest.fixture
def two(operator: Person) -> tuple[Person, Person]:
    """Browsers of the operator; the fixture's own session is over."""
    operator.api("DELETE", "/session")
    return browser("192.0.2.1", "At work"), browser("192.0.2.2", "At home")


def test_each_says_where_and_since_when_and_which_one_asks(two: tuple[Person, Person]) -> None:
    work, home = two
    seen = {item["agent"]: (item["address"], item["here"]) for item in work.read("/sessions")["items"]}
    assert seen == {"At work": ("192.0.2.1", True), "At home": ("192.0.2.2", False)}
    assert [item["here"] for item in home.read("/sessions")["items"] if item["agent"] == "At home"] == [True]


def test_one_that_is_ended_is_signed_out_and_the_others_are_not(two: tuple[Person, Person]) -> None:
    work, home = two
    item = next(item for item in work.read("/sessions")["items"] if not item["here"])
    assert work.api("DELETE", f"/sessions/{item['id']}").status_code == 204
    assert home.read("/session")["authenticated"] is False
    assert work.read("/session")["authenticated"] is True
    assert len(work.read("/sessions")["items"]) == 1
    entry = AuditEntry.objects.get(action="session.revoke")
    assert (entry.actor, entry.payload) == ("operator", {"address": "192.0.2.2", "agent": "At home"})


def test_nobody_ends_the_session_of_somebody_else(two: tuple[Person, Person], administrator: Person) -> None:
    number = two[0].read("/sessions")["items"][0]["id"]
    assert administrator.api("DELETE", f"/sessions/{number}").status_code == 404
    assert BrowserSession.objects.filter(pk=number).exists()


def test_one_that_was_signed_out_is_not_shown(two: tuple[Person, Person]) -> None:
    work, home = two
    home.api("DELETE", "/session")
    assert [item["agent"] for item in work.read("/sessions")["items"]] == ["At work"]


@pytest.mark.parametrize("end", ["password changed", "expired"])
def test_what_has_ended_is_not_shown(two: tuple[Person, Person], end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.get(username="operator")
    if end == "password changed":
        user.set_password("another one, also long")
        user.save()
    else:
        later = timezone.now() + dt.timedelta(days=2)
        monkeypatch.setattr(timezone, "now", lambda: later)
    again = Person(User.objects.get(username="operator"))
    assert [item["here"] for item in again.read("/sessions")["items"]] == [True]
    assert BrowserSession.objects.count() == 1


def test_a_session_from_before_sessions_were_listed_is_listed_when_it_is_used(operator: Person) -> None:
    assert not BrowserSession.objects.exists()
    assert [item["here"] for item in operator.read("/sessions")["items"]] == [True]


def test_the_keys_of_sessions_are_in_no_answer(two: tuple[Person, Person]) -> None:
    said = two[0].api("GET", "/sessions").content.decode()
    assert not [session for session in BrowserSession.objects.all() if session.session_key in said]


def test_an_administrator_signs_somebody_out_everywhere(two: tuple[Person, Person], administrator: Person) -> None:
    work, _ = two
    token = work.api("POST", "/tokens", {"name": "nightly", "days": 1}).json()["token"]
    ask = {"username": "operator", "reason": "the laptop was stolen"}
    assert administrator.api("POST", "/access/sign-out", {**ask, "reason": " "}).json()["code"] == "reason"
    assert work.api("GET", "/sites").status_code == 200
    assert administrator.api("POST", "/access/sign-out", ask).json() == {"sessions": 2, "tokens": 0}
    assert [person.api("GET", "/sites").status_code for person in two] == [401, 401]
    bearer = {"Authorization": f"Bearer {token}"}
    assert Person(None).api("GET", "/sites", **bearer).status_code == 200
    call_command("person", "sign-out", "operator", "--tokens", "--reason", "and the token with it")
    assert Person(None).api("GET", "/sites", **bearer).status_code == 401
    entries = AuditEntry.objects.filter(action="person.signed_out").order_by("seq")
    assert [entry.payload for entry in entries] == [
        {"reason": "the laptop was stolen", "sessions": 2, "tokens": 0},
        {"reason": "and the token with it", "sessions": 0, "tokens": 1},
    ]
    assert (entries[0].actor, entries[0].subject) == ("administrator", "operator")
    assert administrator.api("POST", "/access/sign-out", {**ask, "username": "who"}).status_code == 404
