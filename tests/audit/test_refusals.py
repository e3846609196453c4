"""What somebody tried and was not let do is in the trail."""

from __future__ import annotations

import datetime as dt
import zipfile
from io import BytesIO

import pytest
from django.test import Client
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.inventory.models import SitePair
from drportal.people.guessing import OF_ONE_NAME
from drportal.people.services import token_create
from tests.conftest import Person


def refusals() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action="request.refused"))


def test_a_403_is_kept_with_who_and_what(viewer: Person) -> None:
    viewer.api("POST", "/sites", {"slug": "x", "name": "planted-secret"})
    (entry,) = refusals()
    assert (entry.actor, entry.subject) == ("viewer", "POST /api/v1/sites")
    assert (entry.payload["status"], entry.payload["code"]) == (403, "forbidden")
    assert "planted-secret" not in str(entry.payload)


def test_a_409_is_kept(administrator: Person, pair: SitePair) -> None:
    assert administrator.api("DELETE", "/sites/site-a", version=1).status_code == 409
    assert refusals()[0].payload["code"] == "site_in_use"


def test_the_same_again_within_a_minute_is_not(viewer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        viewer.api("GET", "/audit")
    viewer.api("GET", "/audit/chain")
    assert [entry.subject for entry in refusals()] == ["GET /api/v1/audit", "GET /api/v1/audit/chain"]
    later = timezone.now() + dt.timedelta(seconds=61)
    monkeypatch.setattr(timezone, "now", lambda: later)
    viewer.api("GET", "/audit")
    assert len(refusals()) == 3


def test_a_stranger_cannot_fill_the_trail(stranger: Person) -> None:
    stranger.api("GET", "/audit")
    stranger.api("POST", "/session", {"username": "x", "password": "y"}, **{"X-CSRFToken": "wrong"})
    assert refusals() == []


def by_token(client: Client, text: str, method: str, path: str) -> int:
    headers = {"Authorization": f"Bearer {text}"}
    return client.generic(method, f"/api/v1{path}", "{}", content_type="application/json", headers=headers).status_code


@pytest.mark.parametrize("path", ["/audit", "/tokens"], ids=["not granted", "not by token"])
def test_what_a_token_was_refused_is_its_owners_whoever_the_cookie_is(
    viewer: Person, manager: Person, path: str
) -> None:
    assert viewer.user is not None
    text = token_create(viewer.user, "nightly", 1)[1]
    assert by_token(manager, text, "GET", path) == 403
    assert by_token(Client(), text, "DELETE" if path == "/tokens" else "GET", f"{path}/1") == 403
    assert len(refusals()) == 2
    assert {(one.actor, one.payload.get("token")) for one in refusals()} == {("viewer", "nightly")}


def test_a_token_that_is_none_blames_nobody(manager: Person) -> None:
    assert by_token(manager, "drp_none", "GET", "/audit") == 401
    assert refusals() == []


def test_a_lock_out_of_somebody_who_signs_in_is_kept_once_a_minute_for_an_address(stranger: Person) -> None:
    for _ in range(OF_ONE_NAME):
        assert stranger.api("POST", "/session", {"username": "olga", "password": "guess"}).status_code == 401
    for _ in range(3):
        assert stranger.api("POST", "/session", {"username": "olga", "password": "planted"}).status_code == 429
    (entry,) = refusals()
    assert (entry.actor, entry.subject) == ("nobody", "sign-in from 127.0.0.1")
    assert (entry.payload["code"], entry.payload["username"]) == ("too_many_attempts", "olga")
    assert "planted" not in str(entry.payload)


def test_a_lock_out_of_somebody_signed_in_is_kept(viewer: Person) -> None:
    for _ in range(OF_ONE_NAME):
        assert viewer.api("POST", "/session/proof", {"password": "guess"}).status_code == 403
    assert viewer.api("POST", "/session/proof", {"password": "guess"}).status_code == 429
    assert (refusals()[-1].actor, refusals()[-1].payload["status"]) == ("viewer", 429)


def test_taking_the_trail_away_is_in_the_trail(manager: Person) -> None:
    answer = manager.api("GET", "/audit/export?actor=manager")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(BytesIO(b"".join(answer))) as export:  # type: ignore[arg-type]
        assert "manifest.sig" in export.namelist()
    entry = AuditEntry.objects.get(action="trail.export")
    assert (entry.actor, entry.payload["filter"]["actor"]) == ("manager", "manager")
