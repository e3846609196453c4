"""``make audit``: with stand-ins for pip-audit and npm that print what those print."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from tests.audit_dependencies import ROOT, NotTold, asked, exceptions, main

TODAY = dt.date(2026, 11, 23)
SKIPPED = {"name": "x", "skip_reason": "not found on PyPI"}
CLEAN_PYTHON = {"dependencies": [{"name": "rq", "version": "3.0.0", "vulns": []}]}
HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["9"], "aliases": ["CVE-2026-1", "GHSA-aaaa"], "description": "reads all"}
BAD_PYTHON = {"dependencies": [{"name": "rq", "version": "3.0.0", "vulns": [HOLE]}]}
CLEAN_NODE: dict[str, object] = {"vulnerabilities": {}}
VIA = {"source": 1, "name": "vite", "title": "Serves all", "url": "https://github.com/advisories/GHSA-bbbb"}
BAD_NODE = {"vulnerabilities": {"vite": {"via": [VIA]}, "plugin": {"via": ["vite"]}}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "frontend").mkdir()
    (tmp_path / "audit-exceptions.toml").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    stand_in(tmp_path, "pip-audit", CLEAN_PYTHON)
    stand_in(tmp_path, "npm", CLEAN_NODE)
    return tmp_path


def stand_in(folder: Path, name: str, told: object, stderr: str = "") -> None:
    answer = folder / f"{name}.json"
    answer.write_text(told if isinstance(told, str) else json.dumps(told))
    program = folder / "bin" / name
    program.write_text(f"#!/bin/sh\ncat {answer}\necho '{stderr}' >&2\nexit 1\n")
    program.chmod(0o755)


def test_without_holes_it_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(folder, TODAY) == 0
    assert capsys.readouterr().out == "Python: 0 known holes, 0 excepted\nNode: 0 known holes, 0 excepted\n"


@pytest.mark.parametrize(("name", "told", "word"), [("pip-audit", BAD_PYTHON, "rq"), ("npm", BAD_NODE, "vite")])
def test_a_hole_fails_and_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, told: object, word: str
) -> None:
    stand_in(folder, name, told)
    assert main(folder, TODAY) == 1
    assert f"\n- {word} [" in capsys.readouterr().out


@pytest.mark.parametrize(("until", "status"), [("2026-11-23", 0), ("2026-11-22", 1)])
@pytest.mark.parametrize("name", ["PYSEC-2026-1", "GHSA-aaaa"])
def test_an_exception_holds_until_its_day(folder: Path, until: str, status: int, name: str) -> None:
    stand_in(folder, "pip-audit", BAD_PYTHON)
    exception = f'[[exception]]\nid = "{name}"\nwhy = "not reached"\nuntil = {until}\n'
    (folder / "audit-exceptions.toml").write_text(exception)
    assert main(folder, TODAY) == status


@pytest.mark.parametrize(
    ("name", "told", "stderr"),
    [
        ("npm", {"message": "request to https://registry.npmjs.org failed", "error": {"code": "ENOTFOUND"}}, ""),
        ("npm", "", "npm error network"),
        ("pip-audit", "", "ERROR: Failed to connect to pypi.org"),
        ("pip-audit", {"dependencies": [SKIPPED, SKIPPED]}, "No known vulnerabilities found"),
    ],
)
def test_without_a_network_it_says_so_and_does_not_fail(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, told: object, stderr: str
) -> None:
    stand_in(folder, name, told, stderr)
    assert main(folder, TODAY) == 0
    assert "NOT CHECKED, nothing is known about holes: " in capsys.readouterr().out


def test_a_source_that_does_not_answer_is_not_waited_for(folder: Path) -> None:
    (folder / "bin" / "npm").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(NotTold, match=r"did not answer within 0\.2 s"):
        asked(["npm", "audit"], folder, patience_s=0.2)


def test_ci_audits_each_time_and_fails_for_what_it_finds() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert '\nmake audit >"$audit_log" 2>&1 &\nauditing=$!\n' in script
    assert '\nwait "$auditing" || audited=$?\n' in script
    assert "status=$audited" in script


def test_what_was_skipped_is_not_called_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(folder, "pip-audit", {"dependencies": [*CLEAN_PYTHON["dependencies"], SKIPPED]})
    assert main(folder, TODAY) == 0
    assert "Python: NOT CHECKED 1 of 2 (x): not found on PyPI\n" in capsys.readouterr().out


def test_the_recorded_exceptions_can_be_read() -> None:
    live, over = exceptions(dt.date(2000, 1, 1), ROOT / "audit-exceptions.toml")
    assert over == []
    assert isinstance(live, set)
