"""`python -m tests.bench`: the portal beside its peers on two real Ceph clusters, first one mode, then the other.

Each mode has a lab of its own. Figures are printed after every round; the exit status is 0 when every goal was met and
every peer did its work. Other figures: tests.bench.trail, tests.bench.live and tests.bench.table.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import psycopg

from tests import with_postgres
from tests.bench.goals import report as goals_text
from tests.bench.handover import Bench, Options, Report
from tests.bench.peers import Kind
from tests.bench.promises import promised

MODES = ("journal", "snapshot")
# The loop's time hardly changes, and it takes longer than all others together.
PEERS = "xargs,pool,loop:1"


def say(text: str) -> None:
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


def database(mode: str) -> tuple[str, dict[str, str]]:
    """In words, and the portal's settings: a database of its own for each mode."""
    url = os.environ.get("DRPORTAL_TEST_DATABASE_URL", "")
    if not url.startswith("postgres"):
        return "SQLite", {}
    name = f"bench_{mode}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return "PostgreSQL (throw-away, fsync on)", {"DRPORTAL_DATABASE_URL": f"{url.rpartition('/')[0]}/{name}"}


def in_mode(options: Options, others: Sequence[Report]) -> Report:
    """Never raises for what happens to the bench: that is a failure in the report."""
    report = Report(mode=options.mode)

    def so_far() -> None:
        sys.stdout.write(f"\n{report.text()}\n\n{goals([*others, report], options)[0]}\n\n")
        sys.stdout.flush()

    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            report.facts["database"], settings = database(options.mode)
            Bench(options, report, say, so_far).measure(Path(folder), **settings)
    except Exception as error:  # an hour's figures are not thrown away because a round failed
        report.failures.append(f"{type(error).__name__}: {error}")
        say(f"mode {options.mode} ended early: {report.failures[-1]}")
    return report


def goals(reports: Sequence[Report], options: Options) -> tuple[str, bool]:
    """What is to be read, and whether all is well."""
    figures, missing = [], []
    for report in reports:
        more, gone = promised(report, [kind for kind, _ in options.peers])
        figures += more
        missing += gone
    lines = [goals_text(figures)] if figures else []
    lines += [f"{name}: not measured, NOT MET" for name in missing]
    well = bool(figures) and not missing and all(figure.verdict() != "NOT MET" for figure in figures)
    return "\n".join(lines), well and not any(report.failures for report in reports)


def peers_of(text: str, rounds: int) -> tuple[tuple[Kind, int], ...]:
    """From ``loop:1,xargs``. Raises ValueError."""
    found: list[tuple[Kind, int]] = []
    for word in filter(None, text.split(",")):
        kind, _, few = word.partition(":")
        if kind not in get_args(Kind):
            raise ValueError(f"{kind} is none of {', '.join(get_args(Kind))}")
        found.append((cast("Kind", kind), min(rounds, int(few or rounds))))
    return tuple(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--images", type=int, default=128, metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=("ceph", "embedded"), default="ceph")
    parser.add_argument("--modes", default=",".join(MODES), help=f"of {', '.join(MODES)}, mixed; default both, in turn")
    parser.add_argument("--peers", default=PEERS, help=f"of {', '.join(get_args(Kind))}; NAME:N is in N rounds only")
    parser.add_argument("--sqlite", action="store_true", help="even where PostgreSQL is installed")
    args = parser.parse_args()
    modes = args.modes.split(",")
    try:
        peers = peers_of(args.peers, args.rounds)
    except ValueError as error:
        parser.error(f"--peers: {error}")
    if set(modes) - {*MODES, "mixed"} or args.images < 1 or args.rounds < 1:
        parser.error(f"--modes are of {', '.join(MODES)}, mixed; --images and --rounds are at least 1")
    if not args.sqlite and "DRPORTAL_TEST_DATABASE_URL" not in os.environ:
        if with_postgres.server_programs() is not None:
            return with_postgres.main([sys.executable, "-m", "tests.bench", *sys.argv[1:]], fsync="on")
        say("PostgreSQL's server programs are not installed: SQLite.")
    say(f"{args.images} images, {args.rounds} rounds; " + ", ".join(f"{kind} in {few}" for kind, few in peers))
    reports: list[Report] = []
    for mode in modes:
        options = Options(args.images, args.rounds, args.kind, mode, peers)
        reports.append(in_mode(options, reports))
    text, well = goals(reports, options)
    for report in reports:
        sys.stdout.write(f"\n{report.text()}\n")
    sys.stdout.write(f"\n{text}\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
