"""Who sees what of a site since when: with real sockets, real rows, and the poller on the embedded lab."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from drportal.drivers.vantage import Address, Echo, Seen
from drportal.inventory import sights
from drportal.inventory.models import Sight, Site, SitePair
from drportal.inventory.sights import Looked, addresses, look_from_here, sights_of, write
from drportal.lab.control import LabClient
from tests.inventory.test_polling import polling_now, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def monitor() -> Iterator[int]:
    """Greets as a Ceph monitor does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"ceph v2\n")

        threading.Thread(target=greet, daemon=True).start()
        yield server.getsockname()[1]


async def test_the_portal_looks_with_tcp_connections_of_its_own(monitor: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as quiet, socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
        closed.close()
        asked = {
            "monitor": Address("127.0.0.1", monitor),
            "hangs": Address("127.0.0.1", quiet.getsockname()[1]),
            "closed": Address("127.0.0.1", gone),
        }
        looked = await look_from_here(1, asked)
    assert looked.seen is not None
    assert [one.echo for one in looked.seen] == [Echo.GREETS, Echo.ACCEPTS, Echo.REFUSES]
    assert looked.seen[0].text.startswith("ceph v2")


def seen(site: Site, echo: Echo | None, at: dt.datetime, viewpoint: str = "site-b") -> Looked:
    asked = {"monitor": Address("10.0.0.1", 3300)}
    found = None if echo is None else (Seen(asked["monitor"], echo, ""),)
    return Looked(site.pk, viewpoint, at, asked, found, "no connection")


def test_since_moves_with_the_answer_and_not_with_the_look(pair: SitePair) -> None:
    one, two, three = (timezone.now() + dt.timedelta(seconds=s) for s in (0, 10, 20))
    assert write([seen(pair.a, Echo.GREETS, one), seen(pair.a, Echo.GREETS, one, "portal")])
    assert not write([seen(pair.a, Echo.GREETS, two)])
    row = Sight.objects.get(viewpoint="site-b")
    assert (row.since, row.seen_at) == (one, two)
    assert write([seen(pair.a, Echo.SILENT, three)])
    told = {one["viewpoint"]: (one["echo"], one["since"]) for one in sights_of(pair.a)}
    assert told == {"portal": ("greets", one.isoformat()), "site-b": ("silent", three.isoformat())}
    assert write([seen(pair.a, None, three + dt.timedelta(seconds=5))])
    row.refresh_from_db()
    assert (row.echo, "could not be asked: no connection" in row.sentence) == ("", True), "not asked is not silent"


def test_administrators_name_further_addresses(administrator: Any, pair: SitePair) -> None:
    def change(looked_for: list[dict[str, Any]]) -> Any:
        version = Site.objects.get(pk=pair.a_id).version
        return administrator.api("PATCH", "/sites/site-a", {"looked_for": looked_for}, version=version)

    Site.objects.filter(pk=pair.a_id).update(ssh_reachable=True)
    monitors = [{"what": f"monitor {number}", "host": f"10.0.0.{number}", "port": 3300} for number in (1, 2)]
    answer = change(monitors)
    assert (answer.status_code, answer.json()["looked_for"]) == (200, monitors), answer.content
    site = Site.objects.get(pk=pair.a_id)
    assert list(addresses(site))[:2] == ["monitor 1", "monitor 2"]
    assert site.ssh_reachable is True, "what is known of the site itself is not in doubt by it"
    for bad in (
        [monitors[0], monitors[0]],
        [{**monitors[0], "what": "SSH host"}],
        [{**monitors[0], "host": "a; rm"}],
        [{**monitors[0], "port": 0}],
        [{**monitors[0], "what": f"m{number}"} for number in range(7)],
    ):
        assert change(bad).status_code == 422, bad


async def test_the_poller_keeps_who_sees_what_since_when(
    lab: LabClient, lab_pair: SitePair, monitor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One viewpoint's silence is not a dead site: the monitor of the dead site's name still greets both."""
    monkeypatch.setattr(sights, "EVERY_S", 0.5)
    looked_for = [{"what": "monitor", "host": "127.0.0.1", "port": monitor}]
    await Site.objects.filter(pk=lab_pair.a_id).aupdate(looked_for=looked_for)

    def told() -> dict[tuple[str, str], tuple[str, dt.datetime]]:
        return {(row.viewpoint, row.what): (row.echo, row.since) for row in Sight.objects.filter(site=lab_pair.a)}

    def all_greet() -> bool:
        found = told()
        greeting = {key for key, (echo, _) in found.items() if echo == "greets"}
        return {
            ("portal", "SSH host"),
            ("site-b", "SSH host"),
            ("portal", "monitor"),
            ("site-b", "monitor"),
        } <= greeting

    async with polling_now():
        await until("both viewpoints are greeted", all_greet)
        before = await sync_to_async(told)()
        await sync_to_async(lab.fail)("a", "site-down")

        def ssh_is_gone() -> bool:
            found = told()
            return all(found[view, "SSH host"][0] in ("refuses", "silent") for view in ("portal", "site-b"))

        await until("nobody is greeted by its SSH host", ssh_is_gone)
        after = await sync_to_async(told)()
        for view in ("portal", "site-b"):
            assert after[view, "SSH host"][1] > before[view, "SSH host"][1]
            assert after[view, "monitor"] == before[view, "monitor"], "what still greets does so since then"
        await sync_to_async(lab.restore)("a")
        await asyncio.sleep(0)
