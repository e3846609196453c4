"""A program's account: tokens and no password, and never more than its role."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from drportal.audit.models import AuditEntry
from drportal.people.models import ApiToken
from drportal.people.rights import may
from drportal.roles import GRANTS, PEOPLE, Permission, Role, permissions_of
from tests.conftest import Person, hold

pytestmark = pytest.mark.django_db


def person(*words: str) -> str:
    out = StringIO()
    call_command("person", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def nightly() -> User:
    person("add", "nightly", "--role", "service-account")
    return User.objects.get(username="nightly")


def token(*words: str) -> str:
    return person("token", "nightly", "--name", "drill", *words).splitlines()[-1]


def status(client: Client, text: str, path: str, method: str = "GET") -> int:
    headers = {"Authorization": f"Bearer {text}"}
    answer = client.generic(method, f"/api/v1{path}", "{}", content_type="application/json", headers=headers)
    return answer.status_code


def test_it_is_made_without_a_password_and_cannot_sign_in(nightly: User, stranger: Person) -> None:
    assert not nightly.has_usable_password()
    assert stranger.api("POST", "/session", {"username": "nightly", "password": ""}).status_code == 401
    with pytest.raises(CommandError, match="has no password"):
        person("password", "nightly")


def test_its_tokens_are_made_by_who_runs_the_portal_and_open_what_they_say(nightly: User, client: Client) -> None:
    narrow, whole = token("--scope", "view"), token()
    assert (status(client, narrow, "/sites"), status(client, narrow, "/pairs/999/discover", "POST")) == (200, 403)
    assert status(client, whole, "/pairs/999/discover", "POST") == 404
    assert status(client, whole, "/audit") == 403
    entry = AuditEntry.objects.filter(action="token.create").first()
    assert entry is not None
    assert entry.actor.startswith("cli:")
    assert (entry.payload["owner"], entry.payload["scope"]) == ("nightly", ["view"])
    assert not [one for one in (narrow, whole) if one in str(list(AuditEntry.objects.values()))]


def test_a_token_is_taken_back(nightly: User, client: Client) -> None:
    text = token()
    person("token", "nightly", "--withdraw", str(ApiToken.objects.get().pk))
    assert status(client, text, "/sites") == 401
    with pytest.raises(CommandError, match="no such token"):
        person("token", "nightly", "--withdraw", "1")


def test_closing_it_closes_its_tokens(nightly: User, client: Client) -> None:
    text = token()
    person("close", "nightly")
    assert status(client, text, "/sites") == 401


@pytest.mark.parametrize("role", PEOPLE)
def test_another_role_gives_it_nothing(nightly: User, role: Role) -> None:
    """Put there past the command, straight into the database."""
    hold(nightly, role)
    assert permissions_of([Role.SERVICE, role]) == GRANTS[Role.SERVICE]
    assert may(nightly, Permission.RUN, None)
    assert not may(nightly, Permission.APPROVE, None)


def test_its_role_has_no_say_in_what_others_are_held_to() -> None:
    assert not GRANTS[Role.SERVICE] & {Permission.APPROVE, Permission.REVIEW, Permission.SITES, Permission.PLAN}


def test_it_stays_what_it_is(nightly: User, operator: Person) -> None:
    for words in (
        ["add", "both", "--role", "service-account", "--role", "operator"],
        ["roles", "nightly", "--role", "operator"],
        ["roles", "operator", "--role", "service-account"],
        ["token", "operator", "--name", "x"],
        ["token", "nightly"],
        ["token", "nightly", "--name", "x", "--days", "400"],
        ["token", "nightly", "--name", "x", "--scope", "approve"],
    ):
        with pytest.raises(CommandError):
            person(*words)
    assert not ApiToken.objects.exists()
