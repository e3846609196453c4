"""``manage.py worker``, with failpoints that a test sets while it runs: ``python tests/faults/worker.py worker``.

A file ``KIND@POINT`` in ``$FAULTS_FOLDER`` arms the product's own failpoint of that step kind and says what happens:
``kill`` (SIGKILL of the work horse), ``kill-worker`` (of the RQ worker above it) or ``freeze`` (SIGSTOP). The file is
renamed as it fires, so that each fires once. ``$FAULTS_PATIENCE_S`` and ``$FAULTS_DEADLINE_S`` are the SSH driver's for
acts and reads: short, so that a test sees them run out. And its processes are forked and not started anew: what each of
them would load again is a third of all that such a test computes.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import time
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


class Forked:
    """A process of the family, as much of a ``Popen`` as the family's head asks for. It dies with the head."""

    def __init__(self, argv: list[str], preexec_fn: Any) -> None:
        from django.db import connections

        from drportal.management.commands import worker

        def begin() -> None:
            preexec_fn()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            worker.work()

        connections.close_all()  # two processes must not share one
        self.process = get_context("fork").Process(target=begin)
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)


def install() -> None:
    from drportal.inventory import connect
    from drportal.management.commands import worker
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
    import_module("drportal.recovery.executor")  # before the first of them is forked
    worker.subprocess = SimpleNamespace(Popen=Forked)  # type: ignore[assignment]


if __name__ == "__main__":
    import django

    django.setup()
    install()
    execute_from_command_line(sys.argv)
