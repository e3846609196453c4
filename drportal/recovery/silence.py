"""What a run remembers of a way into a site that does not answer, so that each step does not wait for it anew.

A read that had to wait in vain makes a suspicion; looks of our own then ask without pause. Once one of them was in vain
too, reads are told so at once and wait no longer. Any answer ends it. So silence costs a run its patience twice,
however many steps it has, and a site that is back is noticed as soon as it would have been by a step that waits.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from drportal.drivers.base import CephSite, ImageRef
from drportal.drivers.errors import DriverError, Unreachable

Value = TypeVar("Value")
# A refusal that comes at once costs nobody anything: there is nothing to remember.
WORTH_S = 1.0
# Looks that answer at once in vain must not spin.
BETWEEN_S = 0.5
# What the last look said counts no longer than this; then a read asks for itself. Longer than a look takes.
COUNTS_S = 25.0


class Silence:
    """``what``: whom it is about, as people call it. ``look``: a cheap question, with the driver's own deadline; how
    it was refused does not matter. ``close()`` when the run rests. Lives in one event loop.
    """

    def __init__(self, what: str, look: Callable[[], Awaitable[object]]) -> None:
        self._what, self._look = what, look
        self._since: dt.datetime | None = None
        self._in_vain_at: float | None = None  # when the last look of our own ended so
        self._looking: asyncio.Task[None] | None = None
        self.looks = 0

    async def hear(self, read: Callable[[], Awaitable[Value]]) -> Value:
        """The answer; Unreachable, at once, while it is known that none comes. Else what ``read`` raises."""
        if self._in_vain_at is not None and time.monotonic() - self._in_vain_at < COUNTS_S:
            raise Unreachable(self._sentence())
        began = time.monotonic()
        try:
            value = await read()
        except Unreachable:
            if time.monotonic() - began >= WORTH_S:
                self._suspect(began)
            raise
        except DriverError:
            self._answered()
            raise
        self._answered()
        return value

    def _sentence(self) -> str:
        assert self._since is not None
        return (
            f"{self._what} has been silent since {self._since:%H:%M:%S} UTC. It is asked without pause whether it is "
            "back, and no step waits for that. Nothing was sent."
        )

    def expect(self) -> None:
        """Somebody else has found it silent: look at once, beside the first reads."""
        self._suspect(time.monotonic())

    def _suspect(self, began: float) -> None:
        if self._looking is None or self._looking.done():
            self._since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=time.monotonic() - began)
            self._looking = asyncio.ensure_future(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            self.looks += 1
            try:
                await self._look()
            except Unreachable:
                self._in_vain_at = time.monotonic()
            except DriverError:
                break
            else:
                break
            await asyncio.sleep(BETWEEN_S)
        self._looking = None
        self._answered()

    def _answered(self) -> None:
        self._since = self._in_vain_at = None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
            self._looking = None


def one_of(ceph: CephSite, refs: Sequence[ImageRef]) -> Callable[[], Awaitable[object]]:
    """A look that asks about two of the images, others each time: one image that hangs is not a site that hangs."""
    turns = itertools.count()

    async def look() -> None:
        turn = next(turns)
        asked = {refs[turn % len(refs)], refs[(turn + 1) % len(refs)]}
        answers = await asyncio.gather(*(ceph.info(ref) for ref in asked), return_exceptions=True)
        for answer in answers:
            if not isinstance(answer, Unreachable):
                return
        raise Unreachable("None of them was answered.")

    return look
