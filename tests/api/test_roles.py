"""Role x endpoint x object, and role x topic: the rows are in ``matrix.py``, the endpoints in docs/openapi.json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from asgiref.sync import sync_to_async
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client

from drportal import events
from drportal.audit.models import AuditEntry
from drportal.errors import Invalid
from drportal.people.models import BrowserSession
from drportal.people.services import token_create
from drportal.roles import PEOPLE, Permission, Role, permissions_of
from tests.api import matrix
from tests.api.matrix import Who
from tests.conftest import Person, make_person
from tests.live.test_websocket import hear, socket

ROOT = Path(__file__).parent.parent.parent
ROWS = matrix.endpoints()
CALLS = [(method, re.sub(r"\{\w+\}", "999999", path), who) for (method, path), who in ROWS.items()]
PERMISSIONS = [None, *Role]  # None: somebody without any role


def documented() -> set[tuple[str, str]]:
    """Of docs/openapi.json, which ``make openapi`` holds against the code."""
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    return {(method.upper(), path.removeprefix("/api/v1")) for path, there in paths.items() for method in there}


def granted(role: Role | None) -> frozenset[Permission]:
    return permissions_of([role.value] if role else [])


def may(role: Role | None, who: Permission | Who) -> bool:
    return isinstance(who, Who) or who in granted(role)


@pytest.fixture(params=[pytest.param(role, id=role.value if role else "no role") for role in PERMISSIONS])
def role(request: pytest.FixtureRequest) -> Role | None:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def person(role: Role | None, db: None) -> Person:
    return make_person("somebody", *([role] if role else []))


def test_every_endpoint_has_a_row_and_every_row_an_endpoint() -> None:
    assert set(ROWS) == documented()
    assert len(ROWS) > 80


def test_each_role_gets_in_where_its_row_says_and_nowhere_else(person: Person, role: Role | None) -> None:
    """On things that do not exist: who may not, learns nothing about what exists."""
    wrong = []
    for method, path, who in CALLS:
        if (method, path) == ("DELETE", "/session"):
            continue  # ends it, and is for everybody
        status = person.api(method, path, {}).status_code
        if (status == 403) == may(role, who) or status in {401, 500}:
            wrong.append(f"{method} {path} is for {who}: {status}")
    assert not wrong


@pytest.mark.django_db
def test_a_stranger_gets_in_nowhere(stranger: Person) -> None:
    for method, path, who in CALLS:
        if who is not Who.ANYBODY:
            assert stranger.api(method, path, {}).status_code == 401, f"{method} {path}"


@pytest.mark.django_db
def test_everything_that_changes_something_needs_the_csrf_token_with_a_cookie() -> None:
    everybody = make_person("everybody", *PEOPLE)
    for method, path, _ in [call for call in CALLS if call[2] is not Who.ANYBODY]:  # those: tests/people
        status = everybody.api(method, path, {}, **{"X-CSRFToken": "wrong"}).status_code
        assert (status == 403) == (method != "GET"), f"{method} {path}: {status}"


def test_what_others_made_is_seen_by_who_may_and_by_nobody_else(
    person: Person, role: Role | None, things: dict[str, Any]
) -> None:
    wrong, seen = [], 0
    for (method, path), who in ROWS.items():
        names = re.findall(r"\{(\w+)\}", path)
        if method != "GET" or not names or not set(names) <= set(things):
            continue
        status = person.api(method, path.format(**things)).status_code
        seen += status == 200
        if (status == 403) == may(role, who) or status in {401, 500}:
            wrong.append(f"{method} {path} is for {who}: {status}")
    assert not wrong
    assert (seen > 20) == (Permission.VIEW in granted(role))


OBJECTS = [(method, path, who) for (method, path), who in ROWS.items() if "{" in path and who is not Who.SIGNED_IN]


def kept_now() -> dict[str, list[dict[str, Any]]]:
    """Every row but of the trail and of sessions."""
    aside = {AuditEntry, Session, BrowserSession}
    tables = set(connection.introspection.table_names())
    models = [model for model in apps.get_models() if model not in aside and model._meta.db_table in tables]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_each_name_in_a_path_is_one_of_the_things(things: dict[str, Any]) -> None:
    assert {name for _, path, _ in OBJECTS for name in re.findall(r"\{(\w+)\}", path)} <= set(things)


def test_what_others_made_is_changed_by_nobody_who_may_not(
    person: Person, role: Role | None, things: dict[str, Any]
) -> None:
    before, wrong, tried = kept_now(), [], 0
    for method, path, who in OBJECTS:
        if method == "GET" or may(role, who):
            continue
        answer = person.api(method, path.format(**things), {}, version=1)
        tried += 1
        if (answer.status_code, answer.json()["code"]) != (403, "forbidden"):
            wrong.append(f"{method} {path} is for {who}: {answer.status_code} {answer.content!r}")
    assert not wrong
    assert tried > 8
    assert kept_now() == before


def test_who_may_is_let_in_to_what_others_made(person: Person, role: Role | None, things: dict[str, Any]) -> None:
    """As far as the door: an empty body, each call undone."""
    wrong = []
    for method, path, who in OBJECTS:
        if method == "GET" or not may(role, who):
            continue
        with transaction.atomic():
            answer = person.api(method, path.format(**things), {}, version=1)
            transaction.set_rollback(True)
        code = answer.json()["code"] if answer.status_code >= 400 else ""
        if answer.status_code in {401, 404, 500} or code == "forbidden":
            wrong.append(f"{method} {path} is for {who}: {answer.status_code} {answer.content!r}")
    assert not wrong


def test_a_stranger_neither_sees_nor_changes_what_others_made(stranger: Person, things: dict[str, Any]) -> None:
    before = kept_now()
    for method, path, _ in OBJECTS:
        assert stranger.api(method, path.format(**things), {}, version=1).status_code == 401, f"{method} {path}"
    assert kept_now() == before


# --- what is a person's own


def token_of(person: Person) -> int:
    return int(person.api("POST", "/tokens", {"name": "mine", "days": 1}).json()["id"])


def session_of(person: Person) -> int:
    """Of a second browser that the same person is signed in with."""
    assert person.user is not None
    other = Person(person.user)
    here = next(item for item in other.read("/sessions")["items"] if item["here"])
    return int(here["id"])


def key_of(person: Person) -> int:
    """A security key; what it could answer does not matter here."""
    return Authenticator.objects.create(user=person.user, type="webauthn", data={"name": "mine"}).pk


def view_of(person: Person) -> int:
    kept = person.api("PUT", "/views", {"table": "images", "name": "mine", "search": "q=web"})
    return int(kept.json()["id"])


# Each endpoint for whoever is signed in: what makes one's own thing, and how one asks for it.
OWN: dict[tuple[str, str], Callable[[Person], int] | None] = {
    ("GET", "/sessions"): session_of,
    ("DELETE", "/sessions/{session_id}"): session_of,
    ("GET", "/tokens"): token_of,
    ("POST", "/tokens"): None,  # names nobody's thing
    ("POST", "/session/proof"): None,
    ("PUT", "/session/password"): None,
    ("GET", "/factors"): key_of,
    ("PATCH", "/factors/{factor_id}"): key_of,
    ("DELETE", "/factors/{factor_id}"): key_of,
    **{("POST", f"/factors/{rest}"): None for rest in ("app/begin", "app", "keys/begin", "keys", "recovery-codes")},
    ("DELETE", "/tokens/{token_id}"): token_of,
    ("GET", "/views"): view_of,
    ("PUT", "/views"): None,
    ("DELETE", "/views/{view_id}"): view_of,
}


DANGEROUS = {
    ("PATCH", "/sites/{slug}"), ("DELETE", "/sites/{slug}"), ("PUT", "/sites/{slug}/credentials/{kind}"),
    ("PUT", "/sites/{slug}/host-keys"), ("POST", "/plans/{plan_id}/disaster"), ("POST", "/tokens"),
    ("POST", "/runs/{run_id}/approval"), ("POST", "/policy/changes"),
    ("POST", "/pairs/{pair_id}/witnesses"), ("PUT", "/pairs/{pair_id}/witnesses/{witness_id}/host-keys"),
    ("DELETE", "/pairs/{pair_id}/witnesses/{witness_id}"),
    ("POST", "/sites"), ("POST", "/pairs"), ("POST", "/alert-channels"), ("DELETE", "/alert-channels/{channel_id}"),
    ("POST", "/grants"), ("POST", "/grants/{grant_id}/take"), ("POST", "/access/sign-out"),
    ("POST", "/runs/{run_id}/steps/{step_id}/skip"), ("POST", "/runs/{run_id}/review/accept"),
    ("POST", "/factors/app/begin"), ("POST", "/factors/app"), ("POST", "/factors/keys/begin"),
    ("POST", "/factors/keys"), ("DELETE", "/factors/{factor_id}"), ("POST", "/factors/recovery-codes"),
}  # fmt: skip


@pytest.mark.django_db
def test_what_is_dangerous_needs_the_password_again_and_nothing_else_does() -> None:
    everybody = make_person("everybody", *PEOPLE)
    session = everybody.session
    del session["proved_at"]
    session.save()
    asked = set()
    for method, path in ROWS:
        if (method, path) != ("DELETE", "/session"):
            answer = everybody.api(method, re.sub(r"\{\w+\}", "999999", path), {})
            if answer.status_code == 403 and answer.json()["code"] == "password_again":
                asked.add((method, path))
    assert asked == DANGEROUS


def test_each_endpoint_for_everybody_says_whose_thing_it_is_about() -> None:
    assert set(OWN) == {row for row, who in ROWS.items() if who is Who.SIGNED_IN}


@pytest.mark.parametrize(("method", "path"), [row for row, make in OWN.items() if make])
def test_nobody_reaches_what_is_somebody_elses_own(person: Person, method: str, path: str) -> None:
    make = OWN[method, path]
    assert make is not None
    other = make_person("other", *PEOPLE)
    theirs, mine = make(other), make(person)
    if "{" in path:
        fill = re.compile(r"\{\w+\}")
        body = {"name": "another"} if method == "PATCH" else None
        assert person.api(method, fill.sub(str(theirs), path), body).status_code == 404
        assert person.api(method, fill.sub(str(mine), path), body).status_code in {200, 204}
    else:
        numbers = [item["id"] for item in person.read(path)["items"]]
        assert mine in numbers
        assert theirs not in numbers


# --- tokens


def with_token(client: Client, token: str, method: str, path: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.generic(method, f"/api/v1{path}", "{}", content_type="application/json", headers=headers)
    return answer.status_code


@pytest.mark.parametrize("scope", [None, [Permission.VIEW], [Permission.RUN, Permission.AUDIT]], ids=str)
def test_a_token_gets_in_where_role_and_scope_say_and_never_to_tokens(
    person: Person, role: Role | None, client: Client, scope: list[Permission] | None
) -> None:
    assert person.user is not None
    within = None if scope is None else [one for one in scope if one in granted(role)]
    if within == []:
        with pytest.raises(Invalid):
            token_create(person.user, "t", 1, within)
        return
    token = token_create(person.user, "t", 1, within)[1]
    wrong = []
    for method, path, who in CALLS:
        if who is Who.ANYBODY:
            continue
        allowed = who in granted(role) and (within is None or who in within)
        status = with_token(client, token, method, path)
        if (status == 403) == allowed or status in {401, 500}:
            wrong.append(f"{method} {path} is for {who}: {status}")
    assert not wrong


# --- the websocket


def test_every_topic_has_a_row() -> None:
    assert {topic.partition(":")[0] for topic in matrix.topics()} == set(events.TOPICS)
    assert all(events.is_topic(topic) for topic in matrix.topics())


@pytest.mark.django_db(transaction=True)
async def test_each_role_hears_the_topics_its_row_says(role: Role | None) -> None:
    somebody = await sync_to_async(make_person)("somebody", *([role] if role else []))
    rows = matrix.topics()
    async with socket(somebody) as live:
        await live.send_json({"subscribe": list(rows)})
        told = await hear(live)
    assert told["subscribed"] == [topic for topic, who in rows.items() if may(role, who)]
    assert told["refused"] == [topic for topic, who in rows.items() if not may(role, who)]
