"""The programs that the real lab runs for itself."""

from __future__ import annotations

import pytest

from drportal.lab.ceph.processes import run
from drportal.lab.control import LabError


async def test_a_warning_is_no_part_of_the_answer() -> None:
    assert await run(["sh", "-c", "echo a warning >&2; echo '{}'"]) == "{}\n"


async def test_a_failure_is_told_with_all_that_was_printed() -> None:
    with pytest.raises(LabError, match=r"exit code 3: (?s:.*)no such pool"):
        await run(["sh", "-c", "echo asking; echo no such pool >&2; exit 3"])


async def test_what_takes_too_long_is_killed_and_called_so() -> None:
    with pytest.raises(LabError, match="was killed"):
        await run(["sleep", "60"], timeout_s=0.2)
