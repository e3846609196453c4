"""What somebody tried and was not let do is in the trail."""

from __future__ import annotations

import datetime as dt
import zipfile
from io import BytesIO

import pytest
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.inventory.models import SitePair
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


def test_taking_the_trail_away_is_in_the_trail(manager: Person) -> None:
    answer = manager.api("GET", "/audit/export?actor=manager")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(BytesIO(b"".join(answer))) as export:  # type: ignore[arg-type]
        assert "manifest.sig" in export.namelist()
    entry = AuditEntry.objects.get(action="trail.export")
    assert (entry.actor, entry.payload["filter"]["actor"]) == ("manager", "manager")
