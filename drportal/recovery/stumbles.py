"""An executor that ends by a fault of its own: the run says so, and after a few in a row it waits for a person.

Without this a run would be taken up again and again for ever, and show nothing but its last sentence.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError, connection, transaction

from drportal.audit.record import Fact, record_many
from drportal.engine.states import RunEvent, RunState, next_run_state
from drportal.events import publish
from drportal.recovery import changes
from drportal.recovery import lease as leases
from drportal.recovery.lease import Lease, LeaseLost
from drportal.recovery.models import Run
from drportal.recovery.recorder import Change

logger = logging.getLogger(__name__)
IN_A_ROW = 4
KEPT_CHARACTERS = 300
# What waits for a person after that. A cancelled run ends: it must not hold up what has to be done instead.
LAST_WORD = {
    RunState.APPROVED: RunEvent.GIVE_UP,
    RunState.RUNNING: RunEvent.STOP_AT_ERROR,
    RunState.CANCELLING: RunEvent.GIVE_UP,
}


def note_stumble(lease: Lease, lease_s: float, error: Exception) -> None:
    """Write down that the lease's executor ended by ``error``; the lease runs out, which is the pause before the next.

    Never raises: it is called when something is wrong already. When the database is what is wrong, nothing is written.
    """
    try:
        with transaction.atomic():
            leases.renew_here(lease, lease_s, news=True)
            _write(Run.objects.get(pk=lease.run_id), f"{type(error).__name__}: {error}"[:KEPT_CHARACTERS])
    except (LeaseLost, DatabaseError, InterfaceError) as worse:
        logger.error("run %s: its executor's end could not be written down: %s", lease.run_id, worse)
    finally:
        connection.close()


def _write(run: Run, error: str) -> None:
    run.stumbles += 1
    before = RunState(run.state)
    event = LAST_WORD.get(before) if run.stumbles >= IN_A_ROW else None
    said = f"The portal's executor ended by a fault of its own ({error})."
    fields: dict[str, object] = {"stumbles": run.stumbles}
    ends: list[Change] = []
    if event is None:
        after, name = before, "stumble"
        said += f" Another one begins in a few seconds, by looking at what was done; this was number {run.stumbles}."
    elif event is RunEvent.GIVE_UP:
        after, name = next_run_state(before, event), event.value
        said += (
            f" That happened {run.stumbles} times in a row, so the run was ended."
            f" {'Nothing was sent to any site.' if before is RunState.APPROVED else 'What it began is in its steps.'}"
            " Show the worker's log to whoever runs the portal; then make a new run."
        )
        fields.update(lease_owner="", lease_until=None)
        ends = [changes.images_let_go(run.pk), changes.group_follows(run.pk)]
    else:
        after, name = next_run_state(before, event), event.value
        said += (
            f" That happened {run.stumbles} times in a row, so the run waits for a person. Nothing new is sent."
            " Show the worker's log to whoever runs the portal. Resume begins by reading what was done."
        )
        fields.update(lease_owner="", lease_until=None, stumbles=0)
    for change in (changes.run_change(run.pk, before, after, said, **fields), *ends):
        change()
    payload = {"from": before.value, "to": after.value, "sentence": said, "fence": run.fence}
    record_many([Fact(f"run.{name}", f"run {run.pk}: {run.kind}", "executor", payload, run.pk)])
    publish(f"run:{run.pk}")
    publish("runs")
    publish("overview")
