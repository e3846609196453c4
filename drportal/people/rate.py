"""How many requests a person, or an address where nobody is signed in, may send in a minute."""

from __future__ import annotations

import time

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

WINDOW_S = 60


class PerPerson(BaseThrottle):
    """Counted by each web process for itself, in windows of a minute; far above what many open pages need.

    Not ninja's own counter: one object serves all threads, and keeps the person whom it is about in itself.
    """

    def allow_request(self, request: HttpRequest) -> bool:
        most = settings.REQUESTS_PER_MINUTE
        who = f"person-{request.user.pk}" if request.user.is_authenticated else request.META.get("REMOTE_ADDR")
        key = f"requests {who} {int(time.time() // WINDOW_S)}".replace(" ", ":")
        cache.add(key, 0, 2 * WINDOW_S)
        try:
            return not most or cache.incr(key) <= most
        except ValueError:  # the cache was full and has just thrown it out
            return True

    def wait(self) -> float:
        return WINDOW_S - time.time() % WINDOW_S
