"""``python -m tests.bench.rounds``: the CPU of the poller's writing, round by round, with its clock driven.

Beside ``live.py``, which has a lab to ask and so measures a machine that keeps up with five seconds a round. Here the
sites are made up and time is: a loaded machine takes longer, and comes to the same figures. What is read of the sites,
and how it is parsed, is not in them.
"""

from __future__ import annotations

import argparse
import cProfile
import datetime as dt
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.goals import Figure, report
from tests.bench.growth import BEGAN, POOL, ROUND_S, Sites
from tests.bench.live import CPU_S, prepare

WARM_UP = 2
A_MINUTE = 12  # rounds: two ticks of each daemon


def measured(images: int, rounds: int, profile: str | None) -> list[Figure]:
    from drportal.engine.facts import Side
    from drportal.inventory.models import Site, SitePair
    from drportal.inventory.polling import PairWatch

    a, b = (
        Site.objects.create(slug=slug, name=slug, ssh_host="h", ssh_user="u", opennebula_url="http://h/RPC2")
        for slug in ("site-a", "site-b")
    )
    pair = SitePair.objects.create(a=a, b=b, pools=[POOL])
    watch, sites, profiler, took = (
        PairWatch(pair.pk, "bench", ROUND_S),
        Sites(images),
        cProfile.Profile(),
        list[float](),
    )
    for number in range(rounds + WARM_UP):
        now = BEGAN + dt.timedelta(seconds=ROUND_S * number + 2)
        turned = sites.turn(ROUND_S) if number else set()
        readings = {side: sites.reading(side, now, turned, everything=number == 0) for side in Side}
        began = time.process_time()
        if profile and number >= WARM_UP:
            profiler.runcall(watch._write, pair, readings, now)
        else:
            watch._write(pair, readings, now)
        took.append(time.process_time() - began)
    if profile:
        profiler.dump_stats(profile)
    counted = took[WARM_UP:]
    return [
        Figure("CPU of writing a round, median", statistics.median(counted), "s", CPU_S),
        Figure("CPU of writing a round, mean over ticks of the daemons", statistics.mean(counted), "s", CPU_S),
        Figure("CPU of writing a round, worst", max(counted), "s"),
        Figure("CPU of the first round, in which all is new", took[0], "s"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rounds", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=A_MINUTE)
    parser.add_argument("--profile", help="write a profile of the rounds after the first two into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drportal-bench-") as name:
        prepare(Path(name))
        found = measured(options.images, options.rounds, options.profile)
    sys.stdout.write(f"{options.images} images, {options.rounds} rounds, SQLite\n\n{report(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
