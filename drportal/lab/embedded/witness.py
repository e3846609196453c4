"""The lab's witness: a host at a third place whose key looks at addresses and does nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drportal.lab import faults
from drportal.lab.control import LabError
from drportal.lab.embedded.ssh import SshHost

HOST = "witness"
FAULTS = ("site-down", "site-hung", "wrong-host-key")


@dataclass(slots=True)
class LabWitness:
    ssh: SshHost
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def fail(self, fault: str, options: dict[str, Any]) -> None:
        """Raises LabError; nothing has changed then."""
        faults.check(fault, options, real=False)
        match fault:
            case "site-down":
                await self.ssh.door.close()
            case "site-hung":
                self.ssh.door.hang()
            case "wrong-host-key":
                await self.ssh.use_wrong_key(True)
            case _:
                raise LabError(f"The witness has the faults {', '.join(FAULTS)}, not {fault}. Nothing was changed.")
        self.faults[fault] = options

    async def restore(self, fault: str | None) -> None:
        for name in [fault] if fault is not None else list(self.faults):
            match name if self.faults.pop(name, None) is not None else None:
                case "site-down":
                    await self.ssh.door.open()
                case "site-hung":
                    self.ssh.door.flow()
                case "wrong-host-key":
                    await self.ssh.use_wrong_key(False)

    def status(self) -> dict[str, Any]:
        alive = not {"site-down", "site-hung"} & self.faults.keys()
        return {"alive": alive, "faults": dict(self.faults)}
