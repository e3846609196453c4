"""The captured answers of real Ceph, and what of them is comparable: everything but numbers, moments and ids."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent / "fixtures" / "ceph"
_ROW = re.compile(r"^\| `(?P<file>[^`]+)` \| (?P<site>[ab]) \| `(?P<command>.+?)` \| (?P<exit>[\w~]+) \|")
_MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "MOMENT"),
    (re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"), "MOMENT"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+0000 7f[0-9a-f]{10}"), "LOGGED"),
    (re.compile(r"0x[0-9a-f]{12}"), "ADDRESS"),
    (re.compile(r"(?<!/)\b10[0-9a-f]{7,12}\b"), "IMAGEID"),
    (re.compile(r"\bceph-[ab]\b|\bvm\b"), "HOST"),
)


@dataclass(frozen=True, slots=True)
class Captured:
    site: str
    command: str  # without "rbd"
    exit_code: int
    stdout: str
    stderr: str
    is_json: bool


@cache
def captured(state: str) -> dict[str, Captured]:
    """File name -> what was asked and answered, by the tables of INDEX.md."""
    found: dict[str, Captured] = {}
    section = ""
    for line in (ROOT / "INDEX.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        row = _ROW.match(line)
        if row is None or section != state or not row["exit"].rstrip("~").isdigit():
            continue
        path = ROOT / state / row["file"]
        errors = path.with_name(path.name + ".stderr")
        command = re.sub(r"^(timeout \d+ )?rbd ", "", row["command"])
        found[row["file"]] = Captured(
            row["site"],
            command,
            int(row["exit"].rstrip("~")),
            path.read_text(),
            errors.read_text() if errors.exists() else "",
            row["file"].endswith(".json"),
        )
    assert found, f"INDEX.md has no rows for {state}"
    return found


def masked(text: str) -> str:
    """Text with every identity and every number taken out."""
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    return re.sub(r" +", " ", text).strip()


def shape(value: Any, key: str = "") -> Any:
    """JSON with identities and numbers taken out but all keys, words and their order kept."""
    if isinstance(value, dict):
        return [(name, shape(inner, name)) for name, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return "number"
    if key == "data":
        return "hexdump"
    if key == "description" and value.startswith("replaying, "):
        return ["replaying", shape(json.loads(value.removeprefix("replaying, ")))]
    return masked(value)


def log_lines(text: str) -> list[str]:
    """Standard error as sorted masked lines, since librbd's and rbd's own come in any order and share lines."""
    text = re.sub(r"(?<!\n)(\d{4}-\d\d-\d\dT)", r"\n\1", text)
    return sorted(line for line in map(masked, text.splitlines()) if line)
