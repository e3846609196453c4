"""What needs both sites: making them peers, and images that the other side replays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

from drportal.lab.ceph.cluster import POOL, Cluster
from drportal.lab.ceph.processes import run, wait_until
from drportal.lab.control import LabError

_AT_ONCE = 8
SCHEDULE = "1m"  # the shortest beat of mirror snapshots that Ceph has


async def make_peers(a: Cluster, b: Cluster) -> None:
    """Both directions, then rbd-mirror on both sides."""
    for here, there in ((a, b), (b, a)):
        token = await here.worker.ask("bootstrap_create")
        await there.worker.ask("bootstrap_import", token=token)
    for cluster in (a, b):
        cluster.mirror.start()


async def schedule_snapshots(cluster: Cluster) -> None:
    """Images in snapshot mode are copied by this beat only. Needs an active manager."""
    await cluster.manager_active()

    async def accepted() -> bool:
        try:
            await run(["rbd", "-c", cluster.conf, "mirror", "snapshot", "schedule", "add", "--pool", POOL, SCHEDULE])
        except LabError:  # an active manager still loads the module for a moment
            return False
        return True

    await wait_until(f"site {cluster.site} takes a snapshot schedule", accepted, 30, 0.5)


async def create_images(at: Cluster, images: Iterable[tuple[str, str, int]]) -> None:
    """(name, mode, size in bytes) each, mirrored."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(name: str, mode: str, size_bytes: int) -> None:
        async with slots:
            await at.worker.ask("create", name=name, size_bytes=size_bytes, mode=mode, timeout_s=60)

    await asyncio.gather(*(create(*image) for image in images))


async def wait_replaying(at: Cluster, names: Sequence[str], timeout_s: float) -> None:
    """Until the rbd-mirror there says so of all; it often speaks only every 30 s. Raises LabError."""
    missing = set(names)

    async def replaying() -> bool:
        at.mirror.check()
        missing.difference_update(await at.worker.ask("replaying"))
        return not missing

    try:
        await wait_until(f"site {at.site} replays", replaying, timeout_s, 0.25)
    except LabError as error:
        raise LabError(f"{error} Still missing: {', '.join(sorted(missing)[:8])}.") from None


async def wait_caught_up(source: Cluster, names: Iterable[str], timeout_s: float) -> None:
    """Until the other side has committed a position in the journal of each. Raises LabError."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async def caught_up() -> bool:
            async with slots:
                clients = await journal_clients(source, name)
            return len(clients) > 1 and len(set(map(json.dumps, map(_first_position, clients)))) == 1

        await wait_until(f"the other side has caught up with {name}", caught_up, timeout_s, 1)

    await asyncio.gather(*(one(name) for name in names))


async def journal_clients(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    words = ["journal", "status", "--pool", POOL, "--image", name, "--format", "json"]
    answer = json.loads(await run(["rbd", "-c", cluster.conf, *words]))
    clients: list[dict[str, Any]] = answer["registered_clients"]
    return clients


def _first_position(client: dict[str, Any]) -> Any:
    positions = client["commit_position"]["object_positions"]
    return positions[0] if positions else None
