"""How anybody outside speaks to a running lab: its description file, and a synchronous client.

Both labs (embedded and real Ceph) write the same `lab.json` and answer the same verbs. Standard library only.
"""

from __future__ import annotations

import json
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

FILE_NAME = "lab.json"
MIB = 2**20


class LabError(Exception):
    """The lab refused or cannot be reached; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class SshAccess:
    """`private_key` is OpenSSH or PEM text, `host_key` one public key line ("ssh-ed25519 AAAA...")."""

    host: str
    port: int
    user: str
    private_key: str
    host_key: str


@dataclass(frozen=True, slots=True)
class OpenNebulaAccess:
    url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class SiteDescription:
    """`salvage`: a directory at its SSH host for what would else be discarded."""

    name: str
    ssh: SshAccess
    opennebula: OpenNebulaAccess
    salvage: str = ""


def salvage_directory(lab: Path, key: str) -> str:
    """The site's, made if need be."""
    path = lab.resolve() / f"salvage-{key}"
    path.mkdir(exist_ok=True)
    return str(path)


@dataclass(frozen=True, slots=True)
class ControlAccess:
    url: str
    token: str


@dataclass(frozen=True, slots=True)
class LabDescription:
    """The contents of lab.json. `sites` has the keys "a" and "b". `witness`: a host at a third place, whose key looks
    at addresses and does nothing else; the real lab has none."""

    kind: Literal["embedded", "ceph"]
    pid: int
    pool: str
    control: ControlAccess
    sites: dict[str, SiteDescription]
    witness: SshAccess | None = None
    format: int = 1

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> LabDescription:
        """Raises LabError if no lab is up in that directory or the file is of another format."""
        path = Path(directory) / FILE_NAME
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            raise LabError(
                f"No lab is up in {directory}: there is no {FILE_NAME}. Start one with: lab up {directory}"
            ) from None
        if data.get("format") != 1:
            raise LabError(f"{path} has format {data.get('format')}; this program reads format 1.")
        sites = {
            key: SiteDescription(
                site["name"],
                SshAccess(**site["ssh"]),
                OpenNebulaAccess(**site["opennebula"]),
                site.get("salvage", ""),
            )
            for key, site in data["sites"].items()
        }
        third = data.get("witness")
        control, witness = ControlAccess(**data["control"]), SshAccess(**third) if third else None
        return cls(data["kind"], data["pid"], data["pool"], control, sites, witness)

    def write(self, directory: str | os.PathLike[str]) -> Path:
        """Atomically, mode 0600: it holds private keys."""
        path = Path(directory) / FILE_NAME
        handle, name = tempfile.mkstemp(dir=directory, prefix=".lab-")
        with os.fdopen(handle, "w") as file:
            json.dump(
                {"format": self.format, **{k: v for k, v in asdict(self).items() if k != "format"}}, file, indent=1
            )
        Path(name).replace(path)
        return path


class LabClient:
    """A running lab, by its directory. Every method raises LabError with the lab's own sentence when it refuses."""

    def __init__(self, directory: str | os.PathLike[str], *, timeout_s: float = 180.0) -> None:
        self.directory = Path(directory)
        self.description = LabDescription.read(directory)
        self.timeout_s = timeout_s
        # A proxy in the environment must not come between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, verb: str, **params: Any) -> Any:
        """One request to the control endpoint: POST /VERB with a JSON object, answered by {"result": ...}."""
        request = urllib.request.Request(  # noqa: S310 - the address comes from the lab's own file
            f"{self.description.control.url}/{verb}",
            data=json.dumps(params).encode(),
            headers={"Authorization": f"Bearer {self.description.control.token}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self.timeout_s) as response:
                return json.load(response)["result"]
        except urllib.error.HTTPError as error:
            body = error.read().decode(errors="replace")
            try:
                raise LabError(json.loads(body)["error"]) from None
            except (ValueError, KeyError):
                raise LabError(f"The lab answered {error.code} to {verb}: {body[:200]}") from None
        except OSError as error:
            raise LabError(
                f"The lab in {self.directory} does not answer ({error}); is its process {self.description.pid} alive?"
            ) from error

    def status(self) -> dict[str, Any]:
        """{"kind", "sites": {"a": {"alive", "rbd_mirror", "faults", "images": {NAME: {"primary": bool, ...}},
        "vms": {ID: {"name", "state": "RUNNING", ...}}}}}"""
        status: dict[str, Any] = self.call("status")
        return status

    def create_image(self, site: str, name: str, *, mode: str = "journal", size_bytes: int = 16 * MIB) -> None:
        """A new mirrored image, primary at `site`; returns when the other side replays it."""
        self.call("create_image", site=site, name=name, mode=mode, size_bytes=size_bytes)

    def write(self, site: str, image: str, seed: str | int) -> None:
        """Fill the image with data that depends only on `seed`. LabError where the image is not primary."""
        self.call("write", site=site, image=image, seed=str(seed))

    def checksum(self, site: str, image: str) -> str:
        """Equal exactly when the content is. The embedded lab leaves out what its VMs wrote of themselves."""
        return str(self.call("checksum", site=site, image=image))

    def image(self, site: str, image: str) -> dict[str, Any]:
        """What the lab knows about one copy that no Ceph command tells."""
        answer: dict[str, Any] = self.call("image", site=site, image=image)
        return answer

    def guest_write(self, site: str, image: str, number: int, count: int = 1) -> None:
        """The image's VM writes so many numbered blocks, from this one on; returns when it is told that they are
        written. The real lab only."""
        self.call("guest_write", site=site, image=image, number=number, count=count)

    def held(self, site: str, image: str) -> dict[str, Any]:
        """What a forced promotion would find in this copy: {"sha256", "writes": numbers of the guest's writes}. The
        real lab only."""
        answer: dict[str, Any] = self.call("held", site=site, image=image)
        return answer

    def acts(self, site: str) -> list[dict[str, Any]]:
        """The commands over SSH that changed, or should have changed, images there, in the order in which they ended:
        [{"at": seconds since the epoch, "command", "exit_code"}]. The embedded lab only."""
        answer: list[dict[str, Any]] = self.call("acts", site=site)
        return answer

    def fail(self, site: str, fault: str, **options: Any) -> None:
        self.call("fail", site=site, fault=fault, options=options)

    def restore(self, site: str, fault: str | None = None) -> None:
        """End one fault, or all of that site."""
        self.call("restore", site=site, fault=fault)

    def down(self) -> None:
        """End the lab's process; the directory keeps keys and ports for the next start."""
        self.call("down")

    def close(self) -> None:
        """Nothing is held open; here so that a client can be used like a file."""

    def __enter__(self) -> LabClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
