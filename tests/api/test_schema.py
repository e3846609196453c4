"""Schemathesis over the whole API with each role: whatever is sent, the answer is one that the schema names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from drportal.people.services import token_create
from drportal.roles import PEOPLE, Role
from tests.conftest import make_person

BUDGET = int(os.environ.get("DRPORTAL_SCHEMA_EXAMPLES", "3"))  # per endpoint and role
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())


@pytest.fixture(params=[role.value for role in PEOPLE])  # what a service account may, an operator may too
def token(request: pytest.FixtureRequest, db: None) -> Iterator[str]:
    """Of a person with one role. The requests share the test's transaction, as those of Django's test client do."""
    person = make_person(f"schema-{request.param}", Role(request.param))
    assert person.user is not None
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield token_create(person.user, "schema", 1)[1]
    for signal in signals:
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=BUDGET,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_breaks_the_schema(case: schemathesis.Case, token: str) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)
