"""What the worker's head does beside sweeping for runs: it rings for what is due, one thing at a time.

A readiness check asks both sites, a comparison of receipts one; either takes up to some twenty seconds of a worker
process, and a run must not wait behind many. Plans are checked one after the other by the same job, some at a time,
while no run waits: hundreds of them every quarter of an hour.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

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
CHECKS_AT_ONCE = 4
CHECKS_S = 120.0  # of one job; the queue's other work has its turn after it


class Schedule:
    """``tick()`` is called often and acts every ``every_s``. Several workers may tick: the database says who rings."""

    def __init__(self, every_s: float = TICK_S) -> None:
        self.every_s = every_s
        self._next = 0.0
        self._turn = 0

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
            if jobs.default_queue_is_idle():
                self.ring_for_next(now)
        except RedisError as error:
            logger.warning("nobody could be rung for what is due: %s", error)

    def ring_for_next(self, now: dt.datetime) -> None:
        """One thing that is due; each kind has its turn, so that much of one never keeps the others waiting."""
        for _ in RINGS:
            ring = RINGS[self._turn]
            self._turn = (self._turn + 1) % len(RINGS)
            if ring(now):
                return


def ring_for_anchors(now: dt.datetime) -> bool:
    if not due(now):
        return False
    jobs.ring_for_short_work("drportal.watch.schedule.anchor_trail", 0, "anchor")
    return True


def ring_for_receipts(now: dt.datetime) -> bool:
    if (site_id := next_to_compare(now)) is None:
        return False
    jobs.ring_for_comparison(site_id)
    return True


def ring_for_checks(now: dt.datetime) -> bool:
    if (plan_id := next_to_ring_for(now)) is None:
        return False
    ring_for_readiness(plan_id)
    return True


def ring_for_discovery(now: dt.datetime) -> bool:
    if (pair_id := next_to_discover(now)) is None:
        return False
    jobs.enqueue_discovery(pair_id)
    return True


RINGS = (ring_for_anchors, ring_for_receipts, ring_for_checks, ring_for_discovery)


def anchor_trail(_: int) -> str:
    """The job: note the trail's head at every place that is due."""
    connections.close_all()
    return f"{len(anchor_due())} places"


def ring_for_readiness(plan_id: int) -> bool:
    return jobs.ring_for_short_work("drportal.watch.schedule.check_readiness", plan_id, "readiness")


def check_readiness(plan_id: int) -> str:
    """The job: ask both sites whether a plan could be run now, and keep what they say; then the next ones that are due,
    some beside each other, until none is left. It gives way to a run that waits, and ends after ``CHECKS_S``.
    """
    connections.close_all()  # inherited over the fork: two processes must not share one connection
    until = time.monotonic() + CHECKS_S
    checked, following = 0, iter([plan_id])
    with ThreadPoolExecutor(CHECKS_AT_ONCE) as threads:
        going: set[Future[None]] = set()
        while True:
            while len(going) < CHECKS_AT_ONCE and (due_id := next(following, None)) is not None:
                going.add(threads.submit(check_one, due_id))
                checked += 1
                following = iter(lambda: next_check(until), None)
            if not going:
                return f"{checked} plans checked"
            _, going = wait(going, return_when=FIRST_COMPLETED)


def next_check(until: float) -> int | None:
    """The plan that is to be checked next; None when this job should end."""
    if time.monotonic() >= until:
        return None
    try:
        if jobs.waiting_runs():
            return None
    except RedisError:
        return None  # nobody can say whether a run waits
    return next_to_ring_for(timezone.now())


def check_one(plan_id: int) -> None:
    """One plan, in a thread with a connection of its own. What goes wrong is noted with its request."""
    try:
        check(plan_id)
    except Exception:
        logger.exception("the readiness of plan %s could not be checked", plan_id)
    finally:
        connections.close_all()


def deliver_alerts(_: int) -> str:
    """The job: send the messages that are due."""
    connections.close_all()
    return f"{deliver()} sent"
