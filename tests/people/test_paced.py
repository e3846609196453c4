"""Reads that cost much: one at a time for each person, and not on and on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.people.models import PacedRead
from drportal.people.paced import BOTH_SITES, WHOLE_TRAIL, TooOften, paced_read
from drportal.recovery.models import RecoveryPlan
from drportal.roles import Role
from tests.conftest import Person, make_person
from tests.recovery.conftest import Bell, ask, bell, make_plan, plan, ready  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db


@contextmanager
def after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    moment = timezone.now() + dt.timedelta(seconds=seconds)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: moment)
        yield


def refused(person: Person, path: str) -> int:
    """Seconds to wait, by the header."""
    answer = person.api("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_often"), answer.content
    assert answer.json()["detail"].endswith(".")
    return int(answer["Retry-After"])


def test_the_trail_is_walked_once_in_a_while_for_each_person(
    manager: Person, approver: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert manager.api("GET", "/audit/verify").status_code == 200
    assert 0 < refused(manager, "/audit/verify") <= WHOLE_TRAIL.every_s
    assert approver.api("GET", "/audit/verify").status_code == 200
    with after(monkeypatch, WHOLE_TRAIL.every_s + 1):
        assert manager.api("GET", "/audit/verify").status_code == 200
    assert not AuditEntry.objects.filter(action="request.refused").exists()


def test_one_at_a_time_until_it_has_surely_ended(manager: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert manager.user is not None
    with paced_read(manager.user, BOTH_SITES):
        with after(monkeypatch, BOTH_SITES.longest_s - 1), pytest.raises(TooOften, match="already"):
            with paced_read(manager.user, BOTH_SITES):
                pass
        with paced_read(manager.user, WHOLE_TRAIL):
            pass
    row = PacedRead.objects.get(what=BOTH_SITES.name)
    assert row.ended_at is not None
    PacedRead.objects.update(ended_at=None)  # as where the process was killed
    with after(monkeypatch, BOTH_SITES.longest_s + 1), paced_read(manager.user, BOTH_SITES):
        pass


def test_one_that_failed_has_ended(manager: Person) -> None:
    assert manager.user is not None
    with pytest.raises(ZeroDivisionError), paced_read(manager.user, BOTH_SITES):
        raise ZeroDivisionError
    assert PacedRead.objects.get().ended_at is not None


def test_the_disaster_door_is_one_of_them(operator: Person, plan: RecoveryPlan) -> None:  # noqa: F811
    assert operator.user is not None
    with paced_read(operator.user, BOTH_SITES):
        assert refused(operator, f"/plans/{plan.pk}/disaster") == 2


def test_a_look_at_the_sites_beside_an_approval_is_one_of_them_and_the_approval_alone_is_not(
    approver: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = object()
    monkeypatch.setattr("drportal.recovery.services.approvals.approval_get", lambda number: row)
    assert approver.user is not None
    with paced_read(approver.user, BOTH_SITES):
        assert refused(approver, "/approvals/1?look=true") == 2


def test_a_lock_out_says_how_long(stranger: Person) -> None:
    make_person("olga", Role.VIEWER)
    said: Any = None
    for _ in range(6):
        said = stranger.api("POST", "/session", {"username": "olga", "password": "guess"})
    assert (said.status_code, said["Retry-After"]) == (429, "900")
