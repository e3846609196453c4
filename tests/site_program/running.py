"""The site program as a process of its own, spoken to over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from drportal.site_program.assemble import program_text

SYSTEM_PYTHON = "/usr/bin/python3"
POINTS = ("before-intent", "after-intent", "before-act", "during-act", "after-act", "before-receipt", "before-answer")
# In place of the program's own at_point, which does nothing.
_POINTED = """
def at_point(point, verb):
    import signal
    wanted, act, number = os.environ["TEST_POINT"].split(" ")
    if point != wanted or verb != act:
        return
    # to this very thread: sent to the process, another may take it while this one passes the point
    hit = lambda: signal.pthread_kill(threading.get_ident(), int(number))
    if point != "during-act":
        hit()
    elif os.environ.get("TEST_BEGUN"):
        threading.Thread(target=_once_begun, args=(hit,), daemon=True).start()
    else:
        threading.Timer(0.02, hit).start()

def _once_begun(hit):
    while not os.path.exists(os.environ["TEST_BEGUN"]):
        time.sleep(0.005)
    hit()

"""
# Every start of something that changes Ceph. OpenImage.act hands a mirror snapshot on to run_act.
_COUNTED = """
def _noting(method, told):
    def noting(self, *words):
        line = told(self, *words)
        if line:
            with open(os.environ["TEST_CALLS"], "a") as calls:
                calls.write(line + "\\n")
        return method(self, *words)
    return noting

if os.environ.get("TEST_CALLS"):
    Clients.run_act = _noting(Clients.run_act, lambda self, program, words, *_: " ".join(words))
    OpenImage.act = _noting(
        OpenImage.act, lambda self, verb, lock: "" if verb == "mirror-snapshot" else verb + " one/" + self._image
    )

"""
_MAIN = 'if __name__ == "__main__":'


def pointed_text() -> str:
    """The program, signalling itself at the point of the verb that TEST_POINT names: ``POINT VERB SIGNAL``.

    ``during-act``: once the file TEST_BEGUN is there; without one after 20 ms. TEST_CALLS: a file for what it starts.
    """
    before, found, after = program_text().rpartition(_MAIN)
    assert found
    return before + _POINTED + _COUNTED + _MAIN + after


class SiteProcess:
    """One conversation. ``python`` is the portal's where the bindings do not matter: it needs no Debian package."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        env: dict[str, str] | None = None,
        rights: str = "act",
        point: str = "",
        python: str = sys.executable,
        state: str = "state",
    ) -> None:
        self.point = point
        file = folder / f"program-{uuid.uuid4().hex}.py"
        pointed = point or (env or {}).get("TEST_CALLS")
        file.write_text(pointed_text() if pointed else program_text())
        argv = [python, "-I", str(file), "--rights", rights, "--state", str(folder / state), *arguments]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {}), "TEST_POINT": point or "- - 0"},
            start_new_session=True,
        )
        self._answers: dict[Any, list[dict[str, Any]]] = {}
        self._arrived = threading.Condition()
        self.lines = 0
        self.too_quick = False
        self._heard = b""
        self._deaf, self._deafen = os.pipe()
        line = self._line()
        self.hello: dict[str, Any] = json.loads(line) if line else {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def _line(self) -> bytes:
        """The next line that it says; empty when it says no more, or nobody listens any more."""
        while b"\n" not in self._heard:
            ready = select.select([self.process.stdout, self._deaf], [], [])[0]
            more = b"" if self._deaf in ready else os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                return b""
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _listen(self) -> None:
        while line := self._line():
            content = json.loads(line)
            with self._arrived:
                self.lines += 1
                self._answers.setdefault(content["id"], []).append(content)
                self._arrived.notify_all()
        with self._arrived:
            self._answers.setdefault("the end", []).append({})
            self._arrived.notify_all()

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, verb: str, **fields: Any) -> str:
        number = uuid.uuid4().hex
        self.write(json.dumps({"v": 1, "id": number, "verb": verb, **fields}).encode() + b"\n")
        return number

    def answer(self, number: str | None, patience_s: float = 60.0) -> dict[str, Any]:
        """The last line of the answer; AssertionError when the program ends or stays silent."""
        ends = time.monotonic() + patience_s
        with self._arrived:
            while True:
                found = [line for line in self._answers.get(number, []) if "ok" in line]
                if found:
                    return self._answers.pop(number)[-1]
                assert "the end" not in self._answers, "the program ended without an answer"
                assert self._arrived.wait(max(0.0, ends - time.monotonic())), "no answer"

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        return self.answer(self.send(verb, **fields))

    def refused(self, verb: str, **fields: Any) -> dict[str, Any]:
        """The error of a request that must fail."""
        answer = self.ask(verb, **fields)
        assert answer["ok"] is False, answer
        error: dict[str, Any] = answer["error"]
        return error

    def receipt(self, op: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask("receipt", op=op, **fields)
        assert answer["ok"], answer
        found: dict[str, Any] = answer["receipt"]
        return found

    def wait(self, patience_s: float = 30.0) -> int:
        return self.process.wait(patience_s)

    def stopped(self, patience_s: float = 90.0) -> None:
        """Until the process has been stopped by SIGSTOP; at once if it was too quick for the point ``during-act``."""
        self._comes_to_the_point(lambda: state_of(self.process.pid)[0] == "T", patience_s)

    def clients(self) -> list[int]:
        """The processes that it has started and that are still there."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if entry.name.isdigit() and int(state_of(int(entry.name))[1]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def killed(self, patience_s: float = 90.0) -> None:
        """Until the process has killed itself, or was killed now because it was too quick for ``during-act``."""
        self._comes_to_the_point(lambda: self.process.poll() is not None, patience_s)
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def _comes_to_the_point(self, there: Callable[[], bool], patience_s: float) -> None:
        ends = time.monotonic() + patience_s
        while not there():
            said = [line for lines in self._answers.values() for line in lines if "ok" in line]
            if said and self.point.startswith("during-act "):
                self.too_quick = True
                return
            assert not said, f"it passed the point, and answered {said}"
            assert time.monotonic() < ends, "it did not come to the point"
            time.sleep(0.01)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def hang_up(self) -> None:
        """As when the connection is cut: nobody writes to it, and nobody reads what it says."""
        if self.process.stdout.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        os.write(self._deafen, b"!")
        self._listener.join()
        self.process.stdout.close()
        os.close(self._deaf)
        os.close(self._deafen)

    def nobody_reads(self) -> bool:
        """Whether what it says now is answered with EPIPE: tried on its own standard output."""
        told = os.open(f"/proc/{self.process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(told, b"?")
        except BrokenPipeError:
            return True
        finally:
            os.close(told)
        return False


def state_of(process: int) -> list[str]:
    """From its state on: the state's letter, then its parent (proc(5))."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
