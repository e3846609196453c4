"""Requests that a site refused are shown, and whose they were: of the portal itself, or of somebody who is not it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.drivers.refusals import Refusals, refusals_of
from drportal.engine.alerts import AlertKind
from drportal.engine.facts import Side
from drportal.inventory.installed import own_hash
from drportal.inventory.models import CephThrough, Site, SitePair
from drportal.inventory.polling import Poller
from drportal.lab.control import LabClient
from drportal.recovery.models import RecoveryPlan, Run, Step, StepAttempt
from drportal.site_program.store import Store
from drportal.watch import refusals
from drportal.watch.beside import Watches
from drportal.watch.conditions import conditions
from drportal.watch.models import RefusalRecord, RefusedRequests
from drportal.watch.refusals import MOST_ROWS, refusals_keep, refused_since
from tests.conftest import Person
from tests.inventory.test_polling import until
from tests.recovery.conftest import make_vm

NOW = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def told(*groups: dict[str, Any], since: int = 0, following: int = 1, **more: Any) -> Refusals:
    plain = {
        "code": "bad-request", "rights": "read", "address": "192.0.2.7", "count": 1, "ops": [],
        "first_at": NOW.timestamp() - 60, "last_at": NOW.timestamp(), "text": "no name", "line": "{}",
    }  # fmt: skip
    content = {"next": following, "more": 0, "whole": True, "address": "192.0.2.1", **more}
    return refusals_of({**content, "groups": [{**plain, **group} for group in groups]}, since)


def rows(site: Site) -> list[tuple[str, bool, int]]:
    return sorted(RefusedRequests.objects.filter(site=site).values_list("code", "strange", "count"))


def alerts(now: dt.datetime) -> list[str]:
    return [one.sentence for one in conditions(now) if one.kind is AlertKind.STRANGER_AT_SITE]


@pytest.mark.django_db
def test_what_a_stranger_sent_is_counted_told_and_in_the_trail(pair: SitePair, manager: Person, viewer: Person) -> None:
    assert refused_since(pair, NOW) == {Side.A: 0, Side.B: 0}
    assert refusals_keep(pair.a, told({"count": 7}, following=2), NOW) == 0, "before anybody listened: nobody's"
    assert (rows(pair.a), alerts(NOW)) == ([], [])
    assert refusals_keep(pair.a, told({"count": 2}, since=2, following=5), NOW) == 2
    assert refused_since(pair, NOW + dt.timedelta(seconds=30)) == {Side.B: 0}, "once a minute"
    assert refused_since(pair, NOW + 2 * dt.timedelta(minutes=1)) == {Side.A: 5, Side.B: 0}
    assert refusals_keep(pair.a, told({"count": 2}, since=2, following=5), NOW) == 0, "it counts once"
    assert refusals_keep(pair.a, told({"line": "newest"}, since=5, following=9), NOW) == 1
    assert rows(pair.a) == [("bad-request", True, 3)]
    (sentence,) = alerts(NOW)
    assert sentence.startswith(
        "3 requests that this portal has not sent were refused at Site-A since 2026-05-04 03:01:01"
    )
    assert "from 192.0.2.7 with the key that observes" in sentence
    assert alerts(NOW + HOUR) == []
    shown = manager.read("/sites/site-a/refusals")
    assert (shown["keeps"], shown["sentence"], shown["items"][0]["line"]) == (True, sentence, "newest")
    assert viewer.api("GET", "/sites/site-a/refusals").status_code == 403
    entries = AuditEntry.objects.filter(action="site.refused")
    assert [(entry.site, entry.payload["count"]) for entry in entries] == [("site-a", 2), ("site-a", 1)]
    assert entries[0].payload["refused"][0]["address"] == "192.0.2.7"


@pytest.fixture
def listening(pair: SitePair) -> None:
    """Both sites have told before; nothing had been refused."""
    for site in (pair.a, pair.b):
        RefusalRecord.objects.create(site=site, begun_at=NOW - HOUR, asked_at=NOW - HOUR)


@pytest.mark.django_db
def test_a_site_that_never_told_says_so(pair: SitePair, manager: Person) -> None:
    shown = manager.read("/sites/site-b/refusals")
    assert (shown["keeps"], shown["asked_at"], shown["sentence"], shown["items"]) == (True, None, "", [])
    Site.objects.filter(pk=pair.b_id).update(ceph_through=CephThrough.RBD)
    assert manager.read("/sites/site-b/refusals")["keeps"] is False
    assert refused_since(pair, NOW) == {Side.A: 0}


@pytest.fixture
def attempt(pair: SitePair, make_plan: Callable[..., RecoveryPlan]) -> StepAttempt:
    """An act of the portal's at site a."""
    plan = make_plan("shop", make_vm(pair, "db", 1, ["one-1"]))
    run = Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", state="running", plan_version=1, plan_copy={},
        source_site=pair.a, target_site=pair.b, requested_name="olga", request_key="k",
    )  # fmt: skip
    step = Step.objects.create(run=run, key="1", kind="image.demote", subject="one/one-1", site=pair.a, position=1)
    return StepAttempt.objects.create(
        step=step, number=1, operation_id=uuid.uuid4(), fence=1, command="rbd", host="a", intent_at=NOW
    )


@pytest.mark.usefixtures("listening")
def test_acts_of_the_portal_itself_are_no_strangers(pair: SitePair, attempt: StepAttempt) -> None:
    own, other = str(attempt.operation_id), str(uuid.uuid4())
    act = {"code": "precondition", "rights": "act"}
    assert refusals_keep(pair.a, told({**act, "ops": [own]}), NOW) == 0
    assert (rows(pair.a), alerts(NOW)) == ([("precondition", False, 1)], [])
    assert not AuditEntry.objects.filter(action="site.refused").exists(), "the step's own entries tell of it"
    mixed = told({**act, "ops": [own, other, "no-id-of-ours"], "count": 3}, since=1, following=2)
    assert refusals_keep(pair.a, mixed, NOW) == 2
    assert rows(pair.a) == [("precondition", False, 2), ("precondition", True, 2)]
    replayed = told({"code": "conflict", "rights": "act", "ops": [own]}, since=2, following=3)
    assert refusals_keep(pair.a, replayed, NOW) == 1, "ours has one content only"
    assert refusals_keep(pair.b, told({**act, "ops": [own]}), NOW) == 1, "it was ours at the other site"


@pytest.mark.usefixtures("listening")
def test_what_a_program_of_another_version_does_not_know_is_not_a_stranger(pair: SitePair) -> None:
    """But it is, from another address, or where the program is the portal's own."""
    from_here = {"address": "192.0.2.1", "code": "unknown-verb"}
    for number, (version, hash_, strange) in enumerate([("1.4", "0" * 64, 0), ("1.5", own_hash(), 1)]):
        Site.objects.filter(pk=pair.a_id).update(
            ceph_through=CephThrough.INSTALLED, program={"version": version, "sha256": hash_}
        )
        site = Site.objects.get(pk=pair.a_id)
        since, following = 2 * number, 2 * number + 1
        assert refusals_keep(site, told(from_here, since=since, following=following), NOW) == strange
        elsewhere = told({"code": "unknown-verb"}, since=following, following=following + 1)
        assert refusals_keep(site, elsewhere, NOW) == 1
    older = {"rights": "", "code": "precondition"}
    assert refusals_keep(pair.b, told(older, {**older, "code": "not-allowed"}), NOW) == 0, "of whom is not known"
    assert refusals_keep(pair.b, told({**older, "code": "bad-request"}, since=1), NOW) == 1


@pytest.mark.usefixtures("listening")
def test_hostile_words_are_cut_and_escaped_and_rows_are_bounded(pair: SitePair, manager: Person) -> None:
    evil = "<script>\x1b[2J\u202e\x00\n" + "x" * 5000
    assert refusals_keep(pair.a, told({"line": evil, "text": evil, "address": evil, "code": evil}), NOW) == 1
    shown = manager.read("/sites/site-a/refusals")["items"][0]
    assert shown["line"].startswith(r"<script>\x1b[2J\u202e\x00\nxxx")
    assert len(shown["line"]) == 200 and shown["line"].isprintable()
    assert json.dumps(AuditEntry.objects.get(action="site.refused").payload).isascii()
    for number in range(MOST_ROWS // 50 + 1):
        groups = [{"address": f"192.0.{number}.{one}"} for one in range(60)]
        refusals_keep(pair.a, told(*groups, since=1, following=1, more=10, count=1), NOW + HOUR)
    assert RefusedRequests.objects.filter(site=pair.a).count() == MOST_ROWS
    assert RefusalRecord.objects.get(site=pair.a).uncounted == 10 * (MOST_ROWS // 50 + 1)


@pytest.mark.parametrize("wrong", [{"groups": 7}, {"next": "x"}, {"groups": [{}]}, {"more": float("nan")}])
def test_an_answer_that_is_none_is_not_believed(wrong: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        refusals_of({"groups": [], "next": 1, "more": 0, "whole": True, **wrong}, 0)
    huge = refusals_of({"groups": [], "next": 10**40, "more": float("inf"), "whole": True}, 0)
    assert max(huge.following, huge.more) == 2**53


@pytest.mark.usefixtures("listening")
def test_what_is_gone_at_the_site_is_said(pair: SitePair, manager: Person) -> None:
    refusals_keep(pair.a, told(), NOW)
    assert not AuditEntry.objects.filter(action="site.refused").exists()
    refusals_keep(pair.a, replace(told(since=1, following=2), whole=False), NOW)
    assert manager.read("/sites/site-a/refusals")["incomplete_at"] is not None
    assert AuditEntry.objects.get(action="site.refused").payload["whole"] is False


@pytest.mark.django_db(transaction=True)
async def test_the_poller_fetches_what_a_site_of_the_lab_refused(
    lab: LabClient, lab_pair: SitePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the key that observes is told, at hosts of the lab as at real ones; and not what was before."""
    monkeypatch.setattr(refusals, "ASK_EVERY", dt.timedelta(seconds=0.5))
    store = Store(str(Path(lab.directory) / "home-b" / ".drportal-site"))
    about = {"code": "bad-request", "text": "no", "client": "192.0.2.9 1 22", "rights": "act", "line": "rbd rm one/x"}
    store.log("refused.log", {**about, "client": "192.0.2.8 1 22"})
    poller = Poller(0.3, Watches())
    task = asyncio.create_task(poller.run())
    try:
        asked = RefusalRecord.objects.filter(asked_at__isnull=False)
        await until("both sites have told", lambda: asked.count() == 2)
        store.log("refused.log", about)
        row = await until("it is told", lambda: RefusedRequests.objects.filter(site_id=lab_pair.b_id).first())
    finally:
        poller.stopping.set()
        await asyncio.wait_for(task, 30)
    assert (row.code, row.rights, row.address, row.line) == ("bad-request", "act", "192.0.2.9", "rbd rm one/x")
    assert (row.strange, row.count) == (True, 1)
    record = await RefusalRecord.objects.aget(site_id=lab_pair.b_id)
    assert (record.own_address, record.since) == ("127.0.0.1", next(store.logged("refused.log"))[0])
    assert row.heard_at <= timezone.now()
