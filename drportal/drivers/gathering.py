"""Questions about single images that come at the same moment go to the site as one.

Many steps of a run look at their images side by side, each in its own words; the site answers for a hundred images in
one question for hardly more than it takes for one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
WITHIN_S = 0.01
# While more of the same comes in, the question waits for it so long at most.
AT_MOST_S = 0.06
# A question that hangs holds up those after it for no longer than this.
HELD_UP_S = 0.5


class _Batch(Generic[Value]):
    def __init__(self, task: asyncio.Task[Value], names: set[str]) -> None:
        self.task, self.names = task, names


class Gatherer(Generic[Key, Value]):
    """``ask(key, name)``: the answer to a question about ``name`` that is sent after this was called.

    What is asked with the same key within ``WITHIN_S`` of each other, or while the question before it is on its way, is
    sent together, by ``send(key, names)``: the busier the site and this process, the more goes into one question.
    """

    def __init__(self, send: Callable[[Key, list[str]], Awaitable[Value]]) -> None:
        self._send = send
        self._open: dict[Key, _Batch[Value]] = {}
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    async def ask(self, key: Key, name: str) -> Value:
        """Raises what ``send`` raises, to each who asked."""
        batch = self._open.get(key)
        if batch is None:
            names: set[str] = set()
            batch = self._open[key] = _Batch(asyncio.ensure_future(self._soon(key, names)), names)
            batch.task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        batch.names.add(name)
        # Shielded: one who gives up must not take the answer away from the others.
        return await asyncio.shield(batch.task)

    async def _soon(self, key: Key, names: set[str]) -> Value:
        asked, until = -1, time.monotonic() + AT_MOST_S
        while len(names) > asked and time.monotonic() < until:
            asked = len(names)
            await asyncio.sleep(WITHIN_S)
        if (before := self._under_way.get(key)) is not None:
            await asyncio.wait({before}, timeout=HELD_UP_S)
        self._under_way[key] = self._open.pop(key).task
        try:
            return await self._send(key, sorted(names))
        finally:
            if self._under_way.get(key) is asyncio.current_task():
                del self._under_way[key]
