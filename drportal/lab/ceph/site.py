"""One site of the real lab as a whole: Ceph, sshd, OpenNebula, and the faults that hit them."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drportal.lab import faults
from drportal.lab.ceph.cluster import POOL, Cluster, Ports
from drportal.lab.ceph.processes import clean_env, kill_hard
from drportal.lab.ceph.sshd import Sshd
from drportal.lab.ceph.storage import CephStorage, is_read_only
from drportal.lab.ceph.worker import WorkerError
from drportal.lab.control import LabError, OpenNebulaAccess, SiteDescription, salvage_directory
from drportal.lab.embedded.nebula import NebulaSite, NetworkSpec

_WHOLE_SITE = frozenset({"site-down", "site-hung"})
_BLOCK = 2**20


@dataclass(slots=True)
class CephSite:
    """`faults` are the active ones by name, with their options."""

    key: str
    cluster: Cluster
    sshd: Sshd
    storage: CephStorage
    nebula: NebulaSite
    password: str
    opennebula_port: int = 0
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_images: list[dict[str, Any]] = field(default_factory=list)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        return f"site-{self.key}"

    @property
    def standing(self) -> bool:
        return not _WHOLE_SITE & set(self.faults)

    async def start_front_end(self) -> None:
        self.opennebula_port = await self.nebula.serve("127.0.0.1", self.cluster.ports.opennebula)

    async def stop(self) -> None:
        self.storage.opened.clear()
        await self.nebula.close()
        await kill_hard([self.sshd.daemon, *self.cluster.daemons])
        self.cluster.forget_sockets()

    def describe(self) -> SiteDescription:
        one = OpenNebulaAccess(f"http://127.0.0.1:{self.opennebula_port}/RPC2", "dr-portal", self.password)
        lab = self.cluster.root.parent.parent
        return SiteDescription(self.name, self.sshd.access(), one, salvage_directory(lab, self.key))

    # ---- faults

    async def fail(self, fault: str, options: dict[str, Any]) -> None:
        """Raises LabError for an unknown fault or option, or one of the embedded lab only; nothing has changed then."""
        faults.check(fault, options, real=True)
        if fault in faults.OPENNEBULA_FAULTS:
            await self._fail_nebula(fault, options)
            return
        if not self.standing and fault not in self.faults:
            raise LabError(
                f"Site {self.key} is {' and '.join(sorted(self.faults))}; restore it first. Nothing was changed."
            )
        async with self.busy:
            if fault not in self.faults:
                self.faults[fault] = options
                await self._cause(fault, options)

    async def _fail_nebula(self, fault: str, options: dict[str, Any]) -> None:
        plain = {key: int(value) if str(value).isdigit() else value for key, value in options.items()}
        try:
            await self.nebula.fail(fault, **plain)
        except (ValueError, TypeError) as error:
            raise LabError(f"{error}.") from error

    async def _cause(self, fault: str, options: dict[str, Any]) -> None:
        match fault:
            case "site-down":
                await self._remember_images()
                await self.nebula.fail("opennebula-down")
                await kill_hard([self.sshd.daemon, *self.cluster.daemons])
                if options.get("power") == "lost":
                    self.nebula.cut_power()
            case "site-hung":
                await self._remember_images()
                await self.nebula.fail("opennebula-hung")
                self.sshd.daemon.hang()
                self.cluster.hang()
            case "rbd-mirror-down":
                await kill_hard([self.cluster.mirror])
            case "rbd-mirror-hung":
                self.cluster.mirror.hang()
            case "wrong-host-key":
                await self.sshd.use_key(wrong=True)

    async def restore(self, fault: str | None) -> None:
        """None: all of them."""
        if fault in faults.OPENNEBULA_FAULTS:
            await self.nebula.restore(fault)
            return
        async with self.busy:
            # the whole site first: nothing of it can be mended while it is dead
            for name in sorted(self.faults, key=lambda name: name not in _WHOLE_SITE):
                if fault in (None, name):
                    del self.faults[name]
                    await self._mend(name)
        if fault is None:
            await self.nebula.restore()

    async def _mend(self, fault: str) -> None:
        match fault:
            case "site-down":
                await self.cluster.start_again()
                await self.storage.open_again()
                await self.sshd.start()
                await self._mirror_again()
                await self.nebula.restore("opennebula-down")
            case "site-hung":
                await self.cluster.thaw()
                if "rbd-mirror-hung" in self.faults:
                    self.cluster.mirror.hang()
                self.sshd.daemon.thaw()
                await self.nebula.restore("opennebula-hung")
            case "rbd-mirror-down":
                await self._mirror_again()
            case "rbd-mirror-hung":
                self.cluster.mirror.thaw()
            case "wrong-host-key":
                await self.sshd.use_key(wrong=False)

    async def _mirror_again(self) -> None:
        """Unless it is dead, or is to be, for another reason."""
        if self.standing and self.cluster.mirror.alive() == "dead" and "rbd-mirror-down" not in self.faults:
            self.cluster.mirror.start()
            if "rbd-mirror-hung" in self.faults:
                self.cluster.mirror.hang()

    # ---- what is there

    async def _remember_images(self) -> None:
        """A dead site's copies stay what they were: nobody can change them."""
        try:
            self.last_images = await self.cluster.worker.ask("images")
        except WorkerError:
            return

    async def status(self) -> dict[str, Any]:
        """Roles are read from the cluster now; those of a dead or hung site are its last ones."""
        if self.standing:
            await self._remember_images()
        nebula = self.nebula.status()
        vms, faults = nebula["vms"], nebula["faults"]
        assert isinstance(vms, list) and isinstance(faults, list)
        needed = (self.cluster.mon, self.cluster.osd, self.sshd.daemon)
        return {
            "name": self.name,
            "alive": all(daemon.alive() == "running" for daemon in needed),
            "daemons": {daemon.name: daemon.alive() for daemon in [*self.cluster.daemons, self.sshd.daemon]},
            "rbd_mirror": self.cluster.mirror.alive(),
            "faults": {**self.faults, **{fault["fault"]: fault for fault in faults}},
            "images": {image["name"]: _shown(image) for image in self.last_images},
            "vms": {str(vm["id"]): {**vm, "state": vm["state_name"]} for vm in vms},
        }

    async def image(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("image", name)
        return {**found, **_shown(found)}

    async def _ask(self, verb: str, name: str, **args: Any) -> Any:
        self._must_stand()
        try:
            return await self.cluster.worker.ask(verb, name=name, timeout_s=120, **args)
        except WorkerError as error:
            if is_read_only(error):
                raise LabError(
                    f"{name} is not primary at site {self.key}: (30) Read-only file system. Nothing was written."
                ) from error
            raise LabError(f"{POOL}/{name} at site {self.key}: {error}") from error

    def _must_stand(self) -> None:
        if not self.standing:
            raise LabError(f"Site {self.key} is {' and '.join(sorted(self.faults))}: nobody can read or write there.")

    async def write(self, name: str, seed: str) -> None:
        await self._ask("write", name, seed=seed)

    async def guest_write(self, name: str, number: int, count: int) -> None:
        await self._ask("guest_write", name, number=number, count=count)

    async def held(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("held", name)
        return found

    async def checksum(self, name: str) -> str:
        """sha256 of `rbd export`."""
        self._must_stand()
        process = await asyncio.create_subprocess_exec(
            *["rbd", "-c", str(self.cluster.conf), "export", "--no-progress", f"{POOL}/{name}", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_env(),
        )
        assert process.stdout is not None and process.stderr is not None
        digest = hashlib.sha256()
        while block := await process.stdout.read(_BLOCK):
            digest.update(block)
        words = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait():
            raise LabError(
                f"rbd export {POOL}/{name} at site {self.key} ended with exit code {process.returncode}: {words}"
            )
        return digest.hexdigest()


def _shown(image: dict[str, Any]) -> dict[str, Any]:
    """`primary` in the sense of the lab's status: writable here."""
    role = {True: "primary", False: "non-primary", None: "not mirrored"}[image["primary"]]
    return {
        "primary": image["primary"] is not False,
        "role": role,
        "mode": image["mode"],
        "size_bytes": image["size_bytes"],
    }


def build_site(
    key: str, root: Path, ports: Ports, *, password: str, networks: tuple[NetworkSpec, ...], guest_writes: bool
) -> CephSite:
    """Nothing runs yet."""
    cluster = Cluster(key, root / key, ports, guest_writes=guest_writes)
    storage = CephStorage(cluster)
    front_end = NebulaSite(
        f"site-{key}", storage=storage, clock=time.time, password=password, pool=POOL, networks=networks
    )
    sshd = Sshd(key, root / f"ssh-{key}", ports.ssh, cluster.conf)
    return CephSite(key, cluster, sshd, storage, front_end, password)
