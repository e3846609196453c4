"""A client that Ceph has shut out (its blocklist, error 108) is given up for a new one: the site answers again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drportal.site_program import connection as connection_module
from drportal.site_program.connection import Connection
from drportal.site_program.wire import Fault
from tests.site_program.worlds import Case, CephWorld
from tests.stack import wait_until


class RadosError(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(f"[errno {number}]")
        self.errno = number


class Cluster:
    """``python3-rados`` as far as a connection uses it. ``out``: shut out."""

    made: list[Cluster] = []

    def __init__(self, **_: Any) -> None:
        self.out = self.ended = False
        Cluster.made.append(self)

    def connect(self) -> None: ...

    def get_instance_id(self) -> int:
        return 4100 + Cluster.made.index(self)

    def open_ioctx(self, pool: str) -> Any:
        return SimpleNamespace(read=self.read, close=lambda: None)

    def read(self) -> str:
        assert not self.ended, "nobody uses what has been shut down"
        if self.out:
            raise RadosError(108)
        return f"by {self.get_instance_id()}"

    def shutdown(self) -> None:
        self.ended = True


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    bindings = SimpleNamespace(Error=RadosError, Rados=Cluster)
    monkeypatch.setattr(connection_module, "rados", bindings)
    monkeypatch.setattr(connection_module, "rbd", bindings)
    yield Connection(None, {})
    Cluster.made.clear()


def reading(connection: Connection) -> Callable[[], str]:
    return lambda: str(connection.pool("one").read())


def test_a_question_is_asked_again_over_a_new_connection(connection: Connection) -> None:
    assert (connection.ask(reading(connection)), connection.client()) == ("by 4100", "4100")
    Cluster.made[0].out = True
    assert (connection.ask(reading(connection)), connection.client()) == ("by 4101", "4101")
    wait_until("the old one is closed", lambda: Cluster.made[0].ended, 5)
    assert not Cluster.made[1].ended


def test_the_old_one_is_left_to_those_who_use_it(connection: Connection) -> None:
    session = connection.enter()
    pool = connection.pool_of(session, "one")
    Cluster.made[0].out = True
    assert connection.ask(reading(connection)) == "by 4101"
    Cluster.made[0].out = False
    assert (pool.read(), Cluster.made[0].ended) == ("by 4100", False)
    connection.leave(session)
    wait_until("the last user has left", lambda: Cluster.made[0].ended, 5)


def test_a_host_that_is_shut_out_as_a_whole_stays_unreachable_and_leaves_nothing_open(connection: Connection) -> None:
    connection.ask(reading(connection))

    def shut_out() -> str:
        Cluster.made[-1].out = True
        return str(connection.pool("one").read())

    for _ in range(5):
        with pytest.raises(Fault) as caught:
            connection.ask(shut_out)
        assert caught.value.code == "unreachable"
    wait_until("all are closed", lambda: all(cluster.ended for cluster in Cluster.made), 5)
    Cluster.made[-1].out = False
    assert connection.ask(reading(connection)).startswith("by ")


def test_many_that_fail_at_once_make_one_new_connection(connection: Connection) -> None:
    connection.ask(reading(connection))
    Cluster.made[0].out = True
    together = threading.Barrier(8)
    found = []

    def question() -> str:
        if len(Cluster.made) == 1:
            together.wait(10)
        return str(connection.pool("one").read())

    threads = [threading.Thread(target=lambda: found.append(connection.ask(question))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["by 4101"] * 8


@pytest.mark.ceph
@pytest.mark.slow
def test_on_real_ceph_it_reads_and_acts_again(real_lab: Path, tmp_path: Path) -> None:
    world = CephWorld(tmp_path / "work", real_lab, "librbd")
    first, second = (world.prepared(Case("demote", mode)) for mode in ("snapshot", "journal"))
    others = addresses(world)
    with world.start() as program:
        assert program.ask("demote", **first)["receipt"]["state"] == "done"
        its_own = addresses(world) - others
        assert len(its_own) >= 2, "one for reading, one for acting"
        for address in its_own:
            world.run("ceph", "osd", "blocklist", "add", address, "600")
        look = program.ask("observe-image", pool="one", image=second["image"], parts=["info", "snapshots", "watchers"])
        assert look["image"]["info"]["mirroring"]["primary"] is True, look
        assert not look["image"].get("errors"), look
        receipt = program.ask("demote", **second)["receipt"]
        assert (receipt["state"], receipt["exit"], receipt["after"]["primary"]) == ("done", 0, False)
    assert world.effects(Case("demote", "journal"), second) == 1


def addresses(world: CephWorld) -> set[str]:
    """Of the clients that the monitors know now."""
    sessions = json.loads(world.run("ceph", "tell", "mon.a", "sessions"))
    return {one["socket_addr"]["addr"] + "/" + str(one["socket_addr"]["nonce"]) for one in sessions}
