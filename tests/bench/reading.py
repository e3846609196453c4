"""What it costs to read the state of all images of one site, in the portal's way and in others."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from drportal.drivers.base import ImageRef
from drportal.drivers.observation import Part
from drportal.drivers.rbd_commands import RbdCommands
from tests.bench.sites import CommandFailed, End, timed_at_site

PORTAL_STATUS = "portal: mirror status of all, one exchange with the site program"
PORTAL_ALL = "portal: also roles, positions, snapshots, daemons, as a poll reads them"
VERBOSE_STATUS = "rbd mirror pool status --verbose, timed at the site"
POOL_STATUS = "rbd mirror pool status, timed at the site"
EACH_STATUS = "one by one over the same ssh: rbd mirror image status"
ALL_PARTS = (Part.INFO, Part.STATUS, Part.JOURNAL, Part.SNAPSHOTS, Part.POOL)
Reading = Callable[[], Awaitable[object]]


async def status_costs(end: End, refs: Sequence[ImageRef], rounds: int, *, bare: bool) -> dict[str, list[float]]:
    """Seconds by name, in interleaved rounds.

    ``bare``: also by commands timed at the site, which needs a host with a shell of its own.
    """
    ways = _ways(end, refs)
    found: dict[str, list[float]] = {name: [] for name in ways}
    if bare:
        found |= {VERBOSE_STATUS: [], POOL_STATUS: []}
    await end.program.hello()
    for _ in range(rounds):
        for name, read in ways.items():
            began = time.monotonic()
            await read()
            found[name].append(time.monotonic() - began)
        if bare:
            words = ["rbd", "mirror", "pool", "status", refs[0].pool]
            found[VERBOSE_STATUS].append(await timed_at_site(end, [*words, "--verbose"]))
            found[POOL_STATUS].append(await timed_at_site(end, words))
    return found


def _ways(end: End, refs: Sequence[ImageRef]) -> dict[str, Reading]:
    pool, names = refs[0].pool, [ref.name for ref in refs]
    commands = RbdCommands(None)

    async def status() -> None:
        seen = await end.program.observe(pool, (Part.STATUS,), names)
        missing = [name for name in names if seen.images[name].status is None]
        if missing:
            raise CommandFailed(f"the pool's status says nothing of {', '.join(missing)}")

    async def everything() -> None:
        seen = await end.program.observe(pool, ALL_PARTS)
        missing = [name for name in names if name not in seen.images or seen.images[name].info is None]
        if missing:
            raise CommandFailed(f"the reading of the pool says nothing of {', '.join(missing)}")

    async def each() -> None:
        for ref in refs:
            answer = await end.shell.read(commands.image_status(ref), deadline_s=60.0)
            if answer.exit_status:
                raise CommandFailed(f"{answer.command}: {answer.exit_status} {answer.stderr}")

    return {PORTAL_STATUS: status, PORTAL_ALL: everything, EACH_STATUS: each}
