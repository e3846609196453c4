"""Guards that no model can stand in for, because a database, a lab or a process does: taken out of the product one by
one, and the invariant's own test fails. The others are taken out in ``engine/test_people_seeded.py`` and
``engine/test_machine.py``, and the trail's in ``audit/test_tampering.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.seeded import BUGS

ROOT = Path(__file__).resolve().parent.parent
CAUGHT = {
    "I2 force_without_a_warrant": "tests/test_force_is_built_once.py::test_that_place_demands_an_approval",
    "I8 act_without_an_entry": (
        "tests/recovery/test_executor.py::"
        "test_every_act_is_in_the_trail_before_it_happens_and_what_was_shown_is_what_was_sent"
    ),
    "I9 forget_what_was_made": (
        "tests/recovery/test_executor.py::test_a_creation_whose_answer_was_lost_makes_no_second_vm"
    ),
    "I10 show_what_is_old_as_fresh": (
        "tests/inventory/test_images.py::test_without_a_poller_nothing_is_called_protected"
    ),
    "I12 no_index_of_active_runs": (
        "tests/recovery/test_runs.py::test_the_database_itself_refuses_a_second_active_run"
    ),
    "I13 believe_at_once_that_it_ended": (
        "tests/faults/test_lab_faults.py::"
        "test_an_act_that_outlasts_our_patience_is_unknown_and_nothing_second_is_sent[a-demote]"
    ),
    "I15 retire_at_any_time": (
        "tests/recovery/test_executor.py::test_no_copy_is_retired_while_its_vm_does_not_run_at_home"
    ),
}


def test_every_bug_is_planted() -> None:
    assert {name.split()[1] for name in CAUGHT} == set(BUGS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT)
def test_it_is_caught(name: str) -> None:
    env = {**os.environ, "SEEDED_BUG": name.split()[1]}
    env.pop("PYTEST_ADDOPTS", None)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.seeded", "-p", "no:cacheprovider", CAUGHT[name]]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3000:] + done.stderr[-2000:]
    ended = re.search(r"^\d+ failed(, \d+ warnings?)? in ", done.stdout, re.MULTILINE)
    assert ended, f"all of it shall fail, and nothing break down: {done.stdout[-500:]}"
