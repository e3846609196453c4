"""Add up the closing lines of pytest and vitest in two logs: one plain line 'N passed, N failed, N skipped', and before
it the name of each test that failed, so that nobody has to look for it among the output of thousands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;]*m")
PYTEST = re.compile(r"^=+ (.*) in [\d.]+s")
VITEST = re.compile(r"^\s*Tests\s+(.*)\(\d+\)")
FAILED = re.compile(r"^ *(?:(?:FAILED|ERROR) (tests/[^ ]+::.+?)(?: - .*)?|FAIL +(src/.*))$")
MENDED = "Failed beside others, and passed alone: "
COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


def lines_of(path: str) -> list[str]:
    return ANSI.sub("", Path(path).read_text(errors="replace")).splitlines()


def failed(first: str, again: str) -> list[str]:
    """Names of tests, each once."""
    mended = {line.removeprefix(MENDED) for line in lines_of(again) if line.startswith(MENDED)}
    named = [found[1] or found[2] for line in lines_of(first) if (found := FAILED.match(line))]
    return [name for name in dict.fromkeys(named) if name not in mended]


def counted(path: str) -> dict[str, int]:
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for plain in lines_of(path):
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
    for name in failed(first, again):
        sys.stdout.write(f"Failed: {name}\n")
    sys.stdout.write(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
