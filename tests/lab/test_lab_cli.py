"""`python -m drportal.lab` as a person or a script uses it: one real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drportal.lab import cli
from drportal.lab.control import FILE_NAME

ROOT = Path(__file__).resolve().parents[2]


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "drportal.lab", "up", str(directory), "--speed", "30", *options]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until = time.monotonic() + 20
    while not (directory / FILE_NAME).exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
        time.sleep(0.05)
    return process


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    process = start(tmp_path)
    yield tmp_path, process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=10)


def lab(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(running: tuple[Path, subprocess.Popen[str]], number: signal.Signals) -> None:
    directory, process = running
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0, out
    assert not (directory / FILE_NAME).exists()
    assert out.rstrip().endswith("The embedded lab is down.") and "Traceback" not in out and "never" not in out


def test_its_commands_show_break_and_mend(
    running: tuple[Path, subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, process = running
    where = str(directory)
    assert lab(capsys, "write", where, "a", "one-10", "seed")[0] == 0
    code, first, _ = lab(capsys, "checksum", where, "a", "one-10")
    assert code == 0 and len(first.strip()) == 64
    time.sleep(1)
    assert lab(capsys, "checksum", where, "b", "one-10")[1] == first
    assert lab(capsys, "fail", where, "b", "command-fails", "--option", "match=promote", "--option", "exit=7")[0] == 0
    status = json.loads(lab(capsys, "status", where, "--json")[1])
    assert status["sites"]["b"]["faults"] == {"command-fails": {"match": "promote", "exit": "7"}}
    assert "fault command-fails" in lab(capsys, "status", where)[1]
    assert lab(capsys, "restore", where, "b")[0] == 0
    assert json.loads(lab(capsys, "status", where, "--json")[1])["sites"]["b"]["faults"] == {}
    created = lab(capsys, "image", where, "a", "new-disk", "--create", "snapshot", "--size-mib", "4")
    assert created[0] == 0 and json.loads(created[1])["mode"] == "snapshot"
    assert lab(capsys, "down", where)[0] == 0
    assert process.wait(10) == 0


def test_it_refuses_with_a_sentence_and_exit_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = lab(capsys, "status", str(tmp_path))
    assert code == 1 and "No lab is up" in err
    code, _, err = lab(capsys, "up", str(tmp_path), "--speed", "0")
    assert code == 1 and "Nothing was started" in err


def test_a_killed_lab_leaves_nothing_that_misleads_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = start(tmp_path)
    kept = json.loads((tmp_path / FILE_NAME).read_text())["sites"]
    first.kill()
    first.communicate()
    code, _, err = lab(capsys, "status", str(tmp_path))
    assert code == 1 and "does not answer" in err
    assert lab(capsys, "up", str(tmp_path), "--background", "--speed", "30")[0] == 0
    data = json.loads((tmp_path / FILE_NAME).read_text())
    assert data["sites"] == kept and data["pid"] != first.pid
    assert lab(capsys, "down", str(tmp_path))[0] == 0
    os.waitpid(data["pid"], 0)


def test_the_real_lab_is_only_loaded_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    class Commands:
        @staticmethod
        def main(argv: list[str]) -> int:
            seen.append(argv)
            return 3

    monkeypatch.setattr(
        cli.importlib, "import_module", lambda name: Commands if name == "drportal.lab.ceph.commands" else None
    )
    assert cli.main(["up", "/nowhere", "--kind", "ceph", "--vms", "2"]) == 3
    assert cli.main(["up", "/nowhere", "--kind=ceph"]) == 3
    assert seen == [["up", "/nowhere", "--kind", "ceph", "--vms", "2"], ["up", "/nowhere", "--kind=ceph"]]
