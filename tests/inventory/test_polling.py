"""The poller against the embedded lab: fresh, fair to the side that lives, and gone when it is told to go."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import OperationalError
from django.utils import timezone

from drportal.drivers.base import ImageRef, MirrorStatus, PoolReading
from drportal.events import group_of
from drportal.inventory import image_book, polling
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import MirroredImage, Observation, Site, SitePair
from drportal.inventory.polling import Poller, Turn, give_up_leases, take_lease
from drportal.lab.control import LabClient
from tests.stack import LabProcess

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def polling_now(interval_s: float = 0.5) -> AsyncIterator[Poller]:
    poller = Poller(interval_s)
    task = asyncio.create_task(poller.run())
    try:
        yield poller
    finally:
        poller.stopping.set()
        await asyncio.wait_for(task, 30)


async def until(what: str, ready: Callable[[], Any], patience_s: float = 120.0) -> Any:
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        got = await sync_to_async(ready)()
        if got:
            return got
        assert asyncio.get_running_loop().time() < deadline, f"not within {patience_s:.0f} s: {what}"
        await asyncio.sleep(0.2)


def verdicts() -> set[str]:
    return set(MirroredImage.objects.values_list("verdict", flat=True))


async def test_it_finds_everything_by_itself_and_calls_it_protected(lab_pair: SitePair) -> None:
    async with polling_now():
        await until("all images are protected", lambda: verdicts() == {"protected"})
    pair = await SitePair.objects.aget()
    assert pair.polled_at is not None
    assert pair.lease_until is None, "given back at the end"


async def test_a_hung_site_does_not_delay_the_other(lab: LabClient, lab_pair: SitePair) -> None:
    def heard(slug: str) -> dt.datetime:
        at = Site.objects.get(slug=slug).last_heard
        assert at is not None
        return at

    async with polling_now():
        await until("all images are protected", lambda: verdicts() == {"protected"})
        await sync_to_async(lab.fail)("a", "site-hung")
        looks = set[dt.datetime]()
        while (await Site.objects.aget(slug="site-a")).ssh_reachable:
            looks.add(await sync_to_async(heard)("site-b"))
            await asyncio.sleep(0.1)
        assert len(looks) >= 3, "the site that answers is looked at while the other's answer is waited for"
        await until("the hung site is called dark", lambda: verdicts() == {"replica_only"})
        site = await Site.objects.aget(slug="site-a")
        assert site.ssh_reachable is False
        assert "127.0.0.1" in site.ssh_sentence
        assert (await Site.objects.aget(slug="site-b")).ssh_reachable is True
        await sync_to_async(lab.restore)("a")
        await until("it is back", lambda: verdicts() == {"protected"})


async def test_a_dead_site_and_its_return_are_seen_and_told(lab: LabClient, lab_pair: SitePair) -> None:
    await sync_to_async(discover)(lab_pair.pk)
    layer = get_channel_layer()
    assert layer is not None
    mine = await layer.new_channel()
    for topic in ("overview", "sites", f"pair:{lab_pair.pk}"):
        await layer.group_add(group_of(topic), mine)
    async with polling_now():
        await until("it polls", lambda: Site.objects.filter(last_heard__isnull=False).count() == 2)
        await sync_to_async(lab.fail)("b", "site-down")
        await until("running unprotected", lambda: verdicts() <= {"running_unprotected", "suspect_primary"})
        site = await Site.objects.aget(slug="site-b")
        assert (site.ssh_reachable, site.ceph_reachable, site.opennebula_reachable) == (False, None, False)
        told = set[str]()
        while not told >= {"overview", "sites", f"pair:{lab_pair.pk}"}:
            told.add((await asyncio.wait_for(layer.receive(mine), 10))["hint"]["topic"])


async def test_opennebula_alone_may_be_down(lab: LabClient, lab_pair: SitePair) -> None:
    lab.fail("a", "opennebula-down")
    async with polling_now():
        await until(
            "only OpenNebula is called dark",
            lambda: Site.objects.filter(
                slug="site-a", ssh_reachable=True, ceph_reachable=True, opennebula_reachable=False
            ).exists(),
        )
        await until("images are protected all the same", lambda: verdicts() == {"protected"})


async def test_unchanged_rows_are_not_written_in_every_round(
    transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    original = image_book.update_rows

    def counted(rows: list[MirroredImage], fields: list[str]) -> int:
        written.append(len(rows))
        return original(rows, fields)

    monkeypatch.setattr(image_book, "update_rows", counted)
    # No VM writes there, and no snapshot is taken by a clock: nothing changes but the time.
    with LabProcess("embedded", tmp_path / "lab", "--write-rate", "0", mode="journal") as still:
        await sync_to_async(lambda: discover(introduce(still.client.description).pk))()
        async with polling_now(0.3):
            await until("rows are written at first", lambda: any(written))
            # Two and no more: on a slow machine a row's own refreshing time is over after a few rounds.
            await until("two rounds that write nothing", lambda: (0, 0) in pairwise(written))


async def test_it_survives_a_database_that_stumbles(lab_pair: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    stumbles = iter([True] * 3)
    write = polling.PairWatch.write

    def stumbling(self: polling.PairWatch, *args: Any) -> None:
        if next(stumbles, False):
            raise OperationalError("the server closed the connection unexpectedly")
        write(self, *args)

    monkeypatch.setattr(polling.PairWatch, "write", stumbling)
    async with polling_now(0.3):
        await until("it went on", lambda: verdicts() == {"protected"})


async def test_changed_addresses_are_taken_up(lab_pair: SitePair) -> None:
    port = lab_pair.b.ssh_port
    await Site.objects.filter(slug="site-b").aupdate(ssh_port=1, version=2)
    async with polling_now():
        await until("nobody answers there", lambda: Site.objects.filter(slug="site-b", ssh_reachable=False).exists())
        await Site.objects.filter(slug="site-b").aupdate(ssh_port=port, version=3)
        await until("the right address is used", lambda: verdicts() == {"protected"})


def test_one_poller_leads_and_another_takes_over_when_it_falls_silent(pair: SitePair) -> None:
    assert take_lease(pair.pk, "first")
    assert take_lease(pair.pk, "first"), "the leader stays"
    assert not take_lease(pair.pk, "second")
    SitePair.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert take_lease(pair.pk, "second")
    assert not take_lease(pair.pk, "first")
    give_up_leases("second")
    assert take_lease(pair.pk, "first")


def test_observations_are_thinned(lab_pair: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drportal.inventory.observations.KEEP_BULK", 3)
    discover(lab_pair.pk)
    for site in Site.objects.all():
        assert Observation.objects.filter(site=site).exclude(subject__contains="/").count() <= 3


def status(name: str, state: str = "up+replaying") -> MirrorStatus:
    return MirrorStatus(name, "g", state, 'replaying, {"n": 1}', "", 1.0, False, 0, None, None)


def reading(names: list[str], odd: frozenset[str] = frozenset()) -> dict[str, PoolReading]:
    statuses = {name: status(name, "up+stopped" if name in odd else "up+replaying") for name in names}
    return {"one": PoolReading("one", "image", "", (), "OK", "OK", (), statuses, tuple(names), {}, 0.0, ())}


def test_each_image_of_a_large_pool_has_its_turn_within_a_minute() -> None:
    names = [f"one-{number}" for number in range(1000)]
    turn = Turn(5.0)
    rounds = [turn.choose(reading(names)) for _ in range(12)]
    assert max(len(chosen) for chosen in rounds) <= 150
    assert {ref.name for chosen in rounds for ref in chosen} == set(names)


def test_news_and_what_a_run_holds_are_read_at_once() -> None:
    names = [f"one-{number}" for number in range(1000)]
    turn = Turn(5.0)
    for _ in range(1000 // 32 + 1):
        turn.choose(reading(names))  # at first everything is news
    turn.held = frozenset({"one/one-777"})
    chosen = turn.choose(reading(names, odd=frozenset({"one-555"})))
    assert {ImageRef("one", "one-777"), ImageRef("one", "one-555")} <= set(chosen)


def test_much_news_at_once_waits_its_turn_and_is_not_forgotten() -> None:
    names = [f"one-{number}" for number in range(128)]
    turn = Turn(1.0)
    rounds = [turn.choose(reading(names)) for _ in range(4)]
    assert max(len(chosen) for chosen in rounds) <= 35
    assert {ref.name for chosen in rounds for ref in chosen} == set(names)


def test_small_pools_are_read_whole_in_every_round_and_odd_names_never() -> None:
    turn = Turn(5.0)
    names = ["one-1", "one-2", "-rf", "a b"]
    for _ in range(2):
        assert {ref.name for ref in turn.choose(reading(names))} == {"one-1", "one-2"}


def test_a_primary_is_asked_for_its_position_in_turn_and_never_more_than_some_at_once() -> None:
    for count, within_s in ((3, 5), (16, 20), (300, 60), (1000, 200)):
        names = [f"one-{number}" for number in range(count)]
        copies = ["copy-1", "copy-2"] if count != 16 else []
        pools = reading([*names, *copies], odd=frozenset(names))
        turn, asked = Turn(5.0), set[str]()
        for _ in range(count // 32 + 1):
            turn.choose(pools)  # at first everything is news
        for number in range(2 * within_s // 5):
            chosen = set(turn.choose(pools))
            now = turn.proofs(pools)
            assert len(now) <= 32
            assert set(now) <= chosen, "whose role is read anyway"
            asked |= {ref.name for ref in now}
            if (number + 1) * 5 % within_s == 0:
                assert asked == set(names), f"{count} within {within_s} s"
                asked.clear()
    turn = Turn(5.0)
    turn.choose(reading(["copy-1"]))
    assert turn.proofs(reading(["copy-1"])) == []
