"""The table of invariants names tests: each of them is there, and every invariant has some."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = (ROOT / "docs" / "invariants.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_invariant_names_tests_that_are_there() -> None:
    rows = {line.split("|")[1].strip(): line for line in TABLE.splitlines() if re.match(r"\| I\d+ ", line)}
    assert list(rows) == [f"I{number}" for number in range(1, 16)]
    for invariant, row in rows.items():
        assert NAMED.search(row), invariant
    missing = [
        f"{file}::{name}"
        for file, name in NAMED.findall(TABLE)
        if not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert not missing
