"""The lab's side of `librbd_worker`: one per site, started when the cluster answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from drportal.lab.ceph.processes import Daemon
from drportal.lab.control import LabError

SYSTEM_PYTHON = "/usr/bin/python3"
_PROGRAM = Path(__file__).with_name("librbd_worker.py")


class WorkerError(LabError):
    """The cluster refused or did not answer. `errno` is 0 when it was neither an errno of Ceph nor of the system."""

    def __init__(self, text: str, errno: int = 0) -> None:
        super().__init__(text)
        self.errno = errno


class Worker(Daemon):
    """A Daemon with a conversation. Requests may come from any thread."""

    def __init__(self, conf: Path, pool: str, log: Path, *, guest_writes: bool) -> None:
        argv: list[str | Path] = [SYSTEM_PYTHON, "-I", _PROGRAM, conf, pool]
        argv += ["--guest-writes"] if guest_writes else []
        super().__init__("the site's librbd client", argv, log, log.parent)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        process = self._spawn(subprocess.PIPE, subprocess.PIPE)
        self._waiting = {0: Future()}
        threading.Thread(target=self._listen, args=(process, self._waiting), daemon=True).start()

    async def connected(self, timeout_s: float = 30.0) -> None:
        """Raises LabError if the cluster does not take it in time."""
        await self._wait(self._waiting[0], "connect", timeout_s)

    def _listen(self, process: subprocess.Popen[bytes], waiting: dict[int, Future[Any]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            reply = json.loads(line)
            future = waiting.pop(reply["id"], None) if reply["id"] else waiting.get(0)
            if future is None or future.done():
                continue
            if "error" in reply:
                future.set_exception(WorkerError(reply["error"], reply["errno"]))
            else:
                future.set_result(reply["result"])
        for future in list(waiting.values()):
            if not future.done():
                future.set_exception(WorkerError("The site's librbd client is gone."))

    def send(self, verb: str, **args: Any) -> Future[Any]:
        """The answer to come. A dead client answers with WorkerError."""
        future: Future[Any] = Future()
        process, number = self.process, next(self._numbers)
        if process is None or self.alive() == "dead":
            future.set_exception(WorkerError("The site's librbd client is dead."))
            return future
        assert process.stdin is not None
        with self._lock:
            self._waiting[number] = future
            try:
                process.stdin.write(json.dumps({"id": number, "verb": verb, "args": args}).encode() + b"\n")
                process.stdin.flush()
            except OSError as error:
                self._waiting.pop(number, None)
                future.set_exception(WorkerError(f"The site's librbd client is gone ({error})."))
        return future

    async def ask(self, verb: str, *, timeout_s: float = 30.0, **args: Any) -> Any:
        """Raises WorkerError."""
        return await self._wait(self.send(verb, **args), verb, timeout_s)

    async def _wait(self, future: Future[Any], verb: str, timeout_s: float) -> Any:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except TimeoutError:
            raise WorkerError(f"The cluster did not answer within {timeout_s:.0f} s ({verb}).", 110) from None

    def ask_now(self, verb: str, *, timeout_s: float = 5.0, **args: Any) -> Any:
        """The same for callers that cannot wait in a loop. Raises WorkerError."""
        if self.alive() == "hung":
            raise WorkerError("The site's librbd client hangs.", 110)
        try:
            return self.send(verb, **args).result(timeout_s)
        except TimeoutError:
            raise WorkerError(f"The cluster did not answer within {timeout_s:.0f} s ({verb}).", 110) from None
