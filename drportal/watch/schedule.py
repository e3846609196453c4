"""What the worker's head does beside sweeping for runs: it rings for what is due, one thing at a time.

A readiness check asks both sites, a comparison of receipts one; either takes up to some twenty seconds of a worker
process, and a run must not wait behind many.
"""

from __future__ import annotations

import logging
import time

from django.db import connections
from django.utils import timezone
from redis.exceptions import RedisError

from drportal import jobs
from drportal.audit.anchors import anchor_due, due
from drportal.inventory.discovery import next_to_discover
from drportal.watch.alerts import deliver, evaluate, messages_due
from drportal.watch.readiness import ask_for_checks, check, next_to_ring_for
from drportal.watch.receipts import next_to_compare

logger = logging.getLogger(__name__)
TICK_S = 10.0


class Schedule:
    """``tick()`` is called often and acts every ``every_s``. Several workers may tick: the database says who rings."""

    def __init__(self, every_s: float = TICK_S) -> None:
        self.every_s = every_s
        self._next = 0.0

    def tick(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.every_s
        now = timezone.now()
        ask_for_checks(now)
        evaluate(now)
        try:
            if messages_due(now):
                jobs.ring_for_short_work("drportal.watch.schedule.deliver_alerts", 0, "alerts")
            if not jobs.default_queue_is_idle():
                return
            if due(now):
                jobs.ring_for_short_work("drportal.watch.schedule.anchor_trail", 0, "anchor")
            elif (site_id := next_to_compare(now)) is not None:
                jobs.ring_for_comparison(site_id)
            elif (plan_id := next_to_ring_for(now)) is not None:
                ring_for_readiness(plan_id)
            elif (pair_id := next_to_discover(now)) is not None:
                jobs.enqueue_discovery(pair_id)
        except RedisError as error:
            logger.warning("nobody could be rung for what is due: %s", error)


def anchor_trail(_: int) -> str:
    """The job: note the trail's head at every place that is due."""
    connections.close_all()
    return f"{len(anchor_due())} places"


def ring_for_readiness(plan_id: int) -> bool:
    return jobs.ring_for_short_work("drportal.watch.schedule.check_readiness", plan_id, "readiness")


def check_readiness(plan_id: int) -> str:
    """The job: ask both sites whether a plan could be run now, and keep what they say."""
    connections.close_all()  # inherited over the fork: two processes must not share one connection
    row = check(plan_id)
    return row.state if row else "not checked"


def deliver_alerts(_: int) -> str:
    """The job: send the messages that are due."""
    connections.close_all()
    return f"{deliver()} sent"
