"""The lost site is not gone but hung: it accepts connections and never answers."""

from __future__ import annotations

import pytest

from drportal.engine.states import RunState
from drportal.recovery.models import ProtectionGroup
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import approved, person, requested, told

pytestmark = pytest.mark.slow


def test_a_site_that_hangs_throughout_holds_nothing_up(mover: Mover) -> None:
    """Each look waits for its silence longer than a role that was read here counts as fresh."""
    plan = mover.plan("web-1")
    mover.lab.fail("a", "site-hung")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    (image,) = mover.images(plan)
    assert mover.acts("b", "promote --force", image) == 1
    assert mover.vm_state("b", plan.name) == "RUNNING"
