"""What stays the same when a lab is started again in its directory: keys, passwords and ports, but not the world."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

import asyncssh

from drportal.lab.control import LabError

FILE_NAME = "identity.json"


def _key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()


@dataclass(slots=True)
class SiteIdentity:
    """Ports are 0 until the first start has chosen them."""

    host_key: str = field(default_factory=_key)
    client_key: str = field(default_factory=_key)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    ssh_port: int = 0
    opennebula_port: int = 0

    def host_public_line(self) -> str:
        words = asyncssh.import_private_key(self.host_key).export_public_key().decode().split()
        return f"{words[0]} {words[1]}"


@dataclass(slots=True)
class Identity:
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    control_port: int = 0
    sites: dict[str, SiteIdentity] = field(default_factory=lambda: {"a": SiteIdentity(), "b": SiteIdentity()})
    witness: SiteIdentity = field(default_factory=SiteIdentity)

    @classmethod
    def load(cls, directory: Path) -> Identity:
        """The one kept in `directory`, or a fresh one. Raises LabError if the file is damaged."""
        path = directory / FILE_NAME
        try:
            data = json.loads(path.read_text())
            sites = {key: SiteIdentity(**site) for key, site in data["sites"].items()}
            witness = SiteIdentity(**data.get("witness", {}))
            return cls(data["token"], data["control_port"], sites, witness)
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"{path} is damaged ({error}); nothing was started. Delete it to get new keys and ports."
            ) from error

    def save(self, directory: Path) -> None:
        path = directory / FILE_NAME
        handle = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(self), file, indent=1)
        Path(f"{path}.new").replace(path)
