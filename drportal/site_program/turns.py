"""Whose turn it is to act: no more side by side than the site allows, and than each request itself does."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Tuple


class Turns:
    """In the order in which they came; one that allows fewer beside it than there are does not hold up the others."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads = ThreadPoolExecutor(limit)
        self._changed = threading.Condition()
        self._waiting: List[Tuple[int, Callable[[], None]]] = []
        self._acting = 0

    def submit(self, at_once: int, work: Callable[[], None]) -> None:
        """``work`` begins when fewer than ``at_once`` are under way. It raises nothing."""
        with self._changed:
            self._waiting.append((at_once, work))
            self._begin()

    def _begin(self) -> None:
        """Under the lock."""
        while self._acting < self._limit:
            place = next((n for n, (at_once, _) in enumerate(self._waiting) if self._acting < at_once), None)
            if place is None:
                return
            _, work = self._waiting.pop(place)
            self._acting += 1
            self._threads.submit(self._take, work)

    def _take(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._acting -= 1
                self._begin()
                self._changed.notify_all()

    def end(self) -> None:
        """Until nobody waits and nobody acts."""
        with self._changed:
            while self._waiting or self._acting:
                self._changed.wait()
        self._threads.shutdown(wait=True)
