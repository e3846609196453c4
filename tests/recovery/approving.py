"""What the tests of approvals look at."""

from __future__ import annotations

from typing import Any

from drportal.audit.models import AuditEntry
from drportal.recovery import warrants
from drportal.recovery.models import Run, RunImage


def refused(answer: Any, code: str, status: int = 409) -> None:
    """With its code, in the trail, and nothing begun."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert AuditEntry.objects.filter(action="approval.refused", payload__code=code).exists()
    assert not Run.objects.filter(state__in=["approved", "running"]).exists()
    assert not RunImage.objects.filter(held=True).exists()


def why_not(run_id: int) -> str:
    wrong = warrants.why_not_usable(run_id)
    return wrong.code if wrong is not None else ""
