"""People change their own password: with the one that they have, and nobody who signed in with it before stays."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from drportal.audit.models import AuditEntry
from tests.conftest import PASSWORD, Person

NEW = "a-much-better-one-7"


def change(person: Person, new: str = NEW, password: str = PASSWORD) -> tuple[int, str]:
    answer = person.api("PUT", "/session/password", {"password": password, "new_password": new})
    return answer.status_code, answer.json().get("code", "")


def opens(person: Person, password: str) -> int:
    """The status of a sign-in."""
    return person.api("POST", "/session", {"username": "operator", "password": password}).status_code


def browser() -> Person:
    """One that is signed in."""
    person = Person(None)
    assert opens(person, PASSWORD) == 200
    return person


@pytest.fixture
def here(operator: Person) -> Person:
    operator.api("DELETE", "/session")
    return browser()


def test_every_other_session_ends_and_this_one_goes_on(here: Person) -> None:
    thief = browser()
    assert thief.api("GET", "/sites").status_code == 200
    assert change(here) == (200, "")
    assert thief.api("GET", "/sites").status_code == 401
    assert here.api("GET", "/sites").status_code == 200
    assert [item["here"] for item in here.read("/sessions")["items"]] == [True]
    assert (opens(Person(None), PASSWORD), opens(Person(None), NEW)) == (401, 200)
    entry = AuditEntry.objects.get(action="person.password")
    assert (entry.actor, entry.subject, entry.payload) == ("operator", "operator", {"sessions_ended": 1})
    assert not AuditEntry.objects.filter(payload__icontains=NEW).exists()


@pytest.mark.parametrize("new", ["short", "password123", "operator1", PASSWORD])
def test_one_that_is_easy_to_guess_or_the_same_is_refused(here: Person, new: str) -> None:
    assert change(here, new) == (422, "weak_password")
    assert User.objects.get(username="operator").check_password(PASSWORD)


def test_who_does_not_know_the_one_there_is_changes_and_guesses_nothing(here: Person) -> None:
    assert [change(here, password="wrong") for _ in range(5)] == [(403, "wrong_password")] * 5
    assert change(here) == (429, "too_many_attempts")
    assert User.objects.get(username="operator").check_password(PASSWORD)
    assert AuditEntry.objects.filter(action="session.not_proved", payload={"tried": "password"}).count() == 5


def test_an_account_of_the_identity_provider_has_none(here: Person) -> None:
    user = User.objects.get(username="operator")
    user.set_unusable_password()
    user.save()
    assert change(Person(user)) == (409, "no_password")


def test_a_token_cannot_change_it(here: Person) -> None:
    made = here.api("POST", "/tokens", {"name": "x", "days": 1}).json()["token"]
    body = {"password": PASSWORD, "new_password": NEW}
    answer = Person(None).api("PUT", "/session/password", body, Authorization=f"Bearer {made}")
    assert answer.status_code == 403
    assert User.objects.get(username="operator").check_password(PASSWORD)
