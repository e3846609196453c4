"""``manage.py worker``, with failpoints that a test sets while it runs: ``python tests/faults/worker.py worker``.

A file ``KIND@POINT`` in ``$FAULTS_FOLDER`` arms the product's own failpoint of that step kind and says what happens:
``kill`` (SIGKILL of the work horse), ``kill-worker`` (of the RQ worker above it) or ``freeze`` (SIGSTOP). The file is
renamed as it fires, so that each fires once. ``$FAULTS_PATIENCE_S`` and ``$FAULTS_DEADLINE_S`` are the SSH driver's for
acts and reads: short, so that a test sees them run out.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import time
from pathlib import Path

from django.core.management import execute_from_command_line

sys.path[0] = str(Path(__file__).resolve().parents[2])  # as for manage.py; the modules beside this file hide others

FOLDER = Path(os.environ["FAULTS_FOLDER"])


def armed(kind: str, point: str) -> bool:
    return (FOLDER / f"{kind}@{point}").exists()


def failpoint(kind: str, point: str) -> None:
    """Fires only once, however many steps arrive here."""
    file = FOLDER / f"{kind}@{point}"
    if not file.exists():
        return
    action = file.read_text()
    file.rename(FOLDER / f"{kind}@{point}.fired.{os.getpid()}")
    if action == "freeze":
        time.sleep(0.3)  # the recorder's thread commits what it has: whoever freezes with SQLite's lock stops everybody
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    os.kill(os.getppid() if action == "kill-worker" else os.getpid(), signal.SIGKILL)
    time.sleep(30)  # killed from above: nothing more may happen until that arrives


def install() -> None:
    from drportal.inventory import connect
    from drportal.recovery import failpoints, loading, step_runner
    from tests.seeded import plant

    plant()

    async def failpoint_while(kind: str, delay_s: float = 0.05) -> None:
        if armed(kind, "P3"):
            await asyncio.sleep(delay_s)
            failpoint(kind, "P3")

    failpoints.failpoint = step_runner.failpoint = failpoint
    failpoints.failpoint_while = step_runner.failpoint_while = failpoint_while
    patient = functools.partial(
        connect.Reach,
        patience_s=float(os.environ["FAULTS_PATIENCE_S"]),
        deadline_s=float(os.environ["FAULTS_DEADLINE_S"]),
    )
    connect.Reach = loading.Reach = patient  # type: ignore[assignment,misc]


if __name__ == "__main__":
    import django

    django.setup()
    install()
    execute_from_command_line(sys.argv)
