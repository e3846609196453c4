"""`python -m tests.bench`: the portal beside its peers, in interleaved rounds on one lab.

A round is: the portal moves all images, the first peer moves them back, the second one there again, and so on; each is
timed from "power off done" to "every image primary at the target, verified". Between moves mirroring settles, untimed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from tests import with_postgres
from tests.bench import sites
from tests.bench.figures import table
from tests.bench.moves import PEER_TITLES, PORTAL, Mover
from tests.bench.peers import Kind
from tests.stack import LabProcess, PortalStack

DISKS = (1, 2, 2)  # of a lab's VMs, in turn


@dataclass(frozen=True, slots=True)
class Options:
    images: int = 128
    rounds: int = 5
    kind: str = "ceph"
    mode: str = "mixed"
    peers: tuple[Kind, ...] = ("staged", "xargs")
    lab_options: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """``moves`` and ``statuses``: seconds by name. ``facts``: what they were taken on."""

    images: int = 0
    moves: dict[str, list[float]] = field(default_factory=dict)
    statuses: dict[str, list[float]] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    primary_at: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        loads = f"{min(self.loads):.1f} to {max(self.loads):.1f} (1 min, {os.cpu_count()} cores)"
        lines = [f"{name}: {value}" for name, value in {**self.facts, "load average": loads}.items()]
        lines += ["", f"Move of {self.images} images, power off done to all primary at the target and verified:", ""]
        lines += [table(self.moves, "s", PORTAL)]
        lines += ["", f"Reading the mirror status of {self.images} images:", ""]
        lines += [table(self.statuses, "s", next(iter(self.statuses)))]
        return "\n".join(lines)


def vms_for(images: int) -> int:
    """The fewest VMs of a lab that have at least so many disks."""
    vms, disks = 0, 0
    while disks < images:
        disks += DISKS[vms % len(DISKS)]
        vms += 1
    return vms


def say(text: str) -> None:
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


def measure(options: Options, folder: Path, report: Report) -> None:
    """Starts everything below ``folder`` and ends it again. ``report`` fills as the rounds go by."""
    vms = vms_for(options.images)
    report.facts.update(database=database(), python=platform.python_version())
    with LabProcess(options.kind, folder / "lab", *options.lab_options, vms=vms, mode=options.mode) as lab:
        with PortalStack(folder, lab, DRPORTAL_POLL_INTERVAL="5") as portal:  # as in production
            mover = Mover(lab.client, portal, say)
            report.images = len(mover.refs)
            report.facts["lab"] = f"{options.kind}, {vms} VMs, {report.images} images, mode {options.mode}"
            asyncio.run(_look(mover, report, options))
            mover.settle()
            for number in range(1, options.rounds + 1):
                _round(number, mover, options.peers, report)
            state = lab.client.status()["sites"]
            report.primary_at = {
                site: sorted(name for name, image in state[site]["images"].items() if image["primary"])
                for site in state
            }


def _round(number: int, mover: Mover, peers: Sequence[Kind], report: Report) -> None:
    """Begins and ends with running VMs; peers take turns at going first."""
    for name, seconds in mover.by_portal().items():
        _note(report, number, name, seconds)
    mover.power(on=False)
    mover.settle()
    turns = list(peers) if number % 2 else list(reversed(peers))
    for kind in turns:
        _note(report, number, PEER_TITLES[kind], mover.by_peer(kind))
    if len(turns) % 2:
        mover.by_peer("xargs")  # so that VMs and images are on the same side again; not counted
    mover.power(on=True)
    mover.settle()


def _note(report: Report, number: int, name: str, seconds: float) -> None:
    report.moves.setdefault(name, []).append(seconds)
    report.loads.append(os.getloadavg()[0])
    say(f"round {number}: {name}: {seconds:.2f} s")


async def _look(mover: Mover, report: Report, options: Options) -> None:
    async with sites.ends(mover.lab) as ends:
        report.facts["ceph"], report.facts["opennebula"] = await sites.versions(ends["a"])
        report.statuses = await sites.status_costs(ends["a"], mover.refs, options.rounds, bare=options.kind == "ceph")


def database() -> str:
    url = os.environ.get("DRPORTAL_TEST_DATABASE_URL", "")
    return "PostgreSQL (throw-away, fsync on)" if url.startswith("postgres") else "SQLite"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--images", type=int, default=128, metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=("ceph", "embedded"), default="ceph")
    parser.add_argument("--mode", choices=("journal", "snapshot", "mixed"), default="mixed")
    parser.add_argument("--peers", default="staged,xargs", help=f"of {', '.join(get_args(Kind))}")
    parser.add_argument("--sqlite", action="store_true", help="even where PostgreSQL is installed")
    args = parser.parse_args()
    peers = tuple(args.peers.split(",")) if args.peers else ()
    if set(peers) - set(get_args(Kind)) or args.images < 1 or args.rounds < 1:
        parser.error(f"--peers are of {', '.join(get_args(Kind))}; --images and --rounds are at least 1")
    if not args.sqlite and "DRPORTAL_TEST_DATABASE_URL" not in os.environ:
        if with_postgres.server_programs() is not None:
            return with_postgres.main([sys.executable, "-m", "tests.bench", *sys.argv[1:]], fsync="on")
        say("PostgreSQL's server programs are not installed: SQLite.")
    options = Options(args.images, args.rounds, args.kind, args.mode, cast("tuple[Kind, ...]", peers))
    report = Report()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measure(options, Path(folder), report)
    finally:  # an hour's figures are not thrown away because the last round failed
        if report.moves:
            sys.stdout.write(f"\n{report.text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
