"""The lost site is not gone but hung: it accepts connections and never answers."""

from __future__ import annotations

import time

import pytest

from drportal.engine.states import RunState
from drportal.recovery.models import ProtectionGroup
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import approved, person, requested, told

pytestmark = pytest.mark.slow
# Of the drivers: 10 s for the Ceph host, 15 s for OpenNebula. Each step used to wait for both, several times.
PATIENCE_S = 15.0


def test_a_site_that_hangs_throughout_holds_nothing_up_however_many_steps_there_are(mover: Mover) -> None:
    """Three VMs, one after the other, in both modes: its silence is waited for once and then known."""
    names = ("web-1", "db-1", "web-2")
    plan = mover.plan(*names, in_turn=True)
    mover.lab.fail("a", "site-hung")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    began = time.monotonic()
    run = mover.drive(run)
    took_s = time.monotonic() - began
    assert run.state == RunState.SUCCEEDED, told(run)
    print(f"a disaster failover of {len(names)} VMs, one after the other, of a site that hangs: {took_s:.0f} s")
    assert took_s < 4 * PATIENCE_S
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    assert [mover.acts("b", "promote --force", image) for image in mover.images(plan)] == [1] * 4
    assert [mover.vm_state("b", name) for name in names] == ["RUNNING"] * 3
