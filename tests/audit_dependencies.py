"""Are there known holes in what the portal depends on? ``make audit``: pip-audit and npm audit, less what is recorded.

An exception in ``audit-exceptions.toml`` has an advisory's id, the reason, and a day on which it ends and is looked at
again. Advisories come over the network; where that is away nothing is known, which is said and is no failure.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE_S = 180
INSTALLED = sysconfig.get_path("purelib")


class NotTold(Exception):
    """A program that could not find out, with what it said."""


@dataclass(frozen=True)
class Hole:
    """``ids``: all names that the advisory goes by."""

    package: str
    ids: frozenset[str]
    what: str


def asked(argv: list[str], folder: Path, patience_s: float = PATIENCE_S) -> Any:
    """The JSON that a program prints. Both end with 1 where they found something, so the status says nothing."""
    if shutil.which(argv[0]) is None:
        raise NotTold(f"{argv[0]} is not installed")
    try:
        ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=patience_s)
    except subprocess.TimeoutExpired:
        raise NotTold(f"{argv[0]} did not answer within {patience_s:g} s") from None
    try:
        return json.loads(ran.stdout)
    except ValueError:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise NotTold(said[-1][:300] if said else f"{argv[0]} said nothing") from None


def holes_of_python(folder: Path) -> list[Hole]:
    words = ["pip-audit", "--path", INSTALLED, "--progress-spinner", "off", "--timeout", "15", "--format", "json"]
    told = asked(words, folder)
    skipped = [one for one in told["dependencies"] if "skip_reason" in one]
    if skipped:  # it calls that "no known vulnerabilities"
        reason = skipped[0]["skip_reason"]
        if len(skipped) == len(told["dependencies"]):
            raise NotTold(reason)
        names = ", ".join(one["name"] for one in skipped)
        sys.stdout.write(f"Python: NOT CHECKED {len(skipped)} of {len(told['dependencies'])} ({names}): {reason}\n")
    return [
        Hole(one["name"], frozenset({hole["id"], *hole["aliases"]}), f"{one['version']}: {hole['description'][:200]}")
        for one in told["dependencies"]
        for hole in one.get("vulns", [])
    ]


def holes_of_node(folder: Path) -> list[Hole]:
    told = asked(["npm", "audit", "--json"], folder / "frontend")
    if "vulnerabilities" not in told:
        raise NotTold(str(told.get("message") or told.get("error"))[:300])
    return [
        Hole(name, frozenset({hole["url"].rpartition("/")[2]}), hole["title"])
        for name, one in told["vulnerabilities"].items()
        for hole in one["via"]
        if isinstance(hole, dict)  # a word is another package of this list, through which the hole comes
    ]


def exceptions(today: dt.date, file: Path) -> tuple[set[str], list[str]]:
    """The ids that are excepted today, and sentences about those whose time is over."""
    live, over = set(), []
    for one in tomllib.loads(file.read_text()).get("exception", []):
        if not one["why"].strip():
            over.append(f"{one['id']} is excepted without a reason")
        elif one["until"] < today:
            over.append(f"the exception of {one['id']} ended on {one['until']}: {one['why']}")
        else:
            live.add(one["id"])
    return live, over


def main(folder: Path = ROOT, today: dt.date | None = None) -> int:
    live, wrong = exceptions(today or dt.datetime.now(dt.UTC).date(), folder / "audit-exceptions.toml")
    for world, look in {"Python": holes_of_python, "Node": holes_of_node}.items():
        try:
            holes = look(folder)
        except NotTold as error:
            sys.stdout.write(f"{world}: NOT CHECKED, nothing is known about holes: {error}\n")
            continue
        unknown = [hole for hole in holes if not hole.ids & live]
        wrong += [f"{hole.package} {sorted(hole.ids)}: {hole.what}" for hole in unknown]
        sys.stdout.write(f"{world}: {len(unknown)} known holes, {len(holes) - len(unknown)} excepted\n")
    for sentence in wrong:
        sys.stdout.write(f"- {sentence}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
