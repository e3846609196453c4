"""The approval policy that counts now."""

from __future__ import annotations

from django.conf import settings

from drportal.engine.policy import ChangeState, Policy
from drportal.recovery.models import PolicyChange

FIRST_RULE = (
    "No change was approved yet, so what the portal was set up with counts: DRPORTAL_APPROVALS_NEEDED, "
    "DRPORTAL_APPROVAL_MINUTES, DRPORTAL_BREAK_GLASS and DRPORTAL_LEAST_FENCE_RUNG, or what they are by default. From "
    "the first change on that a second person says yes to, those are not read any more."
)


def policy_in_force() -> PolicyChange | None:
    """None: none was approved yet, and what the portal was set up with counts."""
    return PolicyChange.objects.filter(state=ChangeState.IN_FORCE.value).first()


def policy_now() -> Policy:
    """Read each time: a change counts at once, in every process."""
    row = policy_in_force()
    if row is None:
        return Policy(
            settings.APPROVALS_NEEDED, settings.APPROVAL_MINUTES, settings.BREAK_GLASS, settings.LEAST_FENCE_RUNG
        )
    return policy_of(row)


def policy_of(row: PolicyChange) -> Policy:
    return Policy(row.needed, row.minutes, row.break_glass, row.least_rung)
