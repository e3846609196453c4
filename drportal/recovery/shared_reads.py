"""One read for all who ask: 128 images that want the pool's status cost one command, not 128."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedRead(Generic[Value]):
    """``get(max_age_s)`` answers from a read that *began* at most that long ago, joins one that did, or begins one.

    With ``max_age_s=0`` the answer is never older than the question: whoever asks while a read is on its way shares
    the next one.
    """

    def __init__(self, read: Callable[[], Awaitable[Value]]) -> None:
        self._read = read
        self._latest: tuple[float, asyncio.Task[Value]] | None = None
        self._turn = asyncio.Lock()
        self.reads = 0

    async def get(self, max_age_s: float) -> Value:
        not_before = time.monotonic() - max_age_s
        if (task := self._fit(not_before)) is None:
            async with self._turn:
                if (task := self._fit(not_before)) is None:
                    if self._latest is not None:
                        await asyncio.wait({self._latest[1]})
                    task = self._begin()
        # Shielded: one step that is cancelled must not take the read away from the others.
        return await asyncio.shield(task)

    def _fit(self, not_before: float) -> asyncio.Task[Value] | None:
        if self._latest is None or self._latest[0] < not_before:
            return None
        task = self._latest[1]
        failed = task.done() and (task.cancelled() or task.exception() is not None)
        return None if failed and self._latest[0] < time.monotonic() - 0.5 else task

    def _begin(self) -> asyncio.Task[Value]:
        self.reads += 1
        task = asyncio.ensure_future(self._read())
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        self._latest = (time.monotonic(), task)
        return task
