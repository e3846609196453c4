"""The embedded lab's process: two sites in one event loop, their ports, and the control endpoint."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from drportal.lab.control import FILE_NAME as LAB_FILE
from drportal.lab.control import (
    ControlAccess,
    LabDescription,
    LabError,
    OpenNebulaAccess,
    SiteDescription,
    SshAccess,
    salvage_directory,
)
from drportal.lab.embedded.copies import JOURNAL, SNAPSHOT, Role
from drportal.lab.embedded.identity import Identity
from drportal.lab.embedded.lines import Lines
from drportal.lab.embedded.nebula.agenda import Timings
from drportal.lab.embedded.nebula.networks import NetworkSpec
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.rbd import Rbd
from drportal.lab.embedded.shell import Shell
from drportal.lab.embedded.site import LabSite, build_site
from drportal.lab.embedded.ssh import USER, SshHost
from drportal.lab.embedded.timing import Timing
from drportal.lab.embedded.witness import HOST, LabWitness
from drportal.lab.embedded.world import SITES, World
from drportal.lab.endpoint import ControlEndpoint
from drportal.site_program.assemble import witness_options

_FIRST_IMAGE_ID = 10
_PATTERN = (("web", 1, 512, 0.5), ("db", 2, 2048, 1.0), ("app", 2, 1024, 1.0))  # name, disks, memory in MB, CPU
_DISK_BYTES = (10 * 2**30, 20 * 2**30)  # system disk, data disk
_NOT_IN_TIME_S = 120.0


@dataclass(frozen=True, slots=True)
class LabOptions:
    """`mode` is journal, snapshot or mixed (the db disks in snapshot mode)."""

    vms: int = 3
    mode: str = "mixed"
    speed: float = 1.0
    default_logging: bool = False
    write_rate_per_s: float = 2.0


class EmbeddedLab:
    """Build, start, answer, stop."""

    def __init__(self, directory: Path, options: LabOptions) -> None:
        self.directory = directory
        self.options = options
        self.began = time.time()
        self.identity = Identity.load(directory)
        self.world = World(time.time, Timing.at_speed(options.speed), write_rate_per_s=options.write_rate_per_s)
        self.lines = Lines()
        self.sites = {key: self._site(key) for key in SITES}
        self.witness = LabWitness(self._witness())
        self.endpoint = ControlEndpoint(self.handle, self.identity.token)
        self.ended = asyncio.Event()
        self._described = False

    def _site(self, key: str) -> LabSite:
        own = self.identity.sites[key]
        site = build_site(
            self.world,
            key,
            host_key=own.host_key,
            client_key=own.client_key,
            home=(self.directory / f"home-{key}").resolve(),
            password=own.password,
            clock=time.time,
            lines=self.lines,
            networks=networks(key, self.options.vms),
            host_cores=max(512, self.options.vms),  # of two hosts: all VMs fit at either site
            host_memory_mb=max(4 * 2**20, 2048 * self.options.vms),
            timings=Timings.at_speed(self.options.speed),
        )
        site.shell.rbd.default_logging = self.options.default_logging
        return site

    def _witness(self) -> SshHost:
        """Its shell is a site's, and nobody gets past its key's forced command to it."""
        own = self.identity.witness
        return SshHost(
            Shell(Rbd(self.world, "a")),
            asyncssh.import_private_key(own.host_key),
            asyncssh.import_private_key(own.client_key),
            (self.directory / f"home-{HOST}").resolve(),
            partial(self.lines.look, HOST),
            witness_options(),
        )

    def populate(self) -> None:
        """The VMs of site a, running for a while, their disks mirrored to b."""
        number = _FIRST_IMAGE_ID
        for index in range(self.options.vms):
            base, disks, memory_mb, cpu = _PATTERN[index % len(_PATTERN)]
            snapshot = self.options.mode == SNAPSHOT or (self.options.mode == "mixed" and base == "db")
            sources = []
            for disk in range(disks):
                name = f"one-{number}"
                self.world.settled_pair("a", name, _DISK_BYTES[disk], SNAPSHOT if snapshot else JOURNAL)
                sources.append(f"{self.world.pool}/{name}")
                number += 1
            name = f"{base}-{index // len(_PATTERN) + 1}"
            self.sites["a"].nebula.add_running_vm(name, sources, "production-a", memory_mb, cpu)

    async def start(self) -> LabDescription:
        """Listen everywhere, then write lab.json. Raises LabError if a kept port is taken."""
        self._drop_stale_description()
        self.populate()
        try:
            for key, site in self.sites.items():
                own = self.identity.sites[key]
                own.ssh_port = await site.ssh.start(own.ssh_port)
                own.opennebula_port = await site.nebula.serve("127.0.0.1", own.opennebula_port)
            third = self.identity.witness
            third.ssh_port = await self.witness.ssh.start(third.ssh_port)
            self.identity.control_port = await self.endpoint.start(self.identity.control_port)
        except OSError as error:
            await self.stop()
            raise LabError(
                f"The lab in {self.directory} was not started: a port it used before is taken ({error}). Stop what "
                "uses it, "
                f"or delete {self.directory / 'identity.json'} to get new ports and keys."
            ) from error
        self.identity.save(self.directory)
        description = self.describe()
        description.write(self.directory)
        self._described = True
        return description

    def describe(self) -> LabDescription:
        sites = {}
        for key, site in self.sites.items():
            own = self.identity.sites[key]
            ssh = SshAccess("127.0.0.1", own.ssh_port, USER, own.client_key, own.host_public_line())
            one = OpenNebulaAccess(f"http://127.0.0.1:{own.opennebula_port}/RPC2", "dr-portal", own.password)
            sites[key] = SiteDescription(site.world.sites[key].name, ssh, one, salvage_directory(self.directory, key))
        third = self.identity.witness
        witness = SshAccess("127.0.0.1", third.ssh_port, USER, third.client_key, third.host_public_line())
        control = ControlAccess(f"http://127.0.0.1:{self.identity.control_port}", self.identity.token)
        return LabDescription("embedded", os.getpid(), self.world.pool, control, sites, witness)

    def _drop_stale_description(self) -> None:
        """A lab that was killed leaves its lab.json; whoever waits for ours must not find that one."""
        try:
            os.kill(LabDescription.read(self.directory).pid, 0)
        except (LabError, ValueError, KeyError, ProcessLookupError):
            (self.directory / LAB_FILE).unlink(missing_ok=True)

    async def stop(self) -> None:
        if self._described:
            (self.directory / LAB_FILE).unlink(missing_ok=True)
        await self.endpoint.stop()
        for site in self.sites.values():
            await site.nebula.close()
            await site.ssh.stop()
        await self.witness.ssh.stop()

    # ---- control verbs

    async def handle(self, verb: str, params: dict[str, Any]) -> Any:
        match verb:
            case "status":
                return self._status()
            case "down":
                asyncio.get_running_loop().call_later(0.05, self.ended.set)
                return None
            case "fail":
                return await self._failing(params).fail(str(params.get("fault", "")), dict(params.get("options") or {}))
            case "restore":
                return await self._failing(params).restore(params.get("fault"))
            case "create_image":
                return await self._create_image(params)
            case "acts":
                return [asdict(act) for act in self._site_of(params).shell.acts]
            case "write" | "checksum" | "image":
                return self._on_image(verb, params)
        raise LabError(f"The lab has no verb {verb!r}.")

    def _status(self) -> dict[str, Any]:
        return {
            "kind": "embedded",
            "pid": os.getpid(),
            "pool": self.world.pool,
            "speed": self.options.speed,
            "uptime_s": round(time.time() - self.began, 1),
            "sites": {key: site.status() for key, site in self.sites.items()},
            "witness": self.witness.status(),
        }

    def _failing(self, params: dict[str, Any]) -> LabSite | LabWitness:
        return self.witness if params.get("site") == HOST else self._site_of(params)

    def _site_of(self, params: dict[str, Any]) -> LabSite:
        key = str(params.get("site", ""))
        if key not in self.sites:
            raise LabError(f"There is no site {key!r}; the sites are a and b.")
        return self.sites[key]

    def _pair_of(self, site: LabSite, name: str) -> Pair:
        try:
            pair = self.world.pair(name)
            pair.copy(site.key)
        except Refused:
            raise LabError(f"There is no image {name!r} at site {site.key}.") from None
        return pair

    def _on_image(self, verb: str, params: dict[str, Any]) -> Any:
        site, name = self._site_of(params), str(params.get("image", ""))
        pair, now = self._pair_of(site, name), time.time()
        if verb == "write":
            if not self.world.site_up(site.key):
                raise LabError(f"Site {site.key} is dead or hung: (110) Connection timed out. Nothing was written.")
            try:
                pair.fill(site.key, params.get("seed", ""), now)
            except Refused:
                raise LabError(
                    f"{name} is not primary at site {site.key}: (30) Read-only file system. Nothing was written."
                ) from None
            return None
        content, copy = pair.content(site.key, now), pair.copies[site.key]
        if verb == "checksum":
            return content.fill
        return {
            "name": name,
            "mode": pair.mode,
            "role": copy.role.value if copy.role else None,
            "content": content.fill,
            "content_with_guests": f"{content.fill}:{content.guest}",
            "global_id": pair.global_id,
            "id": copy.image_id,
            "open_by": sorted(copy.users),
            "resync_pending": copy.resync,
            "replaying": copy.replay is not None,
        }

    async def _create_image(self, params: dict[str, Any]) -> None:
        site, name, mode = self._site_of(params), str(params.get("name", "")), str(params.get("mode", JOURNAL))
        if mode not in (JOURNAL, SNAPSHOT):
            raise LabError(f"An image is mirrored in mode journal or snapshot, not {mode!r}.")
        try:
            pair = self.world.create(site.key, name, int(params.get("size_bytes", 16 * 2**20)))
            pair.enable(site.key, mode, self.world.clock())
        except Refused as refused:
            raise LabError(f"{name} was not created at site {site.key}: {refused.why}.") from None
        until = time.monotonic() + _NOT_IN_TIME_S
        while time.monotonic() < until:
            far = self.world.pair(name).far(site.key)
            said = pair.published.get(self.world.other(site.key))
            if far is not None and far.role is Role.REPLICA and not far.syncing and said and said.state == "replaying":
                return
            await asyncio.sleep(0.02)
        raise LabError(
            f"{name} exists at site {site.key}, but the other side does not replay it after {_NOT_IN_TIME_S:.0f} s."
        )


def networks(key: str, vms: int) -> tuple[NetworkSpec, ...]:
    """The site's own network with room for all VMs, and one that is none of theirs."""
    third = {"a": 10, "b": 20}[key]
    spec = NetworkSpec(f"production-{key}", f"192.168.{third}.0/24", ((f"192.168.{third}.10", 240),))
    if vms > 240:  # a /24 is full: a wider range behind the same name
        spec = NetworkSpec(f"production-{key}", f"10.{third}.0.0/16", ((f"10.{third}.1.0", 60000),))
    return (spec, NetworkSpec(f"backup-{key}", f"172.16.{third}.0/24", ((f"172.16.{third}.10", 100),)))


async def run(directory: Path, options: LabOptions, announce: Any = print) -> None:
    """Until SIGINT, SIGTERM, or `down`. Raises LabError if it cannot start."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lab = EmbeddedLab(directory, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lab.ended.set)
    description = await lab.start()
    announce(f"The embedded lab is up: {directory / LAB_FILE}")
    for site in description.sites.values():
        announce(
            f"  {site.name}: ssh {site.ssh.user}@{site.ssh.host}:{site.ssh.port}, OpenNebula {site.opennebula.url}"
        )
    try:
        await lab.ended.wait()
    finally:
        await lab.stop()
        announce("The embedded lab is down.")
