"""Queues and what runs on them. A job is only a doorbell: it carries an id, the database row says what is to be done.

RQ's own retry stays off: after a killed worker it would start a second executor while the first still acts. The lease
decides who
drives a run (``recovery/lease.py``), the sweep rings again when nobody does (``recovery/sweep.py``).
"""

from __future__ import annotations

import ctypes
import datetime as dt
import logging
import os
import signal
import uuid
from typing import Any

import django_rq
from django.db import connections, transaction
from redis.exceptions import RedisError
from rq import Queue, Worker, worker_registration
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

logger = logging.getLogger(__name__)
RECOVERY, DEFAULT = "recovery", "default"
PR_SET_PDEATHSIG = 1
WORKER_TTL_S = 30  # an idle worker speaks 15 s before that, a busy one every 30 s (RQ's job_monitoring_interval)
HEARD_WITHIN_S = 45.0


class PortalWorker(Worker):
    """A worker whose job dies with it: otherwise a killed worker would leave an executor behind that nobody watches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"serializer": JSONSerializer, "worker_ttl": WORKER_TTL_S, **kwargs})

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ registers a worker at its birth only; after a Redis that forgot everything, nobody would see it again."""
        super().heartbeat(timeout, pipeline)
        if self.birth_date is not None and not self.connection.hexists(self.key, "birth"):
            self.connection.hset(self.key, mapping=self.serialize())
            worker_registration.register(self)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]  # RQ has no types here
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)  # the worker was gone before we could ask to be told

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """The job's process is surely dead (it was waited for), so its lease can end now instead of running out."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        from drportal.recovery.lease import end_leases_of

        try:
            for run_id in end_leases_of(retpid):
                ring_for_run(run_id)
        finally:
            connections.close_all()  # the next job is a fork of this process, and must not inherit a connection


def queue(name: str) -> Queue:
    return django_rq.get_queue(name, commit_mode="auto")


def enqueue_run(run_id: int) -> None:
    """Ring for an executor once the transaction is committed. A lost ring costs one sweep interval, never the run."""
    transaction.on_commit(lambda: ring_for_run(run_id))


def ring_for_run(run_id: int) -> bool:
    """Ring now; False when Redis cannot be reached."""
    return _ring(RECOVERY, "drportal.jobs.drive_run", run_id, f"run-{run_id}-{uuid.uuid4().hex[:12]}")


def enqueue_discovery(pair_id: int) -> None:
    """Ask for news of a pair once the transaction is committed."""
    transaction.on_commit(
        lambda: _ring(DEFAULT, "drportal.jobs.discover_pair", pair_id, f"pair-{pair_id}-{uuid.uuid4().hex[:12]}")
    )


def ring_for_short_work(function: str, subject_id: int, word: str) -> bool:
    """Have a worker call ``function`` (a dotted path of ours) with an id; what it is about belongs to the caller."""
    return _ring(DEFAULT, function, subject_id, f"{word}-{subject_id}-{uuid.uuid4().hex[:12]}")


def ring_for_comparison(site_id: int) -> bool:
    """Have a site's receipts held against the trail (``watch/receipts.py``)."""
    return ring_for_short_work("drportal.watch.receipts.compare_receipts", site_id, "receipts")


def default_queue_is_idle() -> bool:
    """Nothing waits there and nothing of it is being done. Raises RedisError."""
    found = queue(DEFAULT)
    return found.count == 0 and found.started_job_registry.count == 0


def _ring(name: str, function: str, subject_id: int, job_id: str) -> bool:
    try:
        queue(name).enqueue_call(
            function, args=(subject_id,), job_id=job_id, retry=None, result_ttl=60, failure_ttl=3600
        )
    except RedisError as error:
        logger.warning("could not ring for %s: %s; the sweep will", job_id, error)
        return False
    return True


def waiting_runs() -> set[int]:
    """Ids of runs for which a ring is still in the queue."""
    found = set()
    for job in queue(RECOVERY).get_jobs():
        if job.args and job.get_status(refresh=False) == JobStatus.QUEUED:
            found.add(int(job.args[0]))
    return found


def worker_alive(name: str = RECOVERY) -> bool:
    """Whether a worker listens on the queue now: one that is registered there and has spoken lately. A killed one
    stays registered for a while."""
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=HEARD_WITHIN_S)
    try:
        workers = PortalWorker.all(queue=queue(name))
        return any(
            worker.get_state() != "suspended" and worker.last_heartbeat is not None and worker.last_heartbeat > since
            for worker in workers
        )
    except RedisError as error:
        logger.warning("cannot tell whether a worker listens on %s: %s", name, error)
        return False


# --- the jobs


def drive_run(run_id: int) -> str:
    """Drive one run until it rests (``recovery/executor.py``)."""
    connections.close_all()  # inherited over the fork: two processes must not share one connection
    from drportal.engine.states import TERMINAL_RUN
    from drportal.recovery.executor import drive
    from drportal.recovery.models import Run

    result = drive(run_id)
    logger.info("run %s: %s", run_id, result)
    if result in TERMINAL_RUN:
        run = Run.objects.select_related("group").get(pk=run_id)
        if result.startswith("succeeded"):
            enqueue_discovery(run.group.pair_id)
        for site_id in (run.source_site_id, run.target_site_id):
            ring_for_comparison(site_id)
    return result


def discover_pair(pair_id: int) -> str:
    """Ask both sites of a pair for everything (``inventory/discovery.py``)."""
    connections.close_all()
    from drportal.inventory.discovery import discover

    discover(pair_id)
    return "discovered"
