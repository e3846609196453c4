"""Memory of a process that lives for months and now and then holds a large answer for a moment.

glibc gives each thread heaps of its own and hands little of them back, so that the largest moment of each thread stays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_ARENA_MAX = -1, -8


def keep_small() -> None:
    """At the start of the process, before its threads. Does nothing where the C library has no such thing."""
    if (mallopt := _function("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, 8 * 2**20)


def give_back() -> None:
    """After something large was let go."""
    if (trim := _function("malloc_trim")) is not None:
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
