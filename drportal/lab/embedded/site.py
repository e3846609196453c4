"""One site of the embedded lab as a whole: Ceph, SSH host, OpenNebula, and the faults that hit them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from drportal.lab import faults
from drportal.lab.control import LabError
from drportal.lab.embedded.copies import Role
from drportal.lab.embedded.lines import Lines
from drportal.lab.embedded.nebula import NebulaSite
from drportal.lab.embedded.rbd import Rbd
from drportal.lab.embedded.shell import CommandFault, Shell
from drportal.lab.embedded.ssh import SshHost
from drportal.lab.embedded.world import SiteStorage, World


@dataclass(slots=True)
class LabSite:
    """Everything of one site. `faults` are the active ones by name, with their options."""

    key: str
    world: World
    ssh: SshHost
    nebula: NebulaSite
    lines: Lines
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def shell(self) -> Shell:
        return self.ssh.shell

    async def fail(self, fault: str, options: dict[str, Any]) -> None:
        """Raises LabError for an unknown fault or option; nothing has changed then."""
        known = faults.check(fault, options, real=False)
        if fault in faults.OPENNEBULA_FAULTS:
            await self._fail_nebula(fault, options)
            return
        if known.of_commands:
            self.shell.faults.append(_command_fault(fault, options))
        else:
            await self._fail_site(fault, options)
        self.faults[fault] = options

    async def restore(self, fault: str | None) -> None:
        if fault in faults.OPENNEBULA_FAULTS:
            await self.nebula.restore(fault)
            return
        for name in [fault] if fault is not None else list(self.faults):
            if name in self.faults:
                del self.faults[name]
                await self._restore_site(name)
            self.shell.faults[:] = [active for active in self.shell.faults if active.name != name]
        if fault is None:
            await self.nebula.restore()

    async def _fail_nebula(self, fault: str, options: dict[str, Any]) -> None:
        plain = {key: int(value) if str(value).isdigit() else value for key, value in options.items()}
        try:
            await self.nebula.fail(fault, **plain)
        except (ValueError, TypeError) as error:
            raise LabError(f"{error}.") from error

    async def _fail_site(self, fault: str, options: dict[str, Any]) -> None:
        match fault:
            case "site-down":
                await self.ssh.door.close()
                await self.nebula.fail("opennebula-down")
                self.world.fail_site(self.key)
                if options.get("power") == "lost":
                    self.nebula.cut_power()
            case "site-hung":
                self.ssh.door.hang()
                await self.nebula.fail("opennebula-hung")
                self.world.fail_site(self.key)
            case "cut-off":
                await self._cut_off(also_from_peer=options.get("from") == "both")
            case "line-cut":
                self.world.part_sites(f"{self.key} {fault}")
            case "rbd-mirror-down":
                self.world.kill_daemon(self.key)
            case "rbd-mirror-hung":
                self.world.hang_daemon(self.key)
            case "slow-replay":
                rate = _number("rate", options.get("rate", 5))
                self.world.limit_replay(self.key, rate)
            case "wrong-host-key":
                await self.ssh.use_wrong_key(True)
            case "sessions-full":
                self.ssh.sessions_full = True
            case "default-logging":
                self.shell.rbd.default_logging = True

    async def _restore_site(self, fault: str) -> None:
        match fault:
            case "site-down":
                await self.ssh.door.open()
                await self.nebula.restore("opennebula-down")
                self.world.restore_site(self.key)
                self._mirror_as_told()
            case "site-hung":
                self.world.restore_site(self.key)
                self._mirror_as_told()
                await self.nebula.restore("opennebula-hung")
                self.ssh.door.flow()
            case "cut-off":
                self.lines.mend(self.key)
                await self.ssh.door.open()
                await self.nebula.restore("opennebula-down")
                self.world.join_sites(f"{self.key} {fault}")
            case "line-cut":
                self.world.join_sites(f"{self.key} {fault}")
            case "rbd-mirror-down":
                self.world.start_daemon(self.key)
                self._mirror_as_told()
            case "rbd-mirror-hung":
                self.world.thaw_daemon(self.key)
            case "slow-replay":
                self.world.limit_replay(self.key, None)
            case "wrong-host-key":
                await self.ssh.use_wrong_key(False)
            case "sessions-full":
                self.ssh.sessions_full = False
            case "default-logging":
                self.shell.rbd.default_logging = False

    async def _cut_off(self, *, also_from_peer: bool) -> None:
        """It lives; the lines to the portal are cut, and to the other site too."""
        seen_from = {"witness"} if also_from_peer else {"witness", self.world.other(self.key)}
        self.lines.cut(self.key, self.ssh.door, frozenset(seen_from))
        await self.ssh.door.close()
        await self.nebula.fail("opennebula-down")
        if also_from_peer:
            self.world.part_sites(f"{self.key} cut-off")

    def _mirror_as_told(self) -> None:
        """It runs again: not where it is to be dead, or to stand still, for another reason."""
        if "rbd-mirror-down" in self.faults:
            self.world.kill_daemon(self.key)
        elif "rbd-mirror-hung" in self.faults:
            self.world.hang_daemon(self.key)

    def _active(self) -> dict[str, dict[str, Any]]:
        """Without those of commands that have bitten as often as they should."""
        biting = {fault.name for fault in self.shell.faults}
        return {
            name: given for name, given in self.faults.items() if name in biting or not faults.FAULTS[name].of_commands
        }

    def status(self) -> dict[str, Any]:
        site = self.world.sites[self.key]
        images = {}
        for pair in self.world.pairs_at(self.key):
            copy = pair.copies[self.key]
            images[pair.name] = {
                "primary": copy.role in (None, Role.PRIMARY),
                "role": copy.role.value if copy.role else "not mirrored",
                "mode": pair.mode,
                "size_bytes": pair.size_bytes,
            }
        nebula = self.nebula.status()
        vms = nebula["vms"]
        assert isinstance(vms, list)
        return {
            "name": site.name,
            "alive": site.up,
            "rbd_mirror": "hung" if site.daemon.hung else "running" if site.daemon.running else "dead",
            "faults": {**self._active(), **{f["fault"]: f for f in _listed(nebula["faults"])}},
            "images": images,
            "vms": {str(vm["id"]): {**vm, "state": vm["state_name"]} for vm in vms},
        }


def _listed(value: object) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not number >= 0:
        raise LabError(f"{name} must be a number, 0 or more, not {value!r}.")
    return number


def _command_fault(fault: str, options: dict[str, Any]) -> CommandFault:
    return CommandFault(
        fault,
        str(options.get("match", "")),
        int(_number("times", options.get("times", 0))),
        int(_number("exit", options.get("exit", 1))),
        _lines(str(options.get("stderr", ""))),
        _number("seconds", options.get("seconds", 3600)),
    )


def _lines(text: str) -> str:
    return text + "\n" if text and not text.endswith("\n") else text


def build_site(
    world: World,
    key: str,
    *,
    host_key: str,
    client_key: str,
    home: Path,
    password: str,
    clock: Callable[[], float],
    lines: Lines,
    **nebula: Any,
) -> LabSite:
    """Nothing listens yet. `home` is that of the SSH login, `nebula` are further arguments of NebulaSite."""
    ssh = SshHost(
        Shell(Rbd(world, key)),
        asyncssh.import_private_key(host_key),
        asyncssh.import_private_key(client_key),
        home,
        partial(lines.look, key),
    )
    front_end = NebulaSite(
        world.sites[key].name,
        storage=SiteStorage(world, key),
        clock=clock,
        password=password,
        pool=world.pool,
        **nebula,
    )
    return LabSite(key, world, ssh, front_end, lines)
