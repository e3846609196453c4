"""Who drives a run: one at a time, by the database's clock, and whoever has lost it writes nothing more."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time

import pytest
from django.db import transaction
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.audit.record import Fact
from drportal.recovery import lease as leases
from drportal.recovery.lease import Lease, LeaseLost
from drportal.recovery.models import RecoveryPlan, Run, Step
from drportal.recovery.recorder import Flags, Recorder
from drportal.recovery.sweep import abandoned
from tests.recovery.conftest import Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(plan: RecoveryPlan, ready: list[object], bell: Bell) -> Run:
    return ask(plan)


def taken(run: Run, owner: str, lease_s: float = 30.0) -> Lease:
    lease = leases.take(run.pk, owner, lease_s)
    assert lease is not None
    return lease


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))


def test_only_one_gets_the_lease_and_the_fence_goes_up_with_each_holder(run: Run) -> None:
    assert taken(run, "first").fence == 1
    assert leases.take(run.pk, "second", 30.0) is None
    expire(run)
    assert taken(run, "second").fence == 2


@pytest.mark.parametrize("state", ["draft", "awaiting_approval", "paused", "succeeded", "failed", "aborted"])
def test_a_run_that_is_not_to_be_driven_has_no_lease(run: Run, state: str) -> None:
    Run.objects.filter(pk=run.pk).update(state=state)
    assert leases.take(run.pk, "somebody", 30.0) is None
    assert abandoned() == []


def test_a_lease_that_was_lost_cannot_be_renewed(run: Run) -> None:
    first = taken(run, "first")
    expire(run)
    taken(run, "second")
    with pytest.raises(LeaseLost), transaction.atomic():
        leases.renew_here(first, 30.0, news=True)


def test_it_stops_believing_in_its_lease_by_its_own_clock(run: Run) -> None:
    lease = taken(run, "frozen", 0.05)
    lease.check()
    time.sleep(0.06)
    with pytest.raises(LeaseLost):
        lease.check()


def test_a_run_without_executor_is_found_and_a_driven_one_is_not(run: Run) -> None:
    assert abandoned() == [run.pk]
    taken(run, "somebody")
    assert abandoned() == []
    expire(run)
    assert abandoned() == [run.pk]


def test_leases_of_a_process_that_was_seen_to_die_end_at_once(run: Run) -> None:
    taken(run, leases.owner_name(os.getpid()))
    assert leases.end_leases_of(os.getpid() + 1) == []
    assert abandoned() == []
    assert leases.end_leases_of(os.getpid()) == [run.pk]
    assert abandoned() == [run.pk]


class Written:
    """A recorder, and what it told."""

    def __init__(self, lease: Lease) -> None:
        self.flags: list[Flags] = []
        self.news = 0
        self.recorder = Recorder(lease, 30.0, self.flags.append, self.count)
        self.recorder.start()

    def count(self) -> None:
        self.news += 1


def mark(step: Step, sentence: str) -> object:
    def change() -> None:
        assert Step.objects.filter(pk=step.pk).update(sentence=sentence)

    return change


def test_what_is_handed_in_together_is_committed_together(run: Run) -> None:
    steps = list(run.steps.all())
    version = run.version

    lease = taken(run, "me")

    async def write() -> Written:
        written = Written(lease)
        writes = [
            written.recorder.write(mark(step, "seen"), facts=[Fact("step.seen", step.key, "me", {}, run.pk)])
            for step in steps * 20
        ]
        await asyncio.gather(*writes)
        written.recorder.stop()
        return written

    written = asyncio.run(write())
    assert {step.sentence for step in run.steps.all()} == {"seen"}
    assert AuditEntry.objects.filter(action="step.seen").count() == len(steps) * 20
    assert written.recorder.commits < len(steps) * 20 / 4, "many writes share a commit"
    assert Run.objects.get(pk=run.pk).version == version + written.recorder.commits


def test_who_lost_the_lease_writes_nothing_more_ever(run: Run) -> None:
    step = run.steps.all()[0]
    entries = AuditEntry.objects.count()

    lease = taken(run, "old")

    async def write() -> None:
        written = Written(lease)
        await written.recorder.read(lambda: expire(run))
        await written.recorder.read(lambda: taken(run, "new"))
        for _ in range(2):
            with pytest.raises(LeaseLost):
                await written.recorder.write(mark(step, "from the grave"), facts=[Fact("a", "b", "old")])
        with pytest.raises(LeaseLost):
            await written.recorder.renew()
        written.recorder.stop()

    asyncio.run(write())
    step.refresh_from_db()
    assert step.sentence == ""
    assert AuditEntry.objects.count() == entries
    assert Run.objects.get(pk=run.pk).lease_owner == "new"


def test_an_error_in_one_write_keeps_the_whole_batch_out_and_ends_the_writing(run: Run) -> None:
    step = run.steps.all()[0]

    def broken() -> None:
        raise RuntimeError("the disk is full")

    lease = taken(run, "me")

    async def write() -> None:
        written = Written(lease)
        results = await asyncio.gather(
            written.recorder.write(mark(step, "first")), written.recorder.write(broken), return_exceptions=True
        )
        assert isinstance(results[1], RuntimeError)
        with pytest.raises(RuntimeError):
            await written.recorder.write(mark(step, "later"))
        written.recorder.stop()

    asyncio.run(write())
    step.refresh_from_db()
    assert step.sentence in ("", "first"), "committed before the broken one, or not at all"


def test_what_people_ask_is_heard_with_every_write_and_every_look(run: Run) -> None:
    lease = taken(run, "me")

    async def listen() -> list[Flags]:
        written = Written(lease)
        await written.recorder.renew()
        await written.recorder.read(lambda: Run.objects.filter(pk=run.pk).update(pause_asked=True))
        await written.recorder.look()
        written.recorder.stop()
        return written.flags

    first, second = asyncio.run(listen())
    assert (first.pause_asked, second.pause_asked) == (False, True)
