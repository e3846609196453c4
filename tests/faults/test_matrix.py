"""The fault matrix (docs/faults.md): every row is there, says what happens, and names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
    if re.match(r"\| F\d+ ", line)
]


def test_no_row_is_missing() -> None:
    assert [row[0] for row in ROWS] == [f"F{number}" for number in range(1, 38)]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_a_fault_says_what_happens_and_names_its_tests(row: list[str]) -> None:
    _, fault, happens, tests = row
    assert len(fault) > 10
    assert len(happens) > 20
    named = NAMED.findall(tests)
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^\s*(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert not missing
