"""No file of ours passes 500 lines: past that it is two files. Run by `make lint`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LIMIT = 500
PATTERNS = ["*.py", "*.ts", "*.tsx", "*.css", "*.sh"]
EXEMPT = ("static/", "frontend/src/api/schema.d.ts")


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(["git", "ls-files", *PATTERNS], cwd=root, capture_output=True, text=True, check=True).stdout
    too_long = []
    for name in listed.split():
        path = root / name
        if name.startswith(EXEMPT) or "/migrations/" in name or not path.exists():
            continue
        lines = len(path.read_text().splitlines())
        if lines > LIMIT:
            too_long.append(f"{name}: {lines} lines")
    sys.stdout.write("".join(f"{line} (more than {LIMIT})\n" for line in too_long))
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
