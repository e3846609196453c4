"""While hints can't reach a page it is not called live: with a real Redis that is killed, stopped and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

import drportal.settings
from drportal import events
from drportal.consumers import NOT_LIVE, LiveConsumer
from drportal.demo import free_port, redis_program
from drportal.events import apublish
from drportal.roles import Role
from tests.conftest import Person, make_person
from tests.live.test_websocket import closed_with, hear, socket
from tests.stack import Program, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Redis(Program):
    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
        super().__init__("redis", [redis_program(), *words], dict(os.environ), folder / "redis.log")

    def start(self) -> None:
        super().start()
        wait_until("Redis answers", self.answers, 10)

    def answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port).ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def person(db: None) -> Person:
    return make_person("viewer", Role.VIEWER)


@pytest.fixture
def server(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setattr(LiveConsumer, "ping_every_s", 0.2)
    monkeypatch.setattr(LiveConsumer, "layer_deadline_s", 1.0)
    monkeypatch.setattr(events._Lost, "some", False)
    server = Redis(free_port(), tmp_path)
    server.start()
    as_in_production = drportal.settings.CHANNEL_LAYERS["default"]
    (host,) = as_in_production["CONFIG"]["hosts"]  # type: ignore[index]
    config = {"hosts": [{**host, "address": f"redis://127.0.0.1:{server.port}/0"}], "prefix": "test-live"}
    settings.CHANNEL_LAYERS = {"default": {**as_in_production, "CONFIG": config}}
    yield server
    server.stop()


async def word(live: Any, *, patience: int = 200) -> Any:
    """The next message that is no ping."""
    for _ in range(patience):
        said = await hear(live)
        if "ping" not in said:
            return said
    raise AssertionError("nothing but pings")


async def leave_layer() -> None:
    layer = get_channel_layer()
    assert layer is not None
    await layer.flush()


async def test_a_killed_redis_ends_the_socket_and_it_is_live_again_when_redis_is_back(
    person: Person, server: Redis
) -> None:
    async with socket(person) as live:
        await live.send_json({"subscribe": ["runs"]})
        assert (await word(live))["subscribed"] == ["runs"]
        assert "ping" in await hear(live)
        await sync_to_async(server.kill)()
        assert await closed_with(live) == NOT_LIVE
    await sync_to_async(server.start)()
    async with socket(person) as live:
        await live.send_json({"subscribe": ["runs"]})
        assert (await word(live))["subscribed"] == ["runs"]
        await apublish("runs", 3)
        assert (await word(live))["version"] == 3
    await leave_layer()


async def test_a_redis_that_hangs_ends_the_socket_too(person: Person, server: Redis) -> None:
    async with socket(person) as live:
        assert "ping" in await hear(live)
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            assert await closed_with(live) == NOT_LIVE
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
    await leave_layer()


async def test_a_socket_that_is_opened_while_redis_hangs_is_told_so_and_the_next_is_live(
    person: Person, server: Redis
) -> None:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            async with socket(person) as live:
                assert await closed_with(live) == NOT_LIVE
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    async with socket(person) as live:
        await live.send_json({"subscribe": ["runs"]})
        assert (await word(live))["subscribed"] == ["runs"]
        await apublish("runs", 3)
        assert (await word(live))["version"] == 3
    await leave_layer()


async def test_a_subscription_that_cannot_be_made_ends_the_socket(person: Person, server: Redis) -> None:
    async with socket(person) as live:
        await sync_to_async(server.kill)()
        await live.send_json({"subscribe": ["runs"]})
        assert await closed_with(live) == NOT_LIVE
    await sync_to_async(server.start)()
    await leave_layer()


async def test_hints_that_were_lost_before_the_layer_make_every_page_read_again(
    person: Person, server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender can't reach it for a while, the sockets can all the time."""
    async with socket(person) as live:
        await live.send_json({"subscribe": ["runs"]})
        await word(live)

        class Down:
            async def group_send(self, *_: object) -> None:
                raise ConnectionError("no Redis")

        with monkeypatch.context() as patch:
            patch.setattr("drportal.events.get_channel_layer", Down)
            await apublish("overview")
        await apublish("runs", 1)
        assert [(await word(live)).get("topic"), (await word(live)).get("resync")] == ["runs", True]
        await apublish("runs", 2)
        assert (await word(live))["version"] == 2, "said once"
    await leave_layer()
