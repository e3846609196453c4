"""``python -m tests.bench.sockets``: a change at a site on the sockets of many open browsers.

A real server with Redis, a worker and a poller on the embedded lab. The peer is the same change seen by one client that
asks the API again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests import with_postgres
from tests.bench.goals import Figure, p95, report
from tests.live.browsers import Browsers
from tests.stack import LabProcess, PortalStack

POLL_S, WITHIN_S = 2.0, 0.25
FAULT = "opennebula-down"


def measure(count: int, changes: int, folder: Path) -> list[Figure]:
    lab = LabProcess("embedded", folder / "lab", vms=3)
    with lab, PortalStack(folder, lab, DRPORTAL_POLL_INTERVAL=f"{POLL_S:g}", DRPORTAL_REQUESTS_PER_MINUTE="0") as stack:
        return asyncio.run(_measured(stack, count, changes))


async def _measured(stack: PortalStack, count: int, changes: int) -> list[Figure]:
    viewer, lab = stack.client("viewer"), stack.lab.client

    def read() -> dict[str, Any]:
        return {site["slug"]: site["opennebula"]["ok"] for site in viewer.get("/sites")["items"]}

    async with Browsers(viewer, count, read) as browsers:
        await browsers.until_all_show(lambda sites: all(sites.values()))
        took: list[float] = []
        asking: list[float] = []
        for number in range(changes):
            down = number % 2 == 0
            await asyncio.sleep(random.uniform(0.0, POLL_S))  # at no fixed place between two looks
            change = (lambda: lab.fail("a", FAULT)) if down else (lambda: lab.restore("a", FAULT))
            peer = asyncio.create_task(_asked(read, not down))
            took += await browsers.arrivals("sites", change)
            asking.append(await peer)
            await browsers.until_all_show(lambda sites, up=not down: sites["site-a"] is up)  # type: ignore[misc]
        redis_s = await _without_redis(stack, browsers)
        cut_s = await _cut(stack, browsers)
    return [
        Figure(f"a change on {count} sockets, p95", p95(took), "s", POLL_S + WITHIN_S,
               peer=f"one that asks the API without pause: {p95(asking):.2f} s"),
        Figure(f"a change on {count} sockets, median", statistics.median(took), "s",
               peer=f"{statistics.median(asking):.2f} s"),
        Figure("a change, the slowest socket", max(took), "s"),
        Figure("sockets that show the database's state after Redis was killed", count, "", count, more_is_better=True,
               peer=f"{redis_s:.1f} s after it was back"),
        Figure("sockets that show the database's state after all were cut", count, "", count, more_is_better=True,
               peer=f"{cut_s:.1f} s after the cut"),
    ]  # fmt: skip


async def _asked(read: Any, up: bool) -> float:
    began = time.monotonic()
    while (await asyncio.to_thread(read))["site-a"] is not up:  # noqa: ASYNC110  (the peer polls)
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _without_redis(stack: PortalStack, browsers: Browsers) -> float:
    """Killed, a change while it is gone, and started again: raises where a browser shows anything else in the end."""
    stack.programs["redis"].kill()
    await asyncio.to_thread(stack.lab.client.fail, "a", FAULT)
    await browsers.until("they know that they are not live", lambda one: not one.live or one.times_live > 1)
    stack.programs["redis"].start()
    began = time.monotonic()
    await browsers.until("they are live again", lambda one: one.live)
    await browsers.until_all_show(lambda sites: not sites["site-a"])
    return time.monotonic() - began


async def _cut(stack: PortalStack, browsers: Browsers) -> float:
    for browser in browsers.all:
        browser.cut()
    began = time.monotonic()
    await asyncio.to_thread(stack.lab.client.restore, "a", FAULT)
    await browsers.until_all_show(lambda sites: all(sites.values()))
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sockets", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--sqlite", action="store_true", help="even where PostgreSQL is installed")
    args = parser.parse_args()
    postgres = not args.sqlite and with_postgres.server_programs() is not None
    if postgres and "DRPORTAL_TEST_DATABASE_URL" not in os.environ:
        return with_postgres.main([sys.executable, "-m", "tests.bench.sockets", *sys.argv[1:]], fsync="on")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(args.sockets, args.changes, Path(folder))
    database = "PostgreSQL" if "DRPORTAL_TEST_DATABASE_URL" in os.environ else "SQLite"
    loads = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    sys.stdout.write(f"{args.sockets} sockets, a poll every {POLL_S:g} s, {database}, {loads}\n\n{report(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
