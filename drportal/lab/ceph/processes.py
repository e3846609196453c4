"""Processes of the lab: started so that they die with it, and signalled only while they are still the same ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from drportal.lab.control import LabError

T = TypeVar("T")
Alive = Literal["running", "hung", "dead"]
_TAIL_LINES = 12


def clean_env(**extra: str) -> dict[str, str]:
    """The caller's environment without anything that would redirect Ceph's programs to another cluster."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("CEPH_")}, **extra}


async def run(argv: Sequence[str | Path], *, timeout_s: float = 60.0) -> str:
    """A short program of our own; what it prints on standard output, without the warnings that Ceph's clients now and
    then have. Raises LabError with both outputs if it fails or is not done in time.
    """
    words = [str(word) for word in argv]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_env(),
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LabError(f"{' '.join(words)} was not done after {timeout_s:.0f} s and was killed.") from None
    if process.returncode:
        said = (out + errors).decode(errors="replace").strip()[-2000:]
        raise LabError(f"{' '.join(words)} ended with exit code {process.returncode}: {said}")
    return out.decode(errors="replace")


async def wait_until(what: str, ready: Callable[[], Awaitable[T]], timeout_s: float, every_s: float = 0.05) -> T:
    """Ask until the answer is true; return it. Raises LabError after `timeout_s`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while True:
        if got := await ready():
            return got
        if loop.time() > until:
            raise LabError(f"Not within {timeout_s:.0f} s: {what}.")
        await asyncio.sleep(every_s)


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid with its start time (clock ticks since boot, proc(5)), so that a pid used again is never hit."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        found = _stat(pid)
        return cls(pid, found[2]) if found else None

    def alive(self) -> Alive:
        found = _stat(self.pid)
        if not found or found[2] != self.start or found[0] in "ZX":
            return "dead"
        return "hung" if found[0] in "Tt" else "running"

    def send(self, number: signal.Signals) -> None:
        if self.alive() != "dead":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int) -> tuple[str, int, int, str] | None:
    """(state, parent, start time, program name), or None when there is no such process: proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return fields[0], int(fields[1]), int(fields[19]), head.partition("(")[2]


def family(root: ProcessId, program: str | None = None) -> list[ProcessId]:
    """The process and all that descend from it; with `program`, only those of that name."""
    if root.alive() == "dead":
        return []
    table = {
        int(entry.name): found
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (found := _stat(int(entry.name)))
    }
    members, todo = [], [root.pid]
    while todo:
        pid = todo.pop()
        if pid in table:
            if program in (None, table[pid][3]):
                members.append(ProcessId(pid, table[pid][2]))
            todo += [child for child, found in table.items() if found[1] == pid]
    return members


class Daemon:
    """A program of a site. Start it from the main thread: its death signal comes when the starting *thread* ends."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, cwd: Path) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.cwd = cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.id: ProcessId | None = None

    def start(self) -> None:
        """In a session of its own; the kernel kills it when the lab's process dies, however that happens."""
        self._spawn(subprocess.DEVNULL, None)

    def _spawn(self, stdin: int, stdout: int | None) -> subprocess.Popen[bytes]:
        """`stdout` None: into the log, where standard error always goes."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=out,
                cwd=self.cwd,
                start_new_session=True,
                env=clean_env(),
            )
        self.id = ProcessId.of(self.process.pid)
        return self.process

    def alive(self) -> Alive:
        if self.process is not None:
            self.process.poll()
        return self.id.alive() if self.id else "dead"

    def check(self) -> None:
        """Raises LabError with the end of its logs when it is dead."""
        if self.alive() != "dead":
            return
        lines: list[str] = []
        for path in (self.log.with_suffix(".log"), self.log):
            with contextlib.suppress(FileNotFoundError):
                lines += path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        raise LabError(f"{self.name} died; the end of its logs:\n  " + "\n  ".join(lines))

    def members(self, program: str | None = None) -> list[ProcessId]:
        return family(self.id, program) if self.id else []

    def hang(self) -> None:
        for member in self.members():
            member.send(signal.SIGSTOP)

    def thaw(self) -> None:
        for member in self.members():
            member.send(signal.SIGCONT)


async def kill_hard(daemons: Sequence[Daemon], *, program: str | None = None, timeout_s: float = 15.0) -> None:
    """SIGKILL them and all that descends from them (with `program`: only what has that name); return when gone."""
    for daemon in daemons:
        if daemon.id:
            daemon.id.send(signal.SIGSTOP)  # frozen first, so that it has no more children meanwhile
    victims = [member for daemon in daemons for member in daemon.members(program)]
    for victim in victims:
        victim.send(signal.SIGKILL)

    async def gone() -> bool:
        return all(daemon.alive() == "dead" for daemon in daemons) and all(v.alive() == "dead" for v in victims)

    await wait_until("the killed processes are gone", gone, timeout_s, 0.02)
