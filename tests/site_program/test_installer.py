"""The installer by itself: whole or not at all, beside before instead of, and undone whatever came when."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program.assemble import installer_text
from drportal.site_program.installer import PROGRAM, perform

OLD, NEW = "ssh-ed25519 AAAAold comment", "ssh-ed25519 AAAAnew"
OTHERS = "ssh-ed25519 AAAAsomebody somebody@else\n"


def install(home: Path, program: str, attempt: str, *, key: str = OLD) -> dict[str, Any]:
    keys = {"read": key, "act": key + "2"}
    arguments = {"read": ["--pool", "one"], "act": ["--pool", "one", "--force-promote", "deposited"]}
    request = {"do": "install", "program": program, "attempt": attempt, "keys": keys, "arguments": arguments}
    return perform(request, str(home))


def keep(home: Path, do: str, key: str, attempt: str = "x") -> dict[str, Any]:
    return perform({"do": do, "attempt": attempt, "keys": {"read": key, "act": key + "2"}}, str(home))


def lines(home: Path) -> list[str]:
    return [line for line in (home / ".ssh" / "authorized_keys").read_text().splitlines() if "drportal-site:" in line]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text(OTHERS)
    return tmp_path


def test_the_new_lies_beside_the_old_until_it_is_settled(home: Path) -> None:
    install(home, "print(1)", "first")
    keep(home, "settle", OLD.replace(" comment", ""))
    assert len(lines(home)) == 2 and all("AAAAold" in line for line in lines(home))
    install(home, "print(2)", "second", key=NEW)
    assert [("AAAAold" in line, "AAAAnew" in line) for line in lines(home)] == [(True, False)] * 2 + [(False, True)] * 2
    keep(home, "settle", NEW)
    assert len(lines(home)) == 2 and all("AAAAnew" in line for line in lines(home))
    assert (home / PROGRAM).read_text() == "print(2)"
    assert [file.name for file in (home / PROGRAM).parent.iterdir()] == ["drportal-site.py"]
    assert (home / ".ssh" / "authorized_keys").read_text().startswith(OTHERS)


def test_undone_it_is_as_it_was(home: Path) -> None:
    install(home, "print(1)", "first", key=NEW)
    keep(home, "undo", OLD, "first")
    assert not (home / PROGRAM).exists() and lines(home) == []
    install(home, "print(1)", "second", key=NEW)
    keep(home, "settle", NEW)
    perform({"do": "upgrade", "program": "print(2)", "attempt": "third"}, str(home))
    keep(home, "undo", NEW, "third")
    assert (home / PROGRAM).read_text() == "print(1)" and len(lines(home)) == 2


def test_what_was_undone_before_it_began_never_begins(home: Path) -> None:
    """Its connection was lost, and its command arrives after the one that undoes it."""
    install(home, "print(1)", "first", key=NEW)
    keep(home, "settle", NEW)
    keep(home, "undo", NEW, "late")
    assert (home / PROGRAM).read_text() == "print(1)", "the file before an attempt that never was is left alone"
    with pytest.raises(ValueError, match="undone before it began"):
        install(home, "print(2)", "late")
    assert (home / PROGRAM).read_text() == "print(1)" and len(lines(home)) == 2


@pytest.mark.parametrize("room", [1, 100, 4096])
def test_a_disk_that_takes_only_a_part_changes_nothing(home: Path, room: int) -> None:
    """A limit on the size of a file does to a write what a nearly full disk does: a part, and only then an error."""
    small, large = "print(1)", "#" * 20_000
    install(home, small, "first", key=NEW)
    keep(home, "settle", NEW)
    before = (home / ".ssh" / "authorized_keys").read_text()
    request = {"do": "upgrade", "program": large, "attempt": "second"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", installer_text(), json.dumps(request)],
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert json.loads(done.stdout)["ok"] is False, done
    assert (home / PROGRAM).read_text() == small
    assert (home / ".ssh" / "authorized_keys").read_text() == before
    assert [file for file in home.rglob("*.new")] == [], "what was written in part is gone"


def test_keys_that_find_no_room_take_the_program_back_with_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(home, "print(1)", "first", key=NEW)
    keep(home, "settle", NEW)
    (home / ".ssh" / "authorized_keys").chmod(0o600)
    monkeypatch.setattr("drportal.site_program.installer._set_keys", _no_room)
    with pytest.raises(OSError, match="No space"):
        install(home, "print(2)", "second")
    assert (home / PROGRAM).read_text() == "print(1)"


def _no_room(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_word_that_a_shell_would_read_is_no_part_of_a_forced_command(home: Path) -> None:
    with pytest.raises(ValueError, match="forced command"):
        perform({"do": "install", "program": "x", "attempt": "a", "keys": {"read": NEW},
                 "arguments": {"read": ['"; id']}}, str(home))  # fmt: skip
    assert (home / ".ssh" / "authorized_keys").read_text() == OTHERS and not (home / PROGRAM).exists()
