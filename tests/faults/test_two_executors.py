"""An executor that was frozen longer than its lease, and comes back: it writes nothing more and sends nothing more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from drportal.audit.models import AuditEntry
from drportal.lab.control import LabClient
from drportal.recovery.models import Run, StepAttempt
from tests.faults.ledger import a_failover, assert_all_is_at, deeds, vm_ids
from tests.faults.stack import Portal
from tests.stack import wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow


def commands(lab: LabClient) -> list[int]:
    """How many acts each site was sent, with or without effect."""
    return [len(lab.acts(site)) + len(lab.call("calls", site=site)) for site in ("a", "b")]


def written(run_id: int) -> list[object]:
    """Everything that an executor writes."""
    run = Run.objects.get(pk=run_id)
    return [
        AuditEntry.objects.filter(run_id=run_id).count(),
        (run.version, run.state, run.sentence, run.fence, run.lease_owner),
        list(run.steps.values_list("pk", "version", "state", "attempt", "sentence")),
        list(StepAttempt.objects.filter(step__run=run).values_list("pk", "fence", "outcome", "finished_at")),
    ]


@pytest.mark.parametrize(
    ("kind", "point"),
    [("image.demote", "P1"), ("image.promote", "P1"), ("image.promote", "P4"), ("vm.start", "P1")],
)
def test_a_thawed_executor_neither_writes_nor_sends(
    kind: str, point: str, lab: LabClient, portal: Portal, witness: PrimaryWitness
) -> None:
    home = vm_ids(lab, "a")
    portal.arm(kind, point, "freeze")
    run_id = portal.failover()
    frozen = wait_until(f"{kind} froze at {point}", lambda: portal.fired(kind, point), 30)
    try:
        run = portal.wait_run(run_id)
        assert run.fence == 2
        before = commands(lab), written(run_id)
    finally:
        os.kill(frozen, signal.SIGCONT)
    wait_until("the thawed executor has ended", lambda: not Path(f"/proc/{frozen}").exists(), 30)
    assert (commands(lab), written(run_id)) == before
    assert "stopped at once" in portal.worker.log.read_text()

    fences = {attempt.fence for attempt in portal.attempts(run_id, kind)}
    assert 1 in fences, "the frozen one's intents are on record, under its number"
    assert {a.fence for a in portal.attempts(run_id, "vm.start")} == ({1, 2} if kind == "vm.start" else {2})
    assert_all_is_at(lab, "b")
    assert deeds(lab) == a_failover(lab, home)
    portal.assert_trail(run_id)
    witness.assert_clean()
