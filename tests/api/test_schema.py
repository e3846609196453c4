"""Schemathesis over the whole API with each role: whatever is sent, the answer is one that the schema names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from drportal.people.services import token_create
from drportal.roles import PEOPLE, Role
from tests.conftest import make_person

BUDGET = int(os.environ.get("DRPORTAL_SCHEMA_EXAMPLES", "3"))  # per endpoint and way in
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())


@contextmanager
def one_transaction() -> Iterator[None]:
    """The requests share the test's transaction, as those of Django's test client do (which connects these signals
    again: make people before)."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


# With a parameter, although there is but one: without any, all tests that schemathesis makes have one id (pytest 9),
# and pytest-xdist runs one of them.
@pytest.fixture(params=["every way in"])
def ways(things: dict[str, Any]) -> Iterator[list[dict[str, str]]]:
    """In: with a person's token, of each role; of a service account; nobody; somebody with every role and a cookie."""
    ways = [*(headers_of_token(role) for role in (*PEOPLE, Role.SERVICE)), {}, headers_of_session()]
    with one_transaction():
        yield ways


def headers_of_session() -> dict[str, str]:
    cookies = make_person("everybody", *PEOPLE).cookies
    sent = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    return {"Cookie": sent, "X-CSRFToken": cookies["csrftoken"].value}


def headers_of_token(role: Role) -> dict[str, str]:
    person = make_person(f"schema-{role.value}", role)
    assert person.user is not None
    return {"Authorization": f"Bearer {token_create(person.user, 'schema', 1)[1]}"}


def ask_about(things: dict[str, Any], case: schemathesis.Case, ways: list[dict[str, str]]) -> None:
    """About what exists, and about whatever schemathesis made up, in turn; each way in finds everything as it was."""
    things["asked"] = things.get("asked", 0) + 1
    if things["asked"] % 2:
        case.path_parameters = {name: things.get(name, given) for name, given in case.path_parameters.items()}
    for headers in ways:
        before = transaction.savepoint()
        try:
            case.call_and_validate(headers=headers, checks=CHECKS)
        finally:
            transaction.savepoint_rollback(before)


@schema.parametrize()
@settings(
    max_examples=BUDGET,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_breaks_the_schema(
    case: schemathesis.Case, ways: list[dict[str, str]], things: dict[str, Any]
) -> None:
    """Examples go all ways in; the many values at and beyond each boundary go the one that leads furthest."""
    systematic = case.meta is not None and case.meta.phase.name == TestPhase.COVERAGE
    ask_about(things, case, ways[-1:] if systematic else ways)
