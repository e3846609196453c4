"""The product's own failpoints: they kill where a test asked for it, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from drportal.recovery.failpoints import failpoint; failpoint('image.demote', 'P1')"
ASKED = {"DRPORTAL_TESTING": "1", "DRPORTAL_FAILPOINT": "image.demote:P1:kill"}


def end_of(**env: str) -> int:
    return subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **env}).returncode


def test_it_kills_the_process_where_a_test_asks_for_it() -> None:
    assert end_of(**ASKED) == -signal.SIGKILL


@pytest.mark.parametrize(
    "changed",
    [{"DRPORTAL_TESTING": ""}, {"DRPORTAL_FAILPOINT": "image.demote:P2:kill"}, {"DRPORTAL_FAILPOINT": ""}],
)
def test_it_never_kills_outside_a_test_or_elsewhere(changed: dict[str, str]) -> None:
    assert end_of(**{**ASKED, **changed}) == 0


def test_it_fires_once_where_a_file_says_so(tmp_path: Path) -> None:
    once = {"DRPORTAL_FAILPOINT_ONCE": str(tmp_path / "spent")}
    assert [end_of(**ASKED, **once), end_of(**ASKED, **once)] == [-signal.SIGKILL, 0]
