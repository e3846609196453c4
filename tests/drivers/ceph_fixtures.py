"""The answers of real Ceph in tests/fixtures/ceph, with the exit status that their INDEX.md gives for each."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

from drportal.drivers.base import Answer

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "ceph"


@dataclass(frozen=True)
class Recorded:
    state: str
    file: str
    command: str
    exit_status: int | None
    note: str

    def __str__(self) -> str:
        return f"{self.state}/{self.file}"

    def answer(self) -> Answer:
        path = ROOT / self.state / self.file
        errors = path.with_name(path.name + ".stderr")
        return answer(
            path.read_text(), errors.read_text() if errors.exists() else "", self.exit_status, command=self.command
        )


def answer(stdout: str = "", stderr: str = "", exit_status: int | None = 0, *, command: str = "rbd") -> Answer:
    now = dt.datetime(2026, 11, 23, 1, 0, tzinfo=dt.UTC)
    return Answer(command, "site-a", exit_status, stdout, stderr, now, 0.1)


def recorded() -> list[Recorded]:
    """Every row of INDEX.md whose file exists. An exit written ``0~`` was inferred when the answers were captured."""
    found: list[Recorded] = []
    state = ""
    for line in (ROOT / "INDEX.md").read_text().splitlines():
        if line.startswith("## "):
            state = line[3:].strip()
        row = re.match(r"\| `([^`]+)` \| [ab] \| `([^`]+)` \| ([^|]+) \|[^|]*\| ?(.*)\|$", line)
        if row and (ROOT / state / row[1]).exists():
            exit_text = row[3].strip().rstrip("~")
            found.append(Recorded(state, row[1], row[2], int(exit_text) if exit_text.isdigit() else None, row[4]))
    return found


def load(name: str) -> Answer:
    return answer((ROOT / name).read_text())
