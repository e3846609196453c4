"""Add up the closing lines of pytest and vitest in two logs: one plain line 'N passed, N failed, N skipped'."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PYTEST = re.compile(r"^=+ (.*) in [\d.]+s")
VITEST = re.compile(r"^\s*Tests\s+(.*)\(\d+\)")
COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


def counted(path: str) -> dict[str, int]:
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for line in Path(path).read_text(errors="replace").splitlines():
        plain = ANSI.sub("", line)
        closing = PYTEST.match(plain) or VITEST.match(plain)
        if not closing:
            continue
        for number, word in COUNT.findall(closing[1]):
            totals["failed" if word.startswith("error") else word] += int(number)
    return totals


def main(first: str, again: str) -> int:
    """``again``: the log of what had failed and was run once more."""
    totals, mended = counted(first), counted(again)["passed"]
    totals["passed"] += mended
    totals["failed"] -= mended
    sys.stdout.write(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
