"""CI runs again what failed beside others, and nothing else is forgiven."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import count_results, once_more

LOG = """\
FAILED tests/faults/test_a.py::test_one[P1-a b] - AssertionError: not within 60 s
============ 1 failed, 10 passed, 2 skipped in 100.00s (0:01:40) ============
make: *** [Makefile:50: test-python] Error 1
.venv/bin/python tests/with_postgres.py .venv/bin/pytest -n 3 tests/audit
ERROR tests/audit/test_b.py::test_two
============ 4 passed, 1 error in 10.00s ============
make: *** [Makefile:53: test-postgres] Error 1
 Tests  7 passed (7)
"""


def test_what_failed_is_found_with_the_database_it_failed_on() -> None:
    assert once_more.failed_in(LOG) == (
        ["tests/faults/test_a.py::test_one[P1-a b]"],
        ["tests/audit/test_b.py::test_two"],
        {"test-python", "test-postgres"},
    )


@pytest.mark.parametrize(
    "log",
    [
        LOG + "make: *** [Makefile:56: test-frontend] Error 1\n",
        LOG.replace("FAILED", "\n".join(f"FAILED tests/a.py::test_{n}" for n in range(8)) + "\nFAILED"),
        "make: *** [Makefile:50: test-python] Error 3\n",
        "",
    ],
    ids=["another part", "too many", "no test", "nothing"],
)
def test_what_is_no_accident_is_not_tried_again(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(once_more.subprocess, "run", lambda *words, **more: pytest.fail("it was tried again"))
    file = tmp_path / "log"
    file.write_text(log)
    assert once_more.main(str(file)) == 1
    assert "Not tried again" in capsys.readouterr().out


@pytest.mark.parametrize(("body", "status"), [("assert True", 0), ("assert False", 1)])
def test_a_test_that_fails_twice_fails(body: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(f"def test_it():\n    {body}\n")
    log = tmp_path / "log"
    log.write_text("FAILED tests/test_it.py::test_it - x\nmake: *** [Makefile:50: test-python] Error 1\n")
    monkeypatch.setattr(once_more, "PYTEST", str(Path(sys.executable).parent / "pytest"))
    for name in ("DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS"):  # of the run that this is in: there is no Django there
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert once_more.main(str(log)) == status


def test_what_failed_on_postgresql_is_tried_there_with_the_python_that_has_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI calls the script with the system's Python, which has none."""
    log, called = tmp_path / "log", []
    log.write_text(LOG)
    monkeypatch.setattr(
        once_more.subprocess, "run", lambda words: called.append(words) or subprocess.CompletedProcess(words, 0)
    )
    assert once_more.main(str(log)) == 0
    assert called[0] == [".venv/bin/pytest", "-p", "no:cacheprovider", "tests/faults/test_a.py::test_one[P1-a b]"]
    assert called[1][:3] == [".venv/bin/python", "tests/with_postgres.py", ".venv/bin/pytest"]
    assert called[1][-1] == "tests/audit/test_b.py::test_two"


def test_the_count_is_that_of_both_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    first.write_text(LOG)
    tried = ("tests/faults/test_a.py::test_one[P1-a b]", "tests/audit/test_b.py::test_two")
    mended = "".join(f"{count_results.MENDED}{name}\n" for name in tried)
    again.write_text(f"============ 2 passed in 3.00s ============\n{mended}")
    assert count_results.main(str(first), str(again)) == 0
    assert capsys.readouterr().out == "23 passed, 0 failed, 2 skipped\n"
    again.write_text("============ 1 failed, 1 passed in 3.00s ============\n")
    count_results.main(str(first), str(again))
    assert capsys.readouterr().out.splitlines() == [
        *(f"Failed: {name}" for name in tried),
        "22 passed, 1 failed, 2 skipped",
    ]


def test_what_failed_is_named_at_the_end_whatever_part_it_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    name = "src/pages/scopedOperator.test.tsx > the card of a person > says where a right holds - and where not"
    vitest = f"\x1b[41m\x1b[1m FAIL \x1b[22m\x1b[49m {name}\n Tests  1 failed | 6 passed (7)\n"
    first.write_text(LOG.replace(" Tests  7 passed (7)\n", 2 * vitest))
    again.write_text("Not tried again: 2 failed, in test-frontend, test-python.\n")
    count_results.main(str(first), str(again))
    assert f"Failed: {name}\n" in capsys.readouterr().out
