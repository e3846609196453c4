"""Personal tokens: shown once, never stored, as much worth as their owner."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.people.models import ApiToken
from tests.conftest import Person


def make(person: Person, name: str = "backup script", days: int = 30) -> dict[str, str]:
    answer = person.api("POST", "/tokens", {"name": name, "days": days})
    assert answer.status_code == 201, answer.content
    made: dict[str, str] = answer.json()
    return made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_shown_once_and_only_its_digest_is_kept(operator: Person) -> None:
    token = make(operator)["token"]
    assert token not in str(operator.read("/tokens"))
    assert token not in str(list(ApiToken.objects.values()))
    assert token not in str(list(AuditEntry.objects.values()))


def test_a_token_lets_a_program_in_with_its_owners_rights_and_without_csrf(operator: Person, client: Client) -> None:
    headers = bearer(make(operator)["token"])
    assert client.get("/api/v1/sites", headers=headers).status_code == 200
    refused = client.post("/api/v1/sites", "{}", content_type="application/json", headers=headers)
    assert refused.status_code == 403
    assert refused.json()["code"] == "forbidden"
    assert ApiToken.objects.get().last_used_at is not None


def test_a_token_wins_over_a_cookie_so_that_a_bad_one_is_never_overlooked(operator: Person) -> None:
    assert operator.api("GET", "/sites", **bearer("drp_not-a-token")).status_code == 401


@pytest.mark.parametrize("end", ["expired", "owner closed", "deleted"])
def test_a_token_that_has_ended_opens_nothing(operator: Person, client: Client, end: str) -> None:
    made = make(operator)
    if end == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    elif end == "owner closed":
        User.objects.update(is_active=False)
    else:
        assert operator.api("DELETE", f"/tokens/{made['id']}").status_code == 204
    answer = client.get("/api/v1/sites", headers=bearer(made["token"]))
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_signed_in"


def test_nobody_sees_or_deletes_the_tokens_of_others(operator: Person, administrator: Person) -> None:
    made = make(operator)
    assert administrator.read("/tokens")["items"] == []
    assert administrator.api("DELETE", f"/tokens/{made['id']}").status_code == 404
    assert ApiToken.objects.count() == 1


def test_a_scope_narrows_and_never_widens(operator: Person, client: Client) -> None:
    body = {"name": "metrics", "days": 1, "scope": ["view"]}
    made = operator.api("POST", "/tokens", body).json()
    headers = bearer(made["token"])
    assert (made["scope"], operator.read("/tokens")["items"][0]["scope"]) == (["view"], ["view"])
    assert client.get("/api/v1/sites", headers=headers).status_code == 200
    refused = client.get("/api/v1/audit", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "the token “metrics” does not have" in refused.json()["detail"]
    User.objects.get(username="operator").grants.all().delete()
    assert client.get("/api/v1/sites", headers=headers).status_code == 403


@pytest.mark.parametrize(("scope", "code"), [(["sites"], "scope"), ([], "scope"), (["x"], "invalid")])
def test_a_scope_beyond_the_owner_or_an_empty_one_is_refused(operator: Person, scope: list[str], code: str) -> None:
    answer = operator.api("POST", "/tokens", {"name": "x", "days": 1, "scope": scope})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not ApiToken.objects.exists()


def test_a_token_cannot_make_or_see_tokens_and_sessions(operator: Person, client: Client) -> None:
    """Else one that was stolen for a day would be good for a year."""
    headers = bearer(make(operator)["token"])
    for method, path in [("POST", "tokens"), ("GET", "tokens"), ("GET", "sessions"), ("DELETE", "sessions/1")]:
        answer = client.generic(method, f"/api/v1/{path}", "{}", content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_by_token")
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("body", [{"name": "", "days": 1}, {"name": "x", "days": 0}, {"name": "x", "days": 4000}])
def test_it_refuses_tokens_without_a_name_or_a_sensible_end(operator: Person, body: dict[str, object]) -> None:
    assert operator.api("POST", "/tokens", body).status_code == 422
