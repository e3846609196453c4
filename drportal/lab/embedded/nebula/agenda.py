"""Time in the model: things that happen later, on an injected clock.

Nothing here sleeps. `run_due(now)` runs what is due, each at its own due time, so that a clock that jumps (a test, a
frozen process) gives the same sequence as one that ticks.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from dataclasses import dataclass

Path = Generator[float, None, None]  # yields how long the present state lasts, seconds


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things last, seconds.

    `stale_s` is the window in which the old state is still shown after an accepted action (measured: in 14 of 20 tries
    the first look showed it). `refusal_s` is how long a refused graceful shutdown is visible (measured: about 30 ms).
    """

    stale_s: float = 0.4
    schedule_s: float = 0.5
    dispatch_s: float = 0.05
    prolog_s: float = 0.4
    boot_s: float = 0.6
    shutdown_s: float = 1.5
    hard_s: float = 0.3
    refusal_s: float = 0.03
    save_s: float = 0.8
    epilog_s: float = 0.4
    image_s: float = 0.4
    retry_s: float = 8.0

    @classmethod
    def at_speed(cls, speed: float) -> Timings:
        """Every duration divided by `speed`, which is above 0."""
        usual = cls()
        return cls(**{name: getattr(usual, name) / speed for name in cls.__slots__})


class Agenda:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._at: float | None = None

    @property
    def now(self) -> float:
        """POSIX seconds; inside a due action, the time it was due."""
        return self._clock() if self._at is None else self._at

    @property
    def idle(self) -> bool:
        return not self._queue

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay_s, next(self._order), action))

    def run_due(self) -> int:
        """Run everything due by now; returns how many actions ran."""
        count = 0
        now = self._clock()
        while self._queue and self._queue[0][0] <= now:
            self._at, _, action = heapq.heappop(self._queue)
            try:
                action()
            finally:
                self._at = None
            count += 1
        return count
