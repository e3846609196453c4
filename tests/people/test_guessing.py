"""Guessing: side by side, through a proxy, and by somebody who is signed in already."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.db import connections

from drportal.asgi import application
from drportal.audit.models import AuditEntry
from drportal.errors import PortalError
from drportal.people import guessing, proof, services
from drportal.people.models import PasswordAttempt
from drportal.roles import Role
from tests.conftest import PASSWORD, Person, make_person

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 12
PATIENCE_S = 60.0


def test_guesses_that_arrive_together_are_counted_like_guesses_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's password is looked at until everybody has got as far as they get."""
    make_person("operator", Role.OPERATOR)
    looked_at, answered = [], []

    def look_when_all_are_here(*args: Any, **kwargs: Any) -> None:
        looked_at.append(1)
        until = time.monotonic() + PATIENCE_S
        while len(looked_at) + len(answered) < AT_ONCE and time.monotonic() < until:
            time.sleep(0.01)

    def guess(_: int) -> int:
        try:
            status: int = people.pop().api("POST", "/session", {"username": "operator", "password": "x"}).status_code
        finally:
            answered.append(1)
            connections.close_all()
        return status

    monkeypatch.setattr(services, "authenticate", look_when_all_are_here)
    people = [Person(None) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        statuses = sorted(threads.map(guess, range(AT_ONCE)))
    assert len(looked_at) == guessing.OF_ONE_NAME
    assert statuses == [401] * 5 + [429] * 7


def test_a_right_password_does_not_count(operator: Person) -> None:
    for _ in range(guessing.OF_ONE_NAME + 2):
        assert Person(None).api("POST", "/session", {"username": "operator", "password": PASSWORD}).status_code == 200
    assert not PasswordAttempt.objects.exists()


def test_what_ends_while_a_password_is_looked_at_leaves_it_counted() -> None:
    for _ in range(guessing.OF_ONE_NAME):
        with pytest.raises(KeyboardInterrupt), guessing.counted_attempt("operator", "192.0.2.1"):
            raise KeyboardInterrupt
    with pytest.raises(guessing.TooManyAttempts), guessing.counted_attempt("operator", "192.0.2.1"):
        pass


def test_a_password_that_is_asked_for_again_cannot_be_guessed_either(operator: Person) -> None:
    user = User.objects.get(username="operator")
    assert not any(proof.password_matches(user, "wrong") for _ in range(guessing.OF_ONE_NAME))
    with pytest.raises(PortalError, match="not looked at"):
        proof.password_matches(user, PASSWORD)
    assert Person(None).api("POST", "/session", {"username": "operator", "password": PASSWORD}).status_code == 200


async def ask(method: str, client: str, forwarded: dict[str, str], cookie: str, body: Any = None) -> tuple[int, Any]:
    """One request as uvicorn hands it over, from ``client``; the CSRF cookie is the header too."""
    token = cookie.partition("=")[2]
    sent = {"host": "testserver", "cookie": cookie, "x-csrftoken": token, "content-type": "application/json"}
    data = json.dumps(body or {}).encode()
    headers = {**sent, **forwarded, "content-length": str(len(data))}
    scope = {
        "type": "http", "method": method, "path": "/api/v1/session", "query_string": b"", "http_version": "1.1",
        "scheme": "http", "client": (client, 4711), "server": ("testserver", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asked = ApplicationCommunicator(application, scope)
    await asked.send_input({"type": "http.request", "body": data})
    start = await asked.receive_output(PATIENCE_S)
    said = b""
    while True:
        part = await asked.receive_output(PATIENCE_S)
        said += part.get("body", b"")
        if not part.get("more_body"):
            break
    await asked.wait(PATIENCE_S)
    return start["status"], dict(start["headers"]) if method == "GET" else json.loads(said)


async def guesses(client: str, *forwarded_for: str) -> list[int]:
    _, headers = await ask("GET", client, {}, "csrftoken=")
    cookie = headers[b"Set-Cookie"].decode().partition(";")[0]
    wrong = {"username": "operator", "password": "wrong"}
    return [(await ask("POST", client, {"x-forwarded-for": one}, cookie, wrong))[0] for one in forwarded_for]


async def test_behind_the_proxy_each_browser_is_counted_for_itself() -> None:
    """And what a browser itself writes into the header is not believed: the proxy's own word is the last."""
    assert await guesses("127.0.0.1", *["192.0.2.1"] * 6) == [401] * 5 + [429]
    assert await guesses("127.0.0.1", "192.0.2.2") == [401]
    assert await guesses("127.0.0.1", *[f"203.0.113.{n}, 192.0.2.1" for n in range(2)]) == [429] * 2
    addresses = [entry.payload["address"] async for entry in AuditEntry.objects.filter(action="session.refused")]
    assert set(addresses) == {"192.0.2.1", "192.0.2.2"}


async def test_from_anybody_else_the_header_is_not_believed() -> None:
    assert await guesses("198.51.100.9", *[f"192.0.2.{n}" for n in range(6)]) == [401] * 5 + [429]
    entry = await AuditEntry.objects.filter(action="session.refused").afirst()
    assert entry is not None
    assert entry.payload["address"] == "198.51.100.9"


async def test_only_the_proxy_can_say_that_a_request_came_by_tls() -> None:
    """A page that came by TLS names its origin so; from anywhere else that is a foreign origin."""
    _, headers = await ask("GET", "127.0.0.1", {}, "csrftoken=")
    cookie = headers[b"Set-Cookie"].decode().partition(";")[0]
    said = {"x-forwarded-proto": "https", "origin": "https://testserver"}
    wrong = {"username": "operator", "password": "wrong"}
    assert (await ask("POST", "127.0.0.1", said, cookie, wrong))[1]["code"] == "wrong_password"
    assert (await ask("POST", "198.51.100.9", said, cookie, wrong))[1]["code"] == "csrf"
