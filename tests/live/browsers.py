"""Many browsers' sockets on a real server: each does what the page does, without the drawing.

It subscribes, reads what a hint names, reads again when it was told that hints were lost or has been away, and comes
back when its socket ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.stack import PortalClient

TOPICS = ["overview", "sites", "pair:1"]
READERS = 8


class Browser:
    """``hints``: (topic, when it came). ``shown``: what its page would show now, as ``read`` gave it."""

    def __init__(self, client: PortalClient, read: Callable[[], Any], threads: ThreadPoolExecutor) -> None:
        self._client, self._read, self._threads = client, read, threads
        self.hints: list[tuple[str, float]] = []
        self.shown: Any = None
        self.live = False
        self.times_live = 0
        self._socket: ClientConnection | None = None
        self._dirty = asyncio.Event()

    async def run(self) -> None:
        reading = asyncio.create_task(self._keep_reading())
        try:
            while True:
                with contextlib.suppress(OSError, WebSocketException, InvalidHandshake, TimeoutError):
                    await self._listen()
                self.live = False
                await asyncio.sleep(random.uniform(0.2, 1.0))
        finally:
            reading.cancel()

    async def _listen(self) -> None:
        url = self._client.base_url.replace("http://", "ws://") + "/ws/live/"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._client.session.cookies)
        headers, origin = {"Cookie": cookies}, self._client.base_url
        async with connect(url, additional_headers=headers, origin=origin, open_timeout=20) as self._socket:  # type: ignore[arg-type]
            await self._socket.send(json.dumps({"subscribe": TOPICS}))
            async for text in self._socket:
                said = json.loads(text)
                if "topic" in said:
                    self.hints.append((said["topic"], time.monotonic()))
                if "subscribed" in said:
                    self.live, self.times_live = True, self.times_live + 1
                if "ping" not in said:
                    self._dirty.set()

    async def _keep_reading(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                self.shown = await asyncio.get_running_loop().run_in_executor(self._threads, self._read)
            except (AssertionError, requests.RequestException):
                self._dirty.set()
                await asyncio.sleep(1.0)

    def cut(self) -> None:
        """As a lost network: nothing is said to the server."""
        if self._socket is not None:
            self._socket.transport.abort()


class Browsers:
    """So many at once. ``read``: one read of what they show."""

    def __init__(self, client: PortalClient, count: int, read: Callable[[], Any]) -> None:
        self.read = read
        self._threads = ThreadPoolExecutor(READERS)
        self.all = [Browser(client, read, self._threads) for _ in range(count)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Browsers:
        self._tasks = [asyncio.create_task(browser.run()) for browser in self.all]
        await self.until("all are live", lambda one: one.live)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def until(self, what: str, ready: Callable[[Browser], object], patience_s: float = 120.0) -> None:
        deadline = time.monotonic() + patience_s
        while lacking := sum(not ready(browser) for browser in self.all):
            assert time.monotonic() < deadline, f"not within {patience_s:.0f} s: {what} ({lacking} do not)"
            await asyncio.sleep(0.05)

    async def arrivals(self, topic: str, change: Callable[[], object], patience_s: float = 60.0) -> list[float]:
        """Seconds from the change until each socket has a hint of the topic that came after it."""
        began = time.monotonic()
        await asyncio.to_thread(change)

        def arrived(browser: Browser) -> float | None:
            return next((at - began for name, at in browser.hints if name == topic and at > began), None)

        await self.until(f"a hint of {topic}", lambda one: arrived(one) is not None, patience_s)
        return [found for browser in self.all if (found := arrived(browser)) is not None]

    async def until_all_show(self, wanted: Callable[[Any], bool], patience_s: float = 120.0) -> None:
        """Until what the database says is ``wanted``, and each browser shows just that."""
        deadline = time.monotonic() + patience_s
        while not wanted(truth := await asyncio.to_thread(self.read)):
            assert time.monotonic() < deadline, f"the portal never knew of it: {truth}"
            await asyncio.sleep(0.2)
        await self.until(f"they show {truth}", lambda one: one.shown == truth, patience_s)
