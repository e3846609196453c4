"""Workers as the portal sees them: one that Redis forgot, and one that was killed."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisRefuses
from rq import Queue
from rq.utils import utcformat

from drportal import jobs
from drportal.demo import free_port, redis_program
from tests.stack import wait_until


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    server = subprocess.Popen([redis_program(), *words], stdout=subprocess.DEVNULL)
    connection = Redis(port=port)

    def answers() -> bool:
        try:
            return bool(connection.ping())
        except RedisRefuses:
            return False

    try:
        wait_until("Redis answers", answers, 10)
        monkeypatch.setattr(jobs, "queue", lambda name: Queue(name, connection=connection))
        yield connection
    finally:
        connection.close()
        server.kill()
        server.wait()


def born(redis: Redis) -> jobs.PortalWorker:
    worker = jobs.PortalWorker([jobs.queue(jobs.RECOVERY)], connection=redis)
    worker.register_birth()
    return worker


def test_without_a_worker_nobody_listens(redis: Redis) -> None:
    assert not jobs.worker_alive()


def test_a_worker_is_seen_on_its_own_queue_only(redis: Redis) -> None:
    born(redis)
    assert jobs.worker_alive(jobs.RECOVERY)
    assert not jobs.worker_alive(jobs.DEFAULT)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_worker_that_redis_forgot_is_seen_again_at_its_next_heartbeat(redis: Redis, in_pipeline: bool) -> None:
    worker = born(redis)
    redis.flushall()
    assert not jobs.worker_alive()
    if in_pipeline:
        with redis.pipeline() as pipeline:
            worker.heartbeat(60, pipeline=pipeline)
            pipeline.execute()
    else:
        worker.heartbeat()
    assert jobs.worker_alive()


def test_a_worker_that_was_killed_is_not_taken_for_alive(redis: Redis) -> None:
    worker = born(redis)
    silent_since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=jobs.HEARD_WITHIN_S + 1)
    redis.hset(worker.key, "last_heartbeat", utcformat(silent_since))
    assert not jobs.worker_alive(), "it is still registered, but has not spoken"


def test_an_idle_worker_speaks_often_enough_to_be_taken_for_alive(redis: Redis) -> None:
    assert born(redis).dequeue_timeout < jobs.HEARD_WITHIN_S / 2
