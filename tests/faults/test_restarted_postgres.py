"""PostgreSQL is restarted under a run: the run goes on or waits for it, and nothing is done twice.

The whole suite may run on SQLite, so these run in a process of their own, on a PostgreSQL of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connections

from drportal.lab.control import LabClient
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, vm_ids
from tests.faults.stack import LEASE_S, Portal
from tests.with_postgres import server_programs
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def control(verb: str) -> None:
    words = json.loads(os.environ["DRPORTAL_TEST_POSTGRES_CONTROL"])
    how = ["-m", "immediate"] if verb in ("stop", "restart") else []  # as by a crash: nobody is let finish
    subprocess.run([*words, *how, verb], check=True, stdout=subprocess.DEVNULL, cwd="/")
    connections.close_all()


def under_a_run(lab: LabClient, portal: Portal, witness: PrimaryWitness) -> None:
    """At once in the middle of the demotions; then gone for longer than a lease, in the middle of the promotions."""
    for site, verb in (("a", "demote"), ("b", "promote")):
        lab.fail(site, "command-hangs", match=f"mirror image {verb}", seconds=0.5)
    home = vm_ids(lab, "a")
    run_id = portal.failover()
    portal.wait_step(run_id, "image.demote", "running")
    control("restart")
    portal.wait_step(run_id, "image.promote", "running")
    control("stop")
    time.sleep(1.5 * LEASE_S)
    control("start")
    run = portal.wait_run(run_id)
    assert run.fence >= 3, "another executor each time"
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home), "each act took effect once"
    portal.assert_trail(run_id)
    witness.assert_clean()


if "DRPORTAL_TEST_POSTGRES_CONTROL" in os.environ:

    def test_a_run_goes_on_when_postgresql_was_restarted(
        lab: LabClient, portal: Portal, witness: PrimaryWitness
    ) -> None:
        under_a_run(lab, portal, witness)

else:

    def test_a_run_goes_on_when_postgresql_was_restarted() -> None:
        if server_programs() is None and os.environ.get("DRPORTAL_REQUIRE_ALL") != "1":
            pytest.skip("PostgreSQL's server programs are not installed (apt-get install postgresql)")
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        done = subprocess.run(
            [sys.executable, "tests/with_postgres.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "1 passed" in done.stdout
