"""The real lab's process: it starts both sites, answers control calls, and takes everything down with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drportal.lab.ceph import mirror
from drportal.lab.ceph.cluster import POOL, Ports
from drportal.lab.ceph.site import CephSite, build_site
from drportal.lab.ceph.worker import WorkerError
from drportal.lab.control import FILE_NAME as LAB_FILE
from drportal.lab.control import MIB, ControlAccess, LabDescription, LabError
from drportal.lab.embedded.server import networks
from drportal.lab.endpoint import ControlEndpoint

SITES = ("a", "b")
_FIRST_IMAGE_ID = 10
_FIRST_EXTRA_ID = 10_001  # far from the ids that OpenNebula will give
_PATTERN = (("web", 1, 512, 0.5), ("db", 2, 2048, 1.0), ("app", 2, 1024, 1.0))  # name, disks, memory in MB, CPU
_IMAGE_BYTES = 16 * MIB
_REPLAY_PATIENCE_S = 180.0
_PORTS_PER_SITE = 50
_CLAIM = 9
_PORT_RANGE = (14_000, 32_000)  # below the ephemeral ones, which a restored site could find taken


@dataclass(frozen=True, slots=True)
class CephLabOptions:
    """`mode` is journal, snapshot or mixed (the db disks and every other extra image in snapshot mode)."""

    vms: int = 3
    images: int = 0
    mode: str = "mixed"
    guest_writes: bool = False


@dataclass(frozen=True, slots=True)
class PlannedVm:
    name: str
    memory_mb: int
    cpu: float
    disks: tuple[tuple[str, str], ...]  # image, mode


def planned_vms(options: CephLabOptions) -> list[PlannedVm]:
    """web-1, db-1, app-1, web-2, ... with the names that OpenNebula gives to persistent images."""
    made, number = [], _FIRST_IMAGE_ID
    for index in range(options.vms):
        base, disks, memory_mb, cpu = _PATTERN[index % len(_PATTERN)]
        snapshot = options.mode == "snapshot" or (options.mode == "mixed" and base == "db")
        mode = "snapshot" if snapshot else "journal"
        images = tuple((f"one-{number + disk}", mode) for disk in range(disks))
        made.append(PlannedVm(f"{base}-{index // len(_PATTERN) + 1}", memory_mb, cpu, images))
        number += disks
    return made


def extra_images(options: CephLabOptions) -> list[tuple[str, str]]:
    """(image, mode) each; no VM has them."""
    modes = {"mixed": ("journal", "snapshot")}.get(options.mode, (options.mode,))
    return [(f"one-{_FIRST_EXTRA_ID + index}", modes[index % len(modes)]) for index in range(options.images)]


def free_ports() -> Ports:
    """A block for one site, claimed. Raises LabError when there is none."""
    for first in random.sample(range(*_PORT_RANGE, _PORTS_PER_SITE), 50):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first + _CLAIM))
        except OSError:
            claim.close()
            continue
        if all(_is_free(port) for port in range(first, first + 16) if port != first + _CLAIM):
            return Ports(first, claim)
        claim.close()
    raise LabError(
        f"No {_PORTS_PER_SITE} free ports between {_PORT_RANGE[0]} and {_PORT_RANGE[1]}. Nothing was started."
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class CephLab:
    """Build, start, answer, stop. Its world is new at each start."""

    def __init__(self, directory: Path, options: CephLabOptions, announce: Callable[[str], None]) -> None:
        self.directory = directory.resolve()
        self.root = self.directory / "ceph"
        self.options = options
        self.began = time.monotonic()
        self._announce = announce
        self._token = secrets.token_urlsafe(24)
        self.endpoint = ControlEndpoint(self.handle, self._token)
        self.ended = asyncio.Event()
        self.sites: dict[str, CephSite] = {}
        self._control_port = 0

    def say(self, text: str) -> None:
        self._announce(f"[{time.monotonic() - self.began:5.1f} s] {text}")

    async def start(self) -> LabDescription:
        """Returns when all images replay and everything listens. Raises LabError; `stop` must follow in any case."""
        (self.directory / LAB_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(mode=0o700)
        for key in SITES:
            self.sites[key] = self._site(key)
        await asyncio.gather(*(self._build(site) for site in self.sites.values()))
        self.say("both clusters are up")
        a, b = (site.cluster for site in self.sites.values())
        await mirror.make_peers(a, b)
        await self._populate()
        for site in self.sites.values():
            await site.start_front_end()
        self._control_port = await self.endpoint.start()
        description = self.describe()
        description.write(self.directory)
        return description

    def _site(self, key: str) -> CephSite:
        return build_site(
            key,
            self.root,
            free_ports(),
            password=secrets.token_urlsafe(18),
            networks=networks(key, self.options.vms),
            guest_writes=self.options.guest_writes,
        )

    async def _build(self, site: CephSite) -> None:
        site.cluster.write_files()
        await site.sshd.prepare()
        await site.sshd.start()
        await site.cluster.build()

    async def _populate(self) -> None:
        """The VMs of site a with their disks, and the extra images; returns when site b replays them all."""
        vms = planned_vms(self.options)
        disks = [disk for vm in vms for disk in vm.disks] + extra_images(self.options)
        a, b = self.sites["a"], self.sites["b"]
        await mirror.create_images(a.cluster, ((name, mode, _IMAGE_BYTES) for name, mode in disks))
        self.say(f"{len(disks)} images made at site a")
        schedules = [asyncio.create_task(mirror.schedule_snapshots(site.cluster)) for site in self.sites.values()]
        for vm in vms:
            sources = [f"{POOL}/{name}" for name, _ in vm.disks]
            a.nebula.add_running_vm(vm.name, sources, "production-a", vm.memory_mb, vm.cpu)
            await asyncio.sleep(0)
        await asyncio.gather(*schedules)
        await mirror.wait_replaying(b.cluster, [name for name, _ in disks], _REPLAY_PATIENCE_S)
        self.say("site b replays them all")
        await mirror.wait_caught_up(a.cluster, [name for name, mode in disks if mode == "journal"], _REPLAY_PATIENCE_S)
        self.say("and has caught up")

    def describe(self) -> LabDescription:
        control = ControlAccess(f"http://127.0.0.1:{self._control_port}", self._token)
        return LabDescription(
            "ceph", os.getpid(), POOL, control, {key: site.describe() for key, site in self.sites.items()}
        )

    async def stop(self, *, keep_logs: bool = False) -> None:
        """lab.json goes last: who waits for its end finds nothing left."""
        await self.endpoint.stop()
        for site in self.sites.values():
            await site.stop()
        if not keep_logs:
            shutil.rmtree(self.root, ignore_errors=True)
        (self.directory / LAB_FILE).unlink(missing_ok=True)

    # ---- control verbs

    async def handle(self, verb: str, params: dict[str, Any]) -> Any:
        match verb:
            case "status":
                return await self._status()
            case "down":
                asyncio.get_running_loop().call_later(0.05, self.ended.set)
                return None
        site, image = self._site_of(params), str(params.get("image", ""))
        match verb:
            case "fail":
                return await site.fail(str(params.get("fault", "")), dict(params.get("options") or {}))
            case "restore":
                return await site.restore(params.get("fault"))
            case "create_image":
                return await self._create_image(site, params)
            case "write":
                return await site.write(image, str(params.get("seed", "")))
            case "guest_write":
                return await site.guest_write(image, int(params.get("number", 0)), int(params.get("count", 1)))
            case "checksum":
                return await site.checksum(image)
            case "held":
                return await site.held(image)
            case "image":
                return await site.image(image)
        raise LabError(f"The lab has no verb {verb!r}.")

    async def _status(self) -> dict[str, Any]:
        reports = await asyncio.gather(*(site.status() for site in self.sites.values()))
        return {
            "kind": "ceph",
            "pid": os.getpid(),
            "pool": POOL,
            "uptime_s": round(time.monotonic() - self.began, 1),
            "sites": dict(zip(self.sites, reports, strict=True)),
        }

    def _site_of(self, params: dict[str, Any]) -> CephSite:
        key = str(params.get("site", ""))
        if key not in self.sites:
            raise LabError(f"There is no site {key!r}; the sites are a and b.")
        return self.sites[key]

    async def _create_image(self, site: CephSite, params: dict[str, Any]) -> None:
        name, mode = str(params.get("name", "")), str(params.get("mode", "journal"))
        if mode not in ("journal", "snapshot"):
            raise LabError(f"An image is mirrored in mode journal or snapshot, not {mode!r}. Nothing was made.")
        try:
            await mirror.create_images(site.cluster, [(name, mode, int(params.get("size_bytes", _IMAGE_BYTES)))])
        except WorkerError as error:
            raise LabError(f"{name} was not created at site {site.key}: {error}") from error
        other = self.sites["b" if site.key == "a" else "a"].cluster
        await mirror.wait_replaying(other, [name], 120)
        if mode == "journal":
            await mirror.wait_caught_up(site.cluster, [name], 60)


async def run(directory: Path, options: CephLabOptions, announce: Callable[[str], None]) -> None:
    """Until SIGINT, SIGTERM, or `down`, at any moment of the start too. Raises LabError if it cannot start."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lab = CephLab(directory, options, announce)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lab.ended.set)
    ended, starting = asyncio.create_task(lab.ended.wait()), asyncio.create_task(lab.start())
    keep_logs = True
    try:
        await asyncio.wait({ended, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            description = starting.result()
            lab.say(f"the real lab is up: {directory / LAB_FILE}")
            for site in description.sites.values():
                where = f"{site.ssh.user}@{site.ssh.host}:{site.ssh.port}"
                announce(f"  {site.name}: ssh {where}, OpenNebula {site.opennebula.url}")
            await ended
        keep_logs = False
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, LabError):
            await starting
        await lab.stop(keep_logs=keep_logs)
        announce(f"The real lab is down{f'; its logs are below {lab.root}' if keep_logs else ''}.")
