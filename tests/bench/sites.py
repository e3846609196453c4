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
from drportal.drivers.site_link import SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.lab.control import LabClient, SiteDescription
from drportal.site_program.assemble import program_text

SETTLED_WITHIN_S = 300.0
VERB_DEADLINE_S = 600.0


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
    return _same_position(here) if here.info.mode is MirrorMode.JOURNAL else _has_newest(here, there)


def _same_position(here: ImageObservation) -> bool:
    positions = {client.client_id: client.position for client in here.journal.clients} if here.journal else {}
    own = positions.pop("", None)
    return own is not None and set(positions.values()) == {own}


def _has_newest(here: ImageObservation, there: ImageObservation) -> bool:
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


class CommandFailed(Exception):
    """A command that a person would run at a site ended with an error."""


async def timed_at_site(end: End, argv: Sequence[str], deadline_s: float = 60.0) -> float:
    """Seconds of the command by the site's own clock: without ssh."""
    line = f"date +%s.%N; {shlex.join(argv)} >/dev/null && date +%s.%N"
    answer = await end.shell.read(["sh", "-c", line], deadline_s=deadline_s)
    times = answer.stdout.split()
    if answer.exit_status or len(times) != 2:
        raise CommandFailed(f"{shlex.join(argv)}: exit {answer.exit_status}: {answer.stderr.strip()[-500:]}")
    return float(times[1]) - float(times[0])


async def pool_verbs(source: End, target: End, refs: Sequence[ImageRef]) -> float:
    """``rbd mirror pool demote`` and, once every demotion has arrived whole, ``pool promote``; seconds of the two."""
    pool, names = refs[0].pool, [ref.name for ref in refs]
    parts = (Part.INFO, Part.JOURNAL, Part.SNAPSHOTS)

    async def arrived() -> bool:
        here, there = await asyncio.gather(*(end.program.observe(pool, parts, names) for end in (source, target)))
        return all(_handed_over(here.images[name], there.images[name]) for name in names)

    demote_s = await timed_at_site(source, ["rbd", "mirror", "pool", "demote", pool], VERB_DEADLINE_S)
    await until("every demotion has arrived", arrived, SETTLED_WITHIN_S)
    return demote_s + await timed_at_site(target, ["rbd", "mirror", "pool", "promote", pool], VERB_DEADLINE_S)


def _handed_over(here: ImageObservation, there: ImageObservation) -> bool:
    if here.info is None or here.info.primary:
        return False
    if here.info.mode is MirrorMode.JOURNAL:
        return _same_position(here)
    ours = here.snapshots.mirror_snapshots if here.snapshots else ()
    return bool(ours) and ours[-1].state == "demoted" and _has_newest(here, there)


async def versions(end: End) -> tuple[str, str]:
    """Of Ceph (with the site program's engine) and of OpenNebula at the site."""
    hello = await end.program.hello()
    try:
        one, _ = await end.cloud.version()
    except Refused as error:
        one = error.detail
    return f"{hello.ceph} ({hello.engine})", one
