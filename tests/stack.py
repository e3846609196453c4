"""The whole portal as real processes, for the tests that need it whole: Redis, web, worker, poller, and a lab.

with LabProcess("embedded", folder / "lab", vms=3) as lab, PortalStack(folder, lab) as portal:
    operator = portal.client("operator")
    operator.get("/plans")
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from cryptography.fernet import Fernet

from drportal.demo import free_port, redis_program
from drportal.lab.control import LabClient
from tests.migrated import copied_to

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "portal.sqlite3"


def wait_until(what: str, ready: Callable[[], Any], patience_s: float, every_s: float = 0.1) -> Any:
    """Poll until true and return that; AssertionError with ``what`` when it never is."""
    deadline = time.monotonic() + patience_s
    while True:
        got = ready()
        if got:
            return got
        assert time.monotonic() < deadline, f"not within {patience_s:.0f} s: {what}"
        time.sleep(every_s)


class Program:
    """One child process in a session of its own, its output in a file."""

    def __init__(self, name: str, argv: list[str], env: dict[str, str], log: Path, folder: Path = ROOT) -> None:
        self.name, self.argv, self.env, self.log, self.folder = name, argv, env, log, folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=self.env,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL the program itself, as a power cut of its container would; what it forked must look after itself."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, patience_s: float = 20.0) -> None:
        """Ask politely, then end the whole session."""
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class LabProcess:
    """A lab of the given kind, up before the block and gone after it."""

    def __init__(
        self, kind: str, folder: Path, *options: str, vms: int = 3, mode: str = "mixed", patience_s: float = 240
    ) -> None:
        argv = [
            sys.executable,
            "-m",
            "drportal.lab",
            "up",
            str(folder),
            "--kind",
            kind,
            "--vms",
            str(vms),
            "--mode",
            mode,
            *options,
        ]
        folder.mkdir(parents=True, exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith("CEPH_")}
        self.folder, self.patience_s = folder, patience_s
        self.program = Program("lab", argv, env, folder.parent / f"{folder.name}.log")
        self.client: LabClient

    def __enter__(self) -> Self:
        self.program.start()

        def up() -> bool:
            assert self.program.process and self.program.process.poll() is None, (
                f"the lab ended:\n{self.program.log.read_text()[-3000:]}"
            )
            return (self.folder / "lab.json").exists()

        try:
            wait_until("the lab is up", up, self.patience_s)
        except BaseException:
            self.program.stop()
            raise
        self.client = LabClient(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop(60)


class PortalClient:
    """A signed-in person, speaking to the API as the page does."""

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.base_url, self._password = base_url, password
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.get(f"{base_url}/api/v1/session", timeout=20)
        self.post("/session", {"username": username, "password": password})

    def get(self, path: str) -> Any:
        return self._checked(self.session.get(f"{self.base_url}/api/v1{path}", timeout=180))

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        return self._checked(self.raw("POST", path, body, **headers))

    def raw(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> requests.Response:
        """Any request, any answer. Asked for the password again, it gives it once and repeats, as a person would.

        Long measurements outlive the proof of signing in. Repeating is safe: the question comes before the act.
        """
        answer = self._send(method, path, body, headers)
        if _asks_for_password(answer):
            self._checked(self._send("POST", "/session/proof", {"password": self._password}, {}))
            answer = self._send(method, path, body, headers)
        return answer

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> requests.Response:
        token = self.session.cookies.get("csrftoken") or ""
        sent = {"X-CSRFToken": token, "Referer": self.base_url, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.session.request(method, f"{self.base_url}/api/v1{path}", json=body, headers=sent, timeout=180)

    @staticmethod
    def _checked(answer: requests.Response) -> Any:
        assert answer.status_code < 400, (
            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:2000]}"
        )
        return answer.json() if answer.content else None


def _asks_for_password(answer: requests.Response) -> bool:
    if answer.status_code != 403 or "json" not in answer.headers.get("Content-Type", ""):
        return False
    return bool(answer.json().get("code") == "password_again")


class PortalStack:
    """Redis, web, worker and poller with a database of their own, knowing the lab's two sites and one plan."""

    def __init__(self, folder: Path, lab: LabProcess, **settings: str) -> None:
        self.folder = folder
        self.lab = lab
        self.web_port, self.redis_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.web_port}"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DRPORTAL_", "CEPH_"))},
            "DJANGO_SETTINGS_MODULE": "drportal.settings",
            "DRPORTAL_DEMO": "1",
            "DRPORTAL_TESTING": "1",
            "DRPORTAL_SECRET_KEY": "a key for tests only, long enough to be one" * 2,
            "DRPORTAL_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "DRPORTAL_DATABASE_URL": os.environ.get("DRPORTAL_TEST_DATABASE_URL") or f"sqlite:///{folder / DATABASE}",
            "DRPORTAL_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "DRPORTAL_POLL_INTERVAL": "2",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        python = sys.executable
        argv = {
            "redis": [
                redis_program(),
                "--port",
                str(self.redis_port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--loglevel",
                "warning",
            ],
            "web": [
                python,
                "-m",
                "uvicorn",
                "drportal.asgi:application",
                "--port",
                str(self.web_port),
                "--log-level",
                "warning",
            ],
            "worker": [python, "manage.py", "worker"],
            "poller": [python, "manage.py", "poller"],
        }
        self.programs = {name: Program(name, words, self.env, folder / f"{name}.log") for name, words in argv.items()}

    def __enter__(self) -> Self:
        try:
            self.programs["redis"].start()
            if self.env["DRPORTAL_DATABASE_URL"].startswith("sqlite"):
                copied_to(self.folder / DATABASE)
            else:
                self.manage("migrate", "--verbosity", "0")
            self.introduce()
            for name in ("web", "worker", "poller"):
                self.programs[name].start()
            wait_until("the web server answers", self.web_answers, 90)
            viewer = self.client("viewer")
            wait_until("a worker listens", lambda: viewer.get("/overview")["live"]["worker"], 90)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("poller", "worker", "web", "redis"):
            self.programs[name].stop()

    def introduce(self) -> None:
        """People, both sites, one plan."""
        self.manage("bootstrap_demo", str(self.lab.folder))

    def web_answers(self) -> bool:
        try:
            return requests.get(f"{self.base_url}/api/v1/session", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def manage(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.env, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, (
            f"manage.py {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def client(self, role: str) -> PortalClient:
        return PortalClient(self.base_url, role, self.password(role))

    def password(self, role: str) -> str:
        return f"{role}-demo"

    def wait_ready(self, client: PortalClient, plan_id: int, kind: str, patience_s: float = 180.0) -> None:
        """Until the plan is ready for a run of the kind: mirroring takes up to a minute to turn round after a move."""
        said: list[str] = []

        def ready() -> bool:
            answer = client.get(f"/plans/{plan_id}/readiness?kind={kind}")
            said[:] = [finding["sentence"] for finding in answer["findings"] if finding["severity"] == "block"]
            return bool(answer["state"] == "ready" and client.get("/overview")["live"]["worker"])

        try:
            wait_until(f"plan {plan_id} is ready for {kind}", ready, patience_s, 1.0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {' '.join(said) or 'no worker listens'}") from None

    def start_run(self, client: PortalClient, plan_id: int, kind: str, key: str, reason: str = "a test") -> int:
        """Ask for a run as the wizard does, with the phrase that its preview demands."""
        preview = client.get(f"/plans/{plan_id}/preview?kind={kind}")
        body = {
            "kind": kind,
            "plan_version": preview["plan_version"],
            "phrase": preview["phrase"],
            "reason": reason,
            "request_key": key,
            "accept_warnings": True,
            "discard_reason": "a test",
        }
        return int(client.post(f"/plans/{plan_id}/runs", body)["id"])

    def wait_run(
        self,
        client: PortalClient,
        run_id: int,
        patience_s: float,
        *,
        until: tuple[str, ...] = ("succeeded",),
        every_s: float = 0.5,
    ) -> dict[str, Any]:
        """Wait until the run is in one of the states; fail at once, with its own words, when it stops in another."""
        resting = {"succeeded", "succeeded_with_exceptions", "failed", "aborted", "paused"}

        def there() -> dict[str, Any] | None:
            try:
                run: dict[str, Any] = client.get(f"/runs/{run_id}")
            except (requests.ConnectionError, requests.ReadTimeout):
                return None
            if run["state"] in until:
                return run
            assert run["state"] not in resting, (
                f"run {run_id} is {run['state']}: {run['sentence']}\n{json.dumps(run['tally'])}"
            )
            return None

        result: dict[str, Any] = wait_until(f"run {run_id} is {' or '.join(until)}", there, patience_s, every_s)
        return result


class EmptyPortal(PortalStack):
    """A portal on its first day: people, but no site and no plan. The lab is there and nobody has told it of it."""

    def introduce(self) -> None:
        self.env |= {"DRPORTAL_PERSON_PASSWORD": "correct horse battery staple"}
        for role in ("administrator", "operator", "viewer"):
            self.manage("person", "add", role, "--role", role)

    def password(self, role: str) -> str:
        return self.env["DRPORTAL_PERSON_PASSWORD"]
