"""Filters and pages of the trail."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from drportal.audit import search
from drportal.audit.models import AuditEntry
from drportal.audit.record import Fact, record_many
from drportal.audit.search import Filter
from tests.conftest import Person

FACTS = [
    Fact("session.start", "olga", "olga"),
    Fact("run.request", "run 1: planned_failover", "olga", {"reason": "Zoë said “now”"}, 1),
    Fact("step.start", "Demote: one/one-1 at Site A", "executor", {"step": "demote:1"}, 1, "site-a"),
    Fact("step.done", "Demote: one/one-1 at Site A", "executor", {"sentence": "100% \\ done"}, 1, "site-a"),
    Fact("step.done", "Promote: one/one-1 at Site B", "executor", {}, 1, "site-b"),
    Fact("run.succeed", "run 1: planned_failover", "executor", {}, 1),
    Fact("site.change", "site-a", "adam", {"after": {"name": "A"}}, None, "site-a"),
    Fact("runaway", "not of a run", "adam"),
]


@pytest.fixture
def filled(db: None) -> None:
    with transaction.atomic():
        record_many(FACTS)


def numbers(person: Person, query: str) -> list[int]:
    return [entry["seq"] for entry in person.read(f"/audit?{query}")["items"]]


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("actor=olga", [2, 1]),
        ("run=1", [6, 5, 4, 3, 2]),
        ("site=site-a", [7, 4, 3]),
        ("action=step.done", [5, 4]),
        ("action=run.", [6, 2]),
        ("action=run", []),
        ("action=nothing.", []),
        ("action=step.&site=site-a", [4, 3]),
        ("action=run.&run=1", [6, 2]),
        ("actor=executor&site=site-b", [5]),
        ("text=one-1", [5, 4, 3]),
        ("text=ONE/one-1%20at%20site%20b", [5]),
        ("text=Zo%C3%AB", [2]),
        ("text=%E2%80%9Cnow%E2%80%9D", [2]),
        ("text=100%25", [4]),
        ("text=%5C", [4]),
        ("text=_", [6, 2]),
        ("text=%00site-a", [7]),
        ("actor=olga&text=zoo", []),
    ],
)
def test_each_filter_leaves_what_fits(manager: Person, query: str, found: list[int]) -> None:
    assert numbers(manager, query) == found


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("query", ["", "action=step.", "text=e", "actor=executor", "run=1", "action=run.&actor=olga"])
def test_pages_follow_each_other_without_a_gap_or_a_repetition(manager: Person, query: str) -> None:
    whole = numbers(manager, query)
    paged: list[int] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        before = f"&before={page['next']}" if page["next"] else ""
        page = manager.read(f"/audit?{query}&limit=2{before}")
        assert len(page["items"]) <= 2
        paged += [entry["seq"] for entry in page["items"]]
    assert paged == whole


@pytest.mark.usefixtures("filled")
def test_a_search_that_finds_nothing_stops_and_says_how_far_it_looked(
    manager: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FIRST_STRETCH", 1)
    monkeypatch.setattr(search, "PATIENCE_S", -1)  # over after one stretch
    first = manager.read("/audit?text=olga")
    assert first == {"items": [], "next": 8, "searched_to": 8}
    seen: list[int] = []
    page = first
    while page["next"] is not None:
        page = manager.read(f"/audit?text=olga&before={page['next']}")
        seen += [entry["seq"] for entry in page["items"]]
    assert seen == [1]


@pytest.mark.django_db
def test_times_bound_the_page_on_both_sides_and_never_run_back(monkeypatch: pytest.MonkeyPatch) -> None:
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    for minutes in (0, 10, 5, 20):  # the clock was set back once
        monkeypatch.setattr(timezone, "now", lambda minutes=minutes: start + dt.timedelta(minutes=minutes))
        with transaction.atomic():
            record_many([Fact("note", str(minutes), "olga")])
    at = [int((entry.at - start).total_seconds() // 60) for entry in AuditEntry.objects.order_by("seq")]
    assert at == [0, 10, 10, 20]

    def found(since: int | None, until: int | None) -> list[int]:
        times = [None if one is None else start + dt.timedelta(minutes=one) for one in (since, until)]
        return [entry.seq for entry in search.page(Filter(since=times[0], until=times[1]), None, 10).entries]

    assert found(None, 9) == [1]
    assert found(10, 10) == [3, 2]
    assert found(11, None) == [4]
    assert found(21, None) == []
    assert found(None, -1) == []


@pytest.mark.usefixtures("filled")
def test_one_entry_has_an_address(manager: Person, viewer: Person) -> None:
    entry = manager.read("/audit/3")
    assert (entry["site"], entry["payload"]) == ("site-a", {"step": "demote:1"})
    assert manager.api("GET", "/audit/99").status_code == 404
    assert viewer.api("GET", "/audit/3").status_code == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "before=x", "run=x", "since=yesterday", f"text={'x' * 201}"])
def test_a_filter_that_is_none_is_refused(manager: Person, query: str) -> None:
    assert manager.api("GET", f"/audit?{query}").status_code == 422
