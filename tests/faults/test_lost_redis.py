"""Redis holds nothing that the database does not know: when it is emptied or killed, no run is lost or done twice."""

from __future__ import annotations

import pytest

from drportal.engine.plans import RunKind
from drportal.jobs import worker_alive
from drportal.lab.control import LabClient
from drportal.recovery.models import Run
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, vm_ids
from tests.faults.stack import Portal
from tests.stack import wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def unhurried(lab: LabClient) -> None:
    """Acts take long enough for something to happen meanwhile."""
    for site, verb in (("a", "demote"), ("b", "promote")):
        lab.fail(site, "command-hangs", match=f"mirror image {verb}", seconds=0.5)


def ends_right(portal: Portal, lab: LabClient, run_id: int, home: set[str]) -> Run:
    run = portal.wait_run(run_id)
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    portal.assert_trail(run_id)
    return run


def test_an_emptied_redis_disturbs_no_run_and_the_next_one_can_be_asked_for(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running")
    portal.redis_client().flushall()
    assert ends_right(portal, lab, run_id, home).fence == 1, "the executor needs no Redis"
    wait_until("the portal sees its workers again", worker_alive, 30)
    portal.wait_run(portal.failback())
    assert_all_is_at(lab, "a")
    witness.assert_clean()


def test_an_emptied_redis_and_a_dead_executor_at_once_lose_no_run(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    portal.arm("image.promote", "P4")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running")
    portal.redis_client().flushall()
    assert ends_right(portal, lab, run_id, home).fence == 2
    witness.assert_clean()


def test_a_run_goes_on_while_redis_is_dead_and_the_portal_works_when_it_is_back(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running")
    portal.redis.kill()
    assert ends_right(portal, lab, run_id, home).fence == 1, "the executor needs no Redis"
    portal.redis.start()
    wait_until("Redis answers", portal.redis_answers, 10)
    wait_until("the portal sees its workers again", worker_alive, 60)
    portal.wait_run(portal.failback())
    assert_all_is_at(lab, "a")
    witness.assert_clean()


def test_a_run_whose_executor_dies_while_redis_is_dead_goes_on_when_it_is_back(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    portal.arm("image.promote", "P4")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running")
    portal.redis.kill()
    wait_until("the executor died", lambda: portal.fired("image.promote", "P4"), 30)
    portal.redis.start()
    assert ends_right(portal, lab, run_id, home).fence == 2
    witness.assert_clean()


def test_a_run_whose_ring_was_lost_begins_when_a_worker_is_started(
    lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    portal.worker.kill()  # a killed worker stays on Redis's list for a while, so the run is accepted
    run_id = portal.request(RunKind.PLANNED_FAILOVER)
    portal.redis_client().flushall()
    assert Run.objects.get(pk=run_id).fence == 0
    portal.worker.start()
    ends_right(portal, lab, run_id, home)
    witness.assert_clean()
