"""One lab, one mode: the portal beside its peers, in interleaved rounds.

A round is: the portal moves all images, the first peer moves them back, the second one there again, and so on; each is
timed from "power off done" to "every image primary at the target, verified". Between moves mirroring settles, untimed.
The last moves of a round are those of Ceph's bare pool commands, which put images and VMs on the same side again.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench import sites
from tests.bench.figures import table
from tests.bench.moves import PEER_TITLES, PORTAL, VERBS, Mover
from tests.bench.peers import Kind, PeerFailed
from tests.bench.reading import status_costs
from tests.stack import LabProcess, PortalStack

DISKS = (1, 2, 2)  # of a lab's VMs, in turn


@dataclass(frozen=True, slots=True)
class Options:
    """``peers``: with the number of rounds that each takes part in, from the first on."""

    images: int = 128
    rounds: int = 5
    kind: str = "ceph"
    mode: str = "mixed"
    peers: tuple[tuple[Kind, int], ...] = (("loop", 1), ("xargs", 5), ("pool", 5))
    lab_options: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """``moves`` and ``statuses``: seconds by name. ``facts``: what they were taken on. ``failures``: in words."""

    mode: str = "mixed"
    images: int = 0
    moves: dict[str, list[float]] = field(default_factory=dict)
    statuses: dict[str, list[float]] = field(default_factory=dict)
    loads: list[float] = field(default_factory=lambda: [os.getloadavg()[0]])
    facts: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    primary_at: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        loads = f"{min(self.loads):.1f} to {max(self.loads):.1f} (1 min, {os.cpu_count()} cores)"
        lines = [f"{name}: {value}" for name, value in {**self.facts, "load average": loads}.items()]
        lines += [f"FAILED: {failure}" for failure in self.failures]
        if PORTAL in self.moves:
            lines += ["", f"Move of {self.images} images, power off done to all primary at the target and verified:"]
            lines += ["(ratio: how many times the portal's median; who took part in fewer rounds is slow and steady)"]
            lines += ["", table(self.moves, "s", PORTAL)]
        if self.statuses:
            lines += ["", f"Reading the state of {self.images} images of one site:", ""]
            lines += [table(self.statuses, "s", next(iter(self.statuses)))]
        return "\n".join(lines)


def vms_for(images: int) -> int:
    """The fewest VMs of a lab that have at least so many disks."""
    vms, disks = 0, 0
    while disks < images:
        disks += DISKS[vms % len(DISKS)]
        vms += 1
    return vms


@dataclass(slots=True)
class Bench:
    """``say``: for people who wait. ``after_round``: with the figures so far."""

    options: Options
    report: Report
    say: Callable[[str], None]
    after_round: Callable[[], None] = lambda: None

    def measure(self, folder: Path, **settings: str) -> None:
        """Starts everything below ``folder`` and ends it again. ``report`` fills as the rounds go by."""
        options, report = self.options, self.report
        vms = vms_for(options.images)
        report.mode = options.mode
        report.facts["python"] = platform.python_version()
        with LabProcess(options.kind, folder / "lab", *options.lab_options, vms=vms, mode=options.mode) as lab:
            with PortalStack(folder, lab, DRPORTAL_POLL_INTERVAL="5", **settings) as portal:  # as in production
                mover = Mover(lab.client, portal, self.say)
                report.images = len(mover.refs)
                report.facts["lab"] = f"{options.kind}, {vms} VMs, {report.images} images, mode {options.mode}"
                asyncio.run(self._look(mover))
                mover.settle()
                for number in range(1, options.rounds + 1):
                    self._round(number, mover)
                    self.after_round()
                state = lab.client.status()["sites"]
                report.primary_at = {
                    site: sorted(name for name, image in state[site]["images"].items() if image["primary"])
                    for site in state
                }

    async def _look(self, mover: Mover) -> None:
        bare = self.options.kind == "ceph"
        async with sites.ends(mover.lab) as ends:
            self.report.facts["ceph"], self.report.facts["opennebula"] = await sites.versions(ends["a"])
            self.report.statuses = await status_costs(ends["a"], mover.refs, self.options.rounds, bare=bare)

    def _round(self, number: int, mover: Mover) -> None:
        """Begins and ends with running VMs; peers take turns at going first."""
        mover.power(on=False)
        mover.settle()
        for name, seconds in mover.by_portal().items():
            self._note(number, name, seconds)
        mover.power(on=False)  # the run has started them
        mover.settle()
        kinds = [kind for kind, rounds in self.options.peers if number <= rounds]
        for kind in kinds if number % 2 else kinds[::-1]:
            self._timed(number, PEER_TITLES[kind], mover, partial(mover.by_peer, kind))
        if self.options.kind == "ceph":
            for _ in range(2 - len(kinds) % 2):
                self._timed(number, VERBS, mover, mover.by_pool_verbs)
        mover.power(on=True)
        mover.settle()

    def _timed(self, number: int, name: str, mover: Mover, move: Callable[[], float]) -> None:
        """A peer that fails is named and helped to the other side; the others go on."""
        try:
            self._note(number, name, move())
        except PeerFailed as failed:
            self.report.failures.append(f"round {number}: {name}: {failed}")
            self.say(self.report.failures[-1])
            mover.put_right()

    def _note(self, number: int, name: str, seconds: float) -> None:
        self.report.moves.setdefault(name, []).append(seconds)
        self.report.loads.append(os.getloadavg()[0])
        self.say(f"round {number}: {name}: {seconds:.2f} s")
