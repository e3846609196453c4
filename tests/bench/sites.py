"""Both sites of a lab through the portal's drivers: until mirroring has settled, VMs off and on, cost of a status."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from drportal.drivers.base import ImageRef, MirrorMode
from drportal.drivers.base_cloud import VmPhase
from drportal.drivers.errors import Refused
from drportal.drivers.observation import ImageObservation, Part
from drportal.drivers.opennebula import OpenNebulaOverXmlRpc, OpenNebulaTarget
from drportal.drivers.rbd_commands import RbdCommands
from drportal.drivers.site_link import SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.lab.control import LabClient, SiteDescription
from drportal.site_program.assemble import program_text

SETTLED_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class End:
    """``program``: the way of the portal; ``shell``: for what a person would run there."""

    shell: SshShell
    program: SiteProgram
    cloud: OpenNebulaOverXmlRpc


def _connect(site: SiteDescription) -> End:
    ssh, one = site.ssh, site.opennebula
    login = SshTarget(ssh.host, ssh.port, ssh.user, ssh.private_key, (ssh.host_key,))
    program = SiteProgram(SiteLink(login, sent(program_text())), deadline_s=60.0)
    cloud = OpenNebulaOverXmlRpc(OpenNebulaTarget(one.url, one.username, one.password))
    return End(SshShell(login), program, cloud)


@asynccontextmanager
async def ends(lab: LabClient) -> AsyncIterator[dict[str, End]]:
    """Both sites by their keys "a" and "b"."""
    connected = {key: _connect(site) for key, site in lab.description.sites.items()}
    try:
        yield connected
    finally:
        for end in connected.values():
            await end.shell.close()
            await end.program.close()
            await end.cloud.close()


async def until(what: str, ready: Callable[[], Awaitable[bool]], patience_s: float) -> None:
    """Raises TimeoutError with ``what``."""
    deadline = time.monotonic() + patience_s
    while not await ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:.0f} s: {what}")
        await asyncio.sleep(1.0)


async def settle(primary: End, replica: End, refs: Sequence[ImageRef]) -> None:
    """Until each image is primary at the one side, replays at the other, and the other has all of it."""
    pool, names = refs[0].pool, [ref.name for ref in refs]
    parts = (Part.INFO, Part.JOURNAL, Part.SNAPSHOTS, Part.STATUS)

    async def settled() -> bool:
        here, there = await asyncio.gather(*(end.program.observe(pool, parts, names) for end in (primary, replica)))
        return all(_caught_up(here.images[name], there.images[name]) for name in names)

    await until(f"mirroring of {len(refs)} images has settled", settled, SETTLED_WITHIN_S)


def _caught_up(here: ImageObservation, there: ImageObservation) -> bool:
    if here.info is None or not here.info.primary or there.status is None or there.status.state != "up+replaying":
        return False
    if here.info.mode is MirrorMode.JOURNAL:
        positions = {client.client_id: client.position for client in here.journal.clients} if here.journal else {}
        own = positions.pop("", None)
        return own is not None and set(positions.values()) == {own}
    ours = here.snapshots.mirror_snapshots if here.snapshots else ()
    theirs = there.snapshots.mirror_snapshots if there.snapshots else ()
    if not ours or not theirs:
        return False
    return theirs[-1].complete is True and theirs[-1].primary_snap_id == ours[-1].snap_id


async def power(end: End, refs: Sequence[ImageRef], *, on: bool) -> None:
    """All VMs of the site off or on, through OpenNebula; off: until nobody but the mirror daemon has an image open."""
    wanted, action = (VmPhase.RUNNING, "resume") if on else (VmPhase.OFF, "poweroff")
    for vm in (await end.cloud.everything()).vms:
        if vm.phase not in (wanted, VmPhase.GONE):
            await end.cloud.vm_action(vm.vm_id, action)

    async def there() -> bool:
        return all(vm.phase in (wanted, VmPhase.GONE) for vm in (await end.cloud.everything()).vms)

    await until(f"all VMs are {wanted.value}", there, 180)
    if on:
        return

    pool, names = refs[0].pool, [ref.name for ref in refs]

    async def let_go() -> bool:
        seen = await end.program.observe(pool, (Part.WATCHERS, Part.MIRROR_CLIENTS), names)
        daemons = seen.mirror_clients.clients if seen.mirror_clients else frozenset()
        return all(
            image.watchers is not None and all(watcher.client in daemons for watcher in image.watchers.watchers)
            for image in seen.images.values()
        )

    await until("nobody holds an image open", let_go, 120)


PORTAL_STATUS = "portal: one exchange with the site program"
BARE_STATUS = "rbd mirror pool status --verbose, timed at the site"
EACH_STATUS = "one by one over the same ssh: rbd mirror image status"


async def status_costs(end: End, refs: Sequence[ImageRef], rounds: int, *, bare: bool) -> dict[str, list[float]]:
    """Seconds to read the mirror status of all images, in the portal's way and in two others.

    ``bare``: also by a command timed at the site, which needs a host with a shell of its own.
    """
    commands = RbdCommands(None)
    pool, names = refs[0].pool, [ref.name for ref in refs]
    found: dict[str, list[float]] = {PORTAL_STATUS: [], EACH_STATUS: []}
    if bare:
        found[BARE_STATUS] = []
    await end.program.hello()
    for _ in range(rounds):
        began = time.monotonic()
        seen = await end.program.observe(pool, (Part.STATUS,), names)
        found[PORTAL_STATUS].append(time.monotonic() - began)
        missing = [name for name in names if seen.images[name].status is None]
        if missing:
            raise AssertionError(f"the pool's status says nothing of {', '.join(missing)}")
        if bare:
            found[BARE_STATUS].append(await _timed_at_site(end, commands.pool_status(pool)))
        began = time.monotonic()
        for ref in refs:
            answer = await end.shell.read(commands.image_status(ref), deadline_s=60.0)
            if answer.exit_status:
                raise AssertionError(f"{answer.command}: {answer.exit_status} {answer.stderr}")
        found[EACH_STATUS].append(time.monotonic() - began)
    return found


async def _timed_at_site(end: End, argv: Sequence[str]) -> float:
    line = f"date +%s.%N; {shlex.join(argv)} >/dev/null && date +%s.%N"
    answer = await end.shell.read(["sh", "-c", line], deadline_s=60.0)
    began, ended = (float(word) for word in answer.stdout.split())
    return ended - began


async def versions(end: End) -> tuple[str, str]:
    """Of Ceph (with the site program's engine) and of OpenNebula at the site."""
    hello = await end.program.hello()
    try:
        one, _ = await end.cloud.version()
    except Refused as error:
        one = error.detail
    return f"{hello.ceph} ({hello.engine})", one
