"""The policy in force is in the trail when it changes, by every kind of process, and without secrets."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.management import call_command
from django.db import DatabaseError

from drportal.asgi import application
from drportal.audit import policy
from drportal.audit.models import AuditEntry
from drportal.audit.policy import policy_noted
from drportal.audit.verify import canonical


def noted() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action="policy.in_force"))


@pytest.mark.django_db
def test_it_is_noted_once_and_again_with_what_changed(settings: Any) -> None:
    settings.ANCHORS = ["file:/var/anchors", "mailtos://user:planted@mail.example.org?to=x"]
    assert policy_noted("web")
    assert not policy_noted("web")
    settings.BREAK_GLASS, settings.APPROVALS_NEEDED = False, 2
    assert policy_noted("web")
    first, second = noted()
    assert first.payload["changed"] == {}
    assert first.payload["policy"]["anchors"] == ["file:/var/anchors", "mailtos://mail.example.org"]
    assert second.payload["changed"] == {
        "approvals_needed": {"before": 1, "after": 2},
        "break_glass": {"before": True, "after": False},
    }
    for entry in (first, second):
        assert entry.payload["fingerprint"] == hashlib.sha256(canonical(entry.payload["policy"])).hexdigest()
        for secret in ("planted", settings.SECRET_KEY, settings.SIGNING_KEY, *settings.ENCRYPTION_KEYS):
            assert secret not in str(entry.payload)


@pytest.mark.django_db
def test_each_kind_of_process_speaks_for_itself(settings: Any) -> None:
    assert policy_noted("web")
    settings.HTTPS = not settings.HTTPS
    assert policy_noted("worker")
    assert not policy_noted("worker")
    assert [entry.subject for entry in noted()] == ["web", "worker"]


@pytest.mark.django_db(transaction=True)
async def test_the_web_process_notes_it_at_its_start() -> None:
    talk = ApplicationCommunicator(application, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await talk.send_input({"type": "lifespan.startup"})
    assert (await talk.receive_output(timeout=10))["type"] == "lifespan.startup.complete"
    await talk.send_input({"type": "lifespan.shutdown"})
    assert (await talk.receive_output(timeout=10))["type"] == "lifespan.shutdown.complete"
    assert [entry.subject async for entry in AuditEntry.objects.filter(action="policy.in_force")] == ["web"]


@pytest.mark.django_db
def test_worker_and_poller_note_it_at_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drportal.management.commands.worker.Family.keep", lambda family: 0)

    async def no_poll(interval_s: float | None) -> None:
        return

    monkeypatch.setattr("drportal.management.commands.poller.poll", no_poll)
    with pytest.raises(SystemExit):
        call_command("worker")
    call_command("poller")
    assert [entry.subject for entry in noted()] == ["worker", "poller"]


@pytest.mark.django_db
def test_a_database_that_refuses_keeps_nobody_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise DatabaseError("read only")

    monkeypatch.setattr(policy, "record", refuse)
    assert not policy_noted("web")
    assert "was not noted" in caplog.text
