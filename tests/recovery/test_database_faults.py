"""The database fails an executor at a commit: nothing is sent without a committed intent, and nothing twice.

A restarted PostgreSQL, a full disk and a connection cut in the middle of COMMIT come to one of two things for whoever
waits for the answer: it was not committed, or it was and nobody said so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.engine.states import RunState
from drportal.recovery.models import Run
from drportal.recovery.recorder import Recorder
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import told

pytestmark = [pytest.mark.slow, pytest.mark.on_postgres]
numbers = itertools.count(1)
ACTS = ("Demote", "Promote")


def failing(action: str, committed: bool, sent: Callable[[], int], seen: list[int]) -> Callable[..., None]:
    """Fails once for each act, at its intent (``step.begin``) or its outcome, before or after the commit."""
    real, left = Recorder._commit_all, list(ACTS)

    def commit_all(self: Recorder, writes: list[Any]) -> None:
        facts = [fact for request in writes for fact in request.facts]
        hit = next((act for act in left for f in facts if f.action == action and f.subject.startswith(act)), None)
        if hit is None:
            real(self, writes)
            return
        left.remove(hit)
        seen.append(sent())
        if committed:
            real(self, writes)
        raise OperationalError("server closed the connection unexpectedly")

    return commit_all


@pytest.mark.parametrize("committed", [False, True], ids=["lost", "committed and not told"])
@pytest.mark.parametrize("action", ["step.begin", "step.succeed"], ids=["intent", "outcome"])
def test_a_commit_whose_answer_does_not_come_neither_sends_nor_repeats(
    action: str, committed: bool, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = mover.plan(f"web-{next(numbers)}")
    (image,) = mover.images(plan)
    run = mover.ask(plan)
    seen: list[int] = []

    def sent() -> int:
        return mover.acts("a", "demote", image) + mover.acts("b", "promote", image)

    monkeypatch.setattr(Recorder, "_commit_all", failing(action, committed, sent, seen))
    for _ in range(len(ACTS) + 1):
        Run.objects.filter(pk=run.pk).update(lease_until=None)  # the stumbled executor's has run out
        run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert seen == ([0, 1] if action == "step.begin" else [1, 2]), "nothing is sent before its intent is committed"
    assert (mover.acts("a", "demote", image), mover.acts("b", "promote", image)) == (1, 1)
    assert mover.primary(image) == "b"
    assert AuditEntry.objects.filter(run_id=run.pk, action="run.stumble").count() == len(ACTS)
    assert verify_database().ok
