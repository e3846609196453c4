"""``python -m tests.bench.live``: what it costs the portal to watch many images of the embedded lab.

One process is the poller: its CPU (user and system, all threads) is taken for each round of both sites: reading,
parsing, verdicts, rows, hints. Between rounds the given share of the images is written to. The lab runs in a process
of its own.
Then the API over the same database: the first page, a filter, the counts of the overview.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

DISKS = (1, 2, 2)


@dataclass(slots=True)
class Costs:
    """CPU seconds of each round: ``look`` of both sites, ``write`` of both readings. ``rows``: images changed."""

    look: list[float] = field(default_factory=list)
    write: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def cycles(self) -> list[float]:
        return [look + write for look, write in zip(self.look, self.write, strict=True)]


def prepare(folder: Path) -> None:
    """A database of its own, and settings as in production (but hints stay in the process)."""
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


async def rounds(pair: Any, lab: Any, options: argparse.Namespace, profiler: cProfile.Profile | None) -> Costs:
    from drportal.engine.facts import Side
    from drportal.inventory.models import MirroredImage
    from drportal.inventory.polling import PairWatch, SideWatch, in_database

    interval_s = options.interval
    watch = PairWatch(pair.pk, "bench", interval_s)
    write = watch.write if profiler is None else partial(profiler.runcall, watch.write)
    sides = {Side.A: SideWatch(pair.a, ["one"], interval_s, []), Side.B: SideWatch(pair.b, ["one"], interval_s, [])}
    costs = Costs()
    names: list[str] = []
    try:
        for number_of_round in range(options.rounds):
            began_wall, began = time.monotonic(), time.process_time()
            readings = dict(zip(sides, await asyncio.gather(*(side.look() for side in sides.values())), strict=True))
            looked = time.process_time()
            for side, reading in readings.items():
                if not reading.ceph.ok:
                    say(f"site {side.value}: {reading.ceph.sentence or reading.ssh.sentence}")
            written = await in_database(write, pair, readings)
            costs.look.append(looked - began)
            costs.write.append(time.process_time() - looked)
            costs.wall.append(time.monotonic() - began_wall)
            costs.rows.append(written)
            say(
                f"round {number_of_round}: look {costs.look[-1]:.2f} s, write {costs.write[-1]:.2f} s of CPU, "
                f"{written} images changed, {costs.wall[-1]:.1f} s in all"
            )
            if not names:
                names = await in_database(lambda: list(MirroredImage.objects.values_list("name", flat=True)))
            for name in random.sample(names, int(len(names) * options.share)):
                await asyncio.to_thread(lab.write, "a", name, random.random())
            await asyncio.sleep(max(0.0, interval_s - costs.wall[-1]))
    finally:
        for side in sides.values():
            if side._drivers is not None:
                await side._drivers.close()
    return costs


def ask(path: str, times: int) -> list[float]:
    """Seconds of a GET as an operator, each."""
    from django.contrib.auth.models import User
    from django.test import Client

    from drportal.people.grants import roles_set
    from drportal.roles import Role

    user, _ = User.objects.get_or_create(username="bench")
    roles_set(person=user, roles=[Role.OPERATOR], actor="bench", reason="")
    client = Client()
    client.force_login(user)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(f"/api/v1{path}")
        took.append(time.perf_counter() - began)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.content[:200]!r}")
    return took


def p95(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--share", type=float, default=0.01, help="of the images that are written to between rounds")
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--profile", help="write a profile of the writing into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drportal-bench-") as name:
        bench(Path(name), options)


def say(text: str) -> None:
    sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stdout.flush()


def bench(folder: Path, options: argparse.Namespace) -> None:
    prepare(folder)
    from drportal.inventory.discovery import discover
    from drportal.inventory.introduce import introduce
    from drportal.inventory.models import ExposureDay, MirroredImage, Observation, SitePair
    from tests.stack import LabProcess

    with LabProcess("embedded", folder / "lab", vms=vms_for(options.images), mode="mixed") as lab:
        pair = introduce(lab.client.description)
        say("looking at everything once")
        began = time.process_time()
        discover(pair.pk)
        pair = SitePair.objects.select_related("a", "b").get()
        known = MirroredImage.objects.count()
        say(f"{known} images; the first discovery took {time.process_time() - began:.1f} s of CPU")
        size = database_bytes(folder)
        profiler = cProfile.Profile() if options.profile else None
        costs = asyncio.run(rounds(pair, lab.client, options, profiler))
        if profiler:
            profiler.dump_stats(options.profile)
        cycles = costs.cycles()[2:]
        seconds = options.rounds * options.interval
        grown = database_bytes(folder) - size
        say("")
        say(f"images {known}, written to between rounds {options.share:.1%}, {len(cycles)} rounds")
        say(f"CPU of a round: median {sorted(cycles)[len(cycles) // 2]:.2f} s, worst {max(cycles):.2f} s (goal: 2 s)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(f"memory of the poller at its peak, discovery included: {peak:.0f} MB (goal: 300 MB)")
        say(f"database: {size / 2**20:.0f} MB, grown by {grown / 2**20:.1f} MB in {seconds:.0f} s of rounds")
        say(f"rows: {Observation.objects.count()} observations, {ExposureDay.objects.count()} days of exposure")
        for path in (
            f"/pairs/{pair.pk}/images?limit=100",
            f"/pairs/{pair.pk}/images?verdict=protected&limit=100",
            f"/pairs/{pair.pk}/images?q=one-12&limit=100",
            f"/pairs/{pair.pk}/gaps",
            "/overview",
        ):
            took = ask(path, 12)
            say(f"{path}: median {sorted(took)[6] * 1000:.0f} ms, p95 {p95(took) * 1000:.0f} ms")


def database_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("bench.sqlite3*"))


if __name__ == "__main__":
    main()
