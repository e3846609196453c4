"""Executors that are born quickly and die where they are told to.

As a program (``python tests/faults/nursery.py``): Django is set up once, then each line on its standard input,
``{"run": 5, "die": "image.demote:P1"}``, forks an executor of that run. ``die`` is a failpoint of the product, a number
of seconds after which it is killed from outside, or null. Each one's end is told in a line on standard output. An
executor here is what a worker's child is: a process of its own with connections of its own, and its death is SIGKILL.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Death = str | float | None
AT_ONCE = 6


# --- the program


def serve() -> None:
    import django

    django.setup()
    from drportal.recovery.executor import drive
    from drportal.recovery.pace import pace_from_environment

    pace = pace_from_environment()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    faulthandler.register(signal.SIGUSR1, chain=False)  # where an executor stands that does not end
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        executor = os.fork()
        if not executor:
            random.seed()
            if isinstance(wanted["die"], str):
                os.environ["DRPORTAL_FAILPOINT"] = f"{wanted['die']}:kill"
            drive(wanted["run"], pace)
            os._exit(0)
        status = keep(executor, wanted["die"])
        told = {"run": wanted["run"], "pid": executor, "killed": os.WIFSIGNALED(status)}
        os.write(1, json.dumps(told).encode() + b"\n")
        os._exit(0)


def keep(executor: int, die: Death) -> int:
    """Wait for its end, and bring that about when its time has come. Returns what ``waitpid`` does."""
    if isinstance(die, str) or die is None:
        return os.waitpid(executor, 0)[1]
    until = time.monotonic() + die
    while time.monotonic() < until:
        ended, status = os.waitpid(executor, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(executor, signal.SIGKILL)
    return os.waitpid(executor, 0)[1]


# --- for tests


@dataclass
class Life:
    """One run and how its executors shall die, one after the other; the last one lives."""

    run_id: int
    to_die: list[Death]
    deaths: int = 0
    executors: int = 0
    ended: bool = False
    said: list[dict[str, Any]] = field(default_factory=list)


class Nursery:
    """The program, for a test that has its database and a lab."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        words = [sys.executable, str(Path(__file__))]
        root = Path(__file__).resolve().parents[2]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                words, cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        assert "ready" in self._hear(60)

    def _hear(self, patience_s: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        # Lines are short and written at once; readline on the raw file never reads past one.
        ready, _, _ = select.select([self.process.stdout], [], [], patience_s)
        if not ready:
            os.killpg(self.process.pid, signal.SIGUSR1)
            raise TimeoutError(
                f"no executor came to an end within {patience_s:.0f} s; executors.log has where they are"
            )
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.process.stdout.fileno(), 1)
            assert byte, "the nursery has ended"
            line += byte
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _bear(self, life: Life) -> None:
        assert self.process.stdin is not None
        die = life.to_die.pop(0) if life.to_die else None
        life.executors += 1
        self.process.stdin.write(json.dumps({"run": life.run_id, "die": die}).encode() + b"\n")
        self.process.stdin.flush()

    def live(self, lives: Sequence[Life], patience_s: float = 120) -> None:
        """Until each run is over or rests, a few at a time. A dead executor's lease ends with it, as the worker above
        it would end it."""
        from drportal.recovery.lease import end_leases_of
        from drportal.recovery.models import Run

        waiting, living = list(lives), {}
        while waiting or living:
            while waiting and len(living) < AT_ONCE:
                life = waiting.pop(0)
                living[life.run_id] = life
                self._bear(life)
            try:
                told = self._hear(patience_s)
            except TimeoutError as late:
                raise AssertionError(f"{late}\n{standing_of(living)}") from late
            life = living[told["run"]]
            life.said.append(told)
            life.deaths += told["killed"]
            end_leases_of(told["pid"])
            driven = Run.objects.filter(pk=life.run_id, state__in=["approved", "running", "cancelling"]).exists()
            if driven and life.executors < 12:
                self._bear(life)
            else:
                life.ended = not driven
                del living[life.run_id]

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def standing_of(run_ids: Iterable[int]) -> str:
    """What each run has not done yet, in the words of its page."""
    from drportal.recovery.models import Step

    steps = Step.objects.filter(run_id__in=run_ids).exclude(state="succeeded").order_by("run_id", "pk")
    return "\n".join(f"run {step.run_id}: {step.kind} {step.params} is {step.state}: {step.sentence}" for step in steps)


@contextlib.contextmanager
def nursery(env: dict[str, str], log: Path) -> Iterator[Nursery]:
    made = Nursery(env, log)
    try:
        yield made
    finally:
        made.stop()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # as for manage.py; the modules beside this file hide others
    serve()
