"""Run the tests that failed in a log of `make test` once more, one after the other; for `.ci/run`.

Exit status 0 only when everything that failed is a test that passes now. A part that is no test of pytest (the front
end, a process that died), or more than a few failures, stays failed without another try.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

AT_MOST = 8
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/[^ ]+::.+?)(?: - .*)?$")
BROKEN = re.compile(r"^make(?:\[\d+\])?: \*\*\* \[Makefile:\d+: (\S+)\]")
POSTGRES = re.compile(r"^\S*python tests/with_postgres\.py ")
PYTHON, PYTEST = ".venv/bin/python", ".venv/bin/pytest"  # this script itself runs with any Python


def failed_in(log: str) -> tuple[list[str], list[str], set[str]]:
    """(failed on SQLite, failed on PostgreSQL, targets of make that failed)."""
    found: tuple[list[str], list[str]] = ([], [])
    on_postgres, broken = False, set()
    for line in log.splitlines():
        if POSTGRES.match(line):
            on_postgres = True
        elif test := FAILED.match(line):
            found[on_postgres].append(test[1])
        elif target := BROKEN.match(line):
            broken.add(target[1])
    return found[0], found[1], broken


def main(path: str) -> int:
    sqlite, postgres, broken = failed_in(Path(path).read_text(errors="replace"))
    explained = ({"test-python"} if sqlite else set()) | ({"test-postgres"} if postgres else set())
    if not broken or broken - explained or len(sqlite) + len(postgres) > AT_MOST:
        sys.stdout.write(
            f"Not tried again: {len(sqlite) + len(postgres)} failed, in {', '.join(sorted(broken)) or '?'}.\n"
        )
        return 1
    statuses = []
    if sqlite:
        statuses.append(subprocess.run([PYTEST, "-p", "no:cacheprovider", *sqlite]).returncode)
    if postgres:
        words = [PYTHON, "tests/with_postgres.py", PYTEST, "-p", "no:cacheprovider", *postgres]
        statuses.append(subprocess.run(words).returncode)
    if any(statuses):
        return 1
    for test in (*sqlite, *postgres):
        sys.stdout.write(f"Failed beside others, and passed alone: {test}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
