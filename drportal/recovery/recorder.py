"""The executor's only way to write: one database thread that commits everything that is waiting in one transaction.

Steps hand in small writes and wait; while one commit is on its way to the disk the next batch gathers. So 128 images in
parallel
cost few commits, and still every intent is committed before its act. Each transaction carries the fence (``lease``): if
the run
has changed hands, nothing of the batch is kept and the recorder refuses everything from then on.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import connection, transaction

from drportal.audit.record import Fact, record_many
from drportal.recovery import lease as leases
from drportal.recovery.lease import Lease, LeaseLost
from drportal.recovery.models import Run

logger = logging.getLogger(__name__)
Value = TypeVar("Value")
Change = Callable[[], None]
BATCH = 256


@dataclass(frozen=True, slots=True)
class Alike:
    """A change of which any number are made in one go: ``make`` is given the items of all that wait, in their order.

    On a busy machine each statement to the database costs a wait; the steps of a run write the same few kinds of rows.
    """

    make: Callable[[Sequence[Any]], None]
    item: Any

    def __call__(self) -> None:
        self.make([self.item])


def joined(changes: Iterable[Change]) -> list[Change]:
    """Those that are alike as one, at the place of their first; all others as and where they are."""
    alike: dict[Callable[[Sequence[Any]], None], list[Any]] = {}
    found: list[Change] = []
    for change in changes:
        if not isinstance(change, Alike):
            found.append(change)
            continue
        items = alike.setdefault(change.make, [])
        if not items:
            found.append(partial(change.make, items))
        items.append(change.item)
    return found


@dataclass(frozen=True, slots=True)
class Flags:
    """What people have asked of the run, as of the last look."""

    state: str
    pause_asked: bool
    cancel_asked: bool


@dataclass(slots=True)
class _Request:
    future: asyncio.Future[Any]
    changes: Sequence[Change] = ()
    facts: Sequence[Fact] = ()
    read: Callable[[], Any] | None = None


class Recorder:
    """``start()`` in a running loop, ``stop()`` at the end. After a LeaseLost every write raises it at once."""

    def __init__(
        self, lease: Lease, lease_s: float, on_flags: Callable[[Flags], None], on_news: Callable[[], None]
    ) -> None:
        self._lease = lease
        self._lease_s = lease_s
        self._on_flags = on_flags
        self._on_news = on_news
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"recorder-{lease.run_id}", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._broken: Exception | None = None
        self.commits = 0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """After everything handed in so far."""
        self._requests.put(None)
        self._thread.join(60)

    async def write(self, *changes: Change, facts: Sequence[Fact] = ()) -> None:
        """Make the changes and add the facts to the trail, all or nothing, committed when this returns.

        Raises LeaseLost, or the database's error: then nobody knows whether it was committed, and the executor
        must stop.
        """
        await self._ask(_Request(self._loop.create_future(), changes, facts))

    async def renew(self) -> None:
        """Keep the lease, and look for what people asked."""
        await self._ask(_Request(self._loop.create_future()))

    async def look(self) -> None:
        """Look for what people asked, without writing."""
        await self.read(self._read_flags)

    async def read(self, function: Callable[[], Value]) -> Value:
        """Run a read in the database thread."""
        request = _Request(self._loop.create_future(), read=function)
        value: Value = await self._ask(request)
        return value

    async def _ask(self, request: _Request) -> Any:
        if self._broken is not None and request.read is None:
            raise self._broken
        self._requests.put(request)
        return await request.future

    # --- in the thread

    def _work(self) -> None:
        try:
            while (first := self._requests.get()) is not None:
                batch, last = self._gathered(first)
                self._serve(batch)
                if last:
                    return
        finally:
            connection.close()

    def _gathered(self, first: _Request) -> tuple[list[_Request], bool]:
        batch = [first]
        while len(batch) < BATCH:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return batch, False
            if request is None:
                return batch, True
            batch.append(request)
        return batch, False

    def _serve(self, batch: list[_Request]) -> None:
        writes = [request for request in batch if request.read is None]
        if writes:
            self._commit(writes)
        for request in batch:
            if request.read is not None:
                self._answer_read(request)

    def _commit(self, writes: list[_Request]) -> None:
        error = self._broken
        if error is None:
            try:
                self._commit_all(writes)
            except (
                Exception
            ) as caught:  # whatever it is, every waiting step must hear of it, and nothing is written after it
                logger.error(
                    "run %s: nothing more is written: %s: %s", self._lease.run_id, type(caught).__name__, caught
                )
                error = self._broken = caught
        for request in writes:
            self._resolve(request.future, None, error)

    def _commit_all(self, writes: list[_Request]) -> None:
        changes = [change for request in writes for change in request.changes]
        facts = [fact for request in writes for fact in request.facts]
        with transaction.atomic():
            good_until = leases.renew_here(self._lease, self._lease_s, news=bool(changes or facts))
            for change in joined(changes):
                change()
            record_many(facts)
            flags = self._flags()
        self.commits += 1
        self._lease.good_until = good_until
        self._tell(flags)
        if changes or facts:
            self._loop.call_soon_threadsafe(self._on_news)

    def _answer_read(self, request: _Request) -> None:
        assert request.read is not None
        try:
            value = request.read()
        except Exception as error:  # handed to whoever asked
            self._resolve(request.future, None, error)
        else:
            self._resolve(request.future, value, None)

    def _read_flags(self) -> None:
        self._tell(self._flags())

    def _flags(self) -> Flags:
        row = (
            Run.objects.filter(pk=self._lease.run_id, fence=self._lease.fence)
            .values_list("state", "pause_asked", "cancel_asked")
            .first()
        )
        if row is None:
            raise LeaseLost(f"run {self._lease.run_id} is driven by somebody else now")
        return Flags(*row)

    def _tell(self, flags: Flags) -> None:
        self._loop.call_soon_threadsafe(self._on_flags, flags)

    def _resolve(self, future: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
        def settle() -> None:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(settle)
        except RuntimeError:  # the loop is gone: nobody waits any more
            logger.warning("run %s: an answer of the database came after the end", self._lease.run_id)
