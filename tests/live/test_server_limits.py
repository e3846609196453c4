"""The web server's own limits, as it is started: what is too long is not even kept."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from uvicorn.main import main as command
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from drportal.consumers import MAX_MESSAGE


def started_with(words: list[str]) -> dict[str, Any]:
    context = command.make_context("uvicorn", [re.sub(r"\$.*-(.*)}", r"\1", word) for word in words])
    return context.params


def words_of_procfile() -> list[str]:
    line = (settings.BASE_DIR / "Procfile").read_text().splitlines()[0]
    return shlex.split(line.removeprefix("web: uvicorn "))


def words_of_container() -> list[str]:
    command = (settings.BASE_DIR / "Dockerfile").read_text().partition("\nCMD ")[2]
    return list(json.loads(command.splitlines()[0])[1:])


@pytest.mark.parametrize("words", [words_of_procfile(), words_of_container()], ids=["Procfile", "Dockerfile"])
def test_the_server_is_started_with_the_limit(words: list[str]) -> None:
    assert started_with(words)["ws_max_size"] == MAX_MESSAGE


async def test_the_server_ends_a_socket_that_says_too_much() -> None:
    async def listen(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": str(len(message["text"]))})

    limit = started_with(words_of_procfile())["ws_max_size"]
    server = uvicorn.Server(uvicorn.Config(listen, port=0, ws_max_size=limit, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn tells it in no other way)
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with connect(f"ws://127.0.0.1:{port}/") as live:
        await live.send("x" * limit)
        assert await asyncio.wait_for(live.recv(), 10) == str(limit)
        await live.send("x" * (limit + 1))
        with pytest.raises(ConnectionClosedError, match="1009"):
            await asyncio.wait_for(live.recv(), 10)
    server.should_exit = True
    await asyncio.wait_for(serving, 10)
