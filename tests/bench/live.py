"""``python -m tests.bench.live``: what it costs the portal to watch many images of the embedded lab.

One process is the poller and nothing else: its CPU (user and system, all threads) is taken for each round of both
sites: reading, parsing, verdicts, rows, hints; and its memory, at rest and at its largest. Between rounds the given
share of the images is written to. The lab, the discovery before and the API's answers after it have processes of their
own. All have one clock (``clock.py``), which goes on by the interval between two rounds and stands still in one, so
that a loaded machine measures what an idle one does.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests import with_postgres
from tests.bench.clock import Clock
from tests.bench.figures import lined_up
from tests.bench.goals import Figure, p95, report

DISKS = (1, 2, 2)
CPU_S, MEMORY_MB = 2.0, 300.0
CLOCK_FILE = "clock"
WARM_UP = 3  # rounds that are not counted: everything is new in them
IN_TIME_S = 300.0
PATHS = {
    "first page of images": "/pairs/1/images?limit=100",
    "images with a verdict": "/pairs/1/images?verdict=protected&limit=100",
    "images by name": "/pairs/1/images?q=one-12&limit=100",
    "gaps": "/pairs/1/gaps",
    "overview": "/overview",
}


@dataclass(slots=True)
class Costs:
    """CPU seconds of each round: ``look`` of both sites, ``write`` of both readings. ``rows``: images changed.

    ``rest_mb``: memory after each round; ``peak_mb``: at its largest within each. What the database grows by is
    measured over days: ``growth.py``.
    """

    images: int = 0
    look: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    rest_mb: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def cycles(self) -> list[float]:
        return [look + write for look, write in zip(self.look, self.write, strict=True)][WARM_UP:]


def prepare(folder: Path) -> None:
    """A database of its own in this process, and settings as in production (but hints stay in the process)."""
    os.environ["DRPORTAL_TEST_DATABASE_URL"] = os.environ.get(
        "DRPORTAL_TEST_DATABASE_URL", f"sqlite:///{folder / 'bench.sqlite3'}"
    )
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def vms_for(images: int) -> int:
    vms, disks = 0, 0
    while disks < images:
        disks += DISKS[vms % len(DISKS)]
        vms += 1
    return vms


def say(text: str) -> None:
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


def resident_mb(field: str = "VmRSS") -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def peak_mb() -> float:
    """Since it was asked last."""
    found = resident_mb("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")
    return found


def wait_for_the_lab(folder: Path) -> Clock:
    """It answers for both sites from one thread of a machine that has other things to do, and what is measured is the
    portal's own CPU: a site that is late would be another measurement."""
    from drportal.inventory import connect, polling

    patient = partial(connect.Reach, deadline_s=IN_TIME_S)
    connect.Reach = polling.Reach = patient  # type: ignore[misc,assignment,attr-defined]
    polling.LOOK_DEADLINE_S = IN_TIME_S
    clock = Clock(folder / CLOCK_FILE)
    clock.drives_the_portal()
    return clock


# --- the three processes


def discover(folder: Path) -> None:
    from django.core.management import call_command

    from drportal.inventory.discovery import discover as look_at_everything
    from drportal.inventory.introduce import introduce
    from drportal.lab.control import LabDescription

    call_command("migrate", verbosity=0)
    wait_for_the_lab(folder)
    pair = introduce(LabDescription.read(folder / "lab"))
    began = time.process_time()
    look_at_everything(pair.pk)
    say(f"the first discovery took {time.process_time() - began:.1f} s of CPU")


def watch(folder: Path, options: argparse.Namespace) -> None:
    from drportal.inventory.memory import keep_small
    from drportal.inventory.models import SitePair
    from drportal.lab.control import LabClient
    from drportal.management.commands import poller

    if poller.Command.requires_system_checks:
        poller.Command().check()  # the process is to hold what the poller's does
    keep_small()
    if options.memory:
        tracemalloc.start(4)
    clock = wait_for_the_lab(folder)
    pair = SitePair.objects.select_related("a", "b").get()
    costs = asyncio.run(rounds(pair, LabClient(folder / "lab"), clock, options))
    (folder / "costs.json").write_text(json.dumps(asdict(costs)))


async def rounds(pair: Any, lab: Any, clock: Clock, options: argparse.Namespace) -> Costs:
    from drportal.engine.facts import Side
    from drportal.inventory.memory import give_back
    from drportal.inventory.models import MirroredImage
    from drportal.inventory.polling import PairWatch, SideWatch, in_database, load
    from drportal.watch.beside import Watches

    watch = PairWatch(pair.pk, "bench", options.interval, Watches())
    write, profilers = watch.write, {"look": cProfile.Profile(), "write": cProfile.Profile()}
    sides = {
        side: SideWatch(site, ["one"], options.interval, []) for side, site in zip(Side, (pair.a, pair.b), strict=True)
    }
    costs = Costs()
    names = await in_database(lambda: list(MirroredImage.objects.values_list("name", flat=True)))
    costs.images = len(names)
    try:
        for number in range(options.rounds + WARM_UP):
            if profiled := bool(options.profile) and number >= WARM_UP:
                write = partial(profilers["write"].runcall, watch.write)
                profilers["look"].enable()
            as_by_the_clock(sides, number, options.interval)
            began_wall, began = time.monotonic(), time.process_time()
            readings = dict(zip(sides, await asyncio.gather(*(side.look() for side in sides.values())), strict=True))
            looked = time.process_time()
            if profiled:
                profilers["look"].disable()
            for side, reading in readings.items():
                if not reading.ceph.ok:
                    say(f"site {side.value}: {reading.ceph.sentence or reading.ssh.sentence}")
            large = any(reading.everything is not None for reading in readings.values())
            costs.rows.append(await in_database(write, pair, readings))
            await in_database(load, pair.pk)
            readings = {}
            del reading
            if large:
                await asyncio.to_thread(give_back)
            costs.look.append(looked - began)
            costs.write.append(time.process_time() - looked)
            costs.wall.append(time.monotonic() - began_wall)
            costs.rest_mb.append(resident_mb())
            costs.peak_mb.append(peak_mb())
            say(
                f"round {number}: look {costs.look[-1]:.2f} s, write {costs.write[-1]:.2f} s of CPU, {costs.rows[-1]} "
                f"images changed, {costs.wall[-1]:.1f} s in all, {costs.rest_mb[-1]:.0f} MB, "
                f"at most {costs.peak_mb[-1]:.0f} MB"
            )
            clock.forward(options.interval)
            for name in random.sample(names, int(len(names) * options.share)):
                await asyncio.to_thread(lab.write, "a", name, random.random())
        if options.memory:
            Path(options.memory).write_text(where_memory_is(costs.images))
    finally:
        for part, profiler in profilers.items() if options.profile else ():
            profiler.dump_stats(f"{options.profile}.{part}")
        for side in sides.values():
            if side._drivers is not None:
                await side._drivers.close()
    return costs


def where_memory_is(images: int) -> str:
    """Bytes an image, by the line that made what is kept."""
    found = tracemalloc.take_snapshot().statistics("traceback")
    lines = [
        f"{one.size / images:8.0f} {one.count / images:6.1f}  " + "  ".join(one.traceback.format())
        for one in found[:60]
    ]
    return "bytes and pieces an image, made at\n" + "\n".join(lines) + "\n"


def as_by_the_clock(sides: Mapping[Any, Any], number: int, interval_s: float) -> None:
    """What a side does now and then by its loop's time, which goes on as it likes here: front ends are asked once in
    ``CLOUD_AT_LEAST_EVERY_S`` (one and then the other), and a conversation begins anew once, in the middle.
    """
    from drportal.inventory.polling import CLOUD_AT_LEAST_EVERY_S

    every = round(CLOUD_AT_LEAST_EVERY_S / interval_s)
    for place, side in enumerate(sides.values()):
        side._cloud_at = 0.0 if number == 0 or number % every == (2 + place) % every else math.inf
        side._drivers_at = -math.inf if number == WARM_UP + 2 + place else math.inf


def ask(folder: Path) -> None:
    """Seconds of GETs as an operator, by the clock on the wall and of CPU, after one that imports the portal."""
    from django.contrib.auth.models import User
    from django.test import Client

    from drportal.people.grants import roles_set
    from drportal.roles import Role
    from tests.bench.growth import tables

    user, _ = User.objects.get_or_create(username="bench")
    roles_set(person=user, roles=[Role.OPERATOR], actor="bench", reason="")
    client = Client()
    client.force_login(user)
    took: dict[str, list[tuple[float, float]]] = {}
    client.get("/api/v1/session")
    for name, path in PATHS.items():
        for _ in range(12):
            began, began_cpu = time.perf_counter(), time.process_time()
            answer = client.get(f"/api/v1{path}")
            took.setdefault(name, []).append((time.perf_counter() - began, time.process_time() - began_cpu))
            if answer.status_code != 200:
                raise RuntimeError(f"{path}: {answer.status_code} {answer.content[:200]!r}")
    (folder / "asked.json").write_text(json.dumps(took))
    largest = sorted(tables().items(), key=lambda one: -one[1].bytes)[:8]
    rows = [("the inventory, after these minutes", "MB", "of it indexes", "rows")]
    rows += [(name, f"{one.bytes / 2**20:.1f}", f"{one.indexes / 2**20:.1f}", str(one.rows)) for name, one in largest]
    sys.stdout.write(f"\n{lined_up(rows)}\n")
    sys.stdout.flush()


# --- together


def bench(folder: Path, options: argparse.Namespace) -> list[Figure]:
    from cryptography.fernet import Fernet

    from tests.stack import LabProcess

    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DRPORTAL_")},
        "DJANGO_SETTINGS_MODULE": "tests.bench.live_settings",
        "DRPORTAL_DEBUG": "1",
        "DRPORTAL_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DRPORTAL_DATABASE_URL": os.environ.get("DRPORTAL_TEST_DATABASE_URL")
        or f"sqlite:///{folder / 'bench.sqlite3'}",
    }

    def run(part: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "tests.bench.live", part, str(folder), *sys.argv[1:]], env=env, check=True
        )

    Clock(folder / CLOCK_FILE)
    lab = LabProcess("embedded", folder / "lab", vms=vms_for(options.images), mode="mixed", patience_s=1200)
    lab.program.argv[1:3] = ["-m", "tests.bench.clock", str(folder / CLOCK_FILE)]
    with lab:
        run("discover")
        run("watch")
    run("ask")
    costs = Costs(**json.loads((folder / "costs.json").read_text()))
    return figures(costs, json.loads((folder / "asked.json").read_text()))


def figures(costs: Costs, asked: dict[str, list[tuple[float, float]]]) -> list[Figure]:
    cycles = costs.cycles()
    found = [
        Figure("CPU of a round, median", statistics.median(cycles), "s", CPU_S),
        Figure(
            "CPU of a round, mean (with new figures of all, front ends, refreshing)",
            statistics.mean(cycles),
            "s",
            CPU_S,
        ),
        Figure("CPU of a round, worst", max(cycles), "s"),
        Figure("memory of the poller, at rest", statistics.median(costs.rest_mb[WARM_UP:]), "MB", MEMORY_MB),
        Figure("memory of the poller, at its largest", max(costs.peak_mb[1:]), "MB", MEMORY_MB),
        Figure("memory of the poller, in its first round, in which all is new", costs.peak_mb[0], "MB"),
        Figure("CPU of the first round", costs.look[0] + costs.write[0], "s"),
        Figure("images watched", costs.images, ""),
    ]
    for name, took in asked.items():
        found.append(Figure(f"API: {name}, p95", p95([wall for wall, _ in took]) * 1000, "ms"))
        found.append(Figure(f"API: {name}, CPU of the web process, p95", p95([cpu for _, cpu in took]) * 1000, "ms"))
    return found


PARTS = {"discover", "watch", "ask"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--share", type=float, default=0.01, help="of the images that are written to between rounds")
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--profile", help="write profiles of looking and of writing into files of this name")
    parser.add_argument(
        "--memory", help="write where the poller's memory is into this file (its figures are larger then)"
    )
    parser.add_argument("--postgres", action="store_true", help="on a throw-away PostgreSQL")
    words = sys.argv[1:]
    if words and words[0] in PARTS:
        import django

        django.setup()
        folder, options = Path(words[1]), parser.parse_args(words[2:])
        {"discover": discover, "ask": ask}[words[0]](folder) if words[0] != "watch" else watch(folder, options)
        return 0
    options = parser.parse_args()
    if options.postgres and "DRPORTAL_TEST_DATABASE_URL" not in os.environ:
        return with_postgres.main([sys.executable, "-m", "tests.bench.live", *words], fsync="on")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="drportal-bench-") as name:
        found = bench(Path(name), options)
    database = "PostgreSQL" if "DRPORTAL_TEST_DATABASE_URL" in os.environ else "SQLite"
    loads = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    sys.stdout.write(f"\n{options.images} images, {database}, {loads}\n\n{report(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
