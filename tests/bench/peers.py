"""What the portal is measured against: the published procedure as shell programs over OpenSSH, with its conditions."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from drportal.lab.control import LabClient, SshAccess

Kind = Literal["loop", "staged", "xargs", "pool"]
PROGRAMS = Path(__file__).with_name("peers_sh")


class PeerFailed(Exception):
    """The program ended with an error, or an image is not where it should be."""


def run_peer(lab: LabClient, kind: Kind | Literal["finish"], images: list[str], source: str, target: str) -> float:
    """Move the images (names without pool), whose VMs are off, from site `source` to site `target` ("a", "b").

    Seconds from the start of the program, which is when the power is off, until it has seen every image primary at the
    target. Raises PeerFailed; then some images may have moved.
    """
    sites = lab.description.sites
    pool = lab.description.pool
    with ssh_config({"source": sites[source].ssh, "target": sites[target].ssh}) as config:
        began = time.monotonic()
        done = subprocess.run(
            [PROGRAMS / f"{kind}.sh", *(f"{pool}/{image}" for image in images)],
            env={"PATH": "/usr/bin:/bin", "PEER_SSH_CONFIG": str(config)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise PeerFailed(f"{kind}.sh ended with exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
    here, there = (lab.status()["sites"][site]["images"] for site in (target, source))
    wrong = [image for image in images if not here[image]["primary"] or there[image]["primary"]]
    if wrong:
        raise PeerFailed(
            f"{kind}.sh says it is done, but these are not primary at site {target} alone: {', '.join(wrong)}"
        )
    return seconds


@contextmanager
def ssh_config(hosts: dict[str, SshAccess]) -> Iterator[Path]:
    """Host keys pinned, nothing of the user's own; one connection per host is kept and shared where it has room."""
    with tempfile.TemporaryDirectory(prefix="peer-") as name:
        folder = Path(name)
        lines = [
            f"UserKnownHostsFile {folder}/known_hosts",
            "StrictHostKeyChecking yes",
            "BatchMode yes",
            "IdentitiesOnly yes",
        ]
        lines += ["ControlMaster auto", f"ControlPath {folder}/%n", "ControlPersist 60", "LogLevel ERROR"]
        known = ""
        for alias, ssh in hosts.items():
            key = folder / f"{alias}.key"
            key.touch(mode=0o600)
            key.write_text(ssh.private_key)
            known += f"[{ssh.host}]:{ssh.port} {ssh.host_key}\n"
            lines += [
                f"Host {alias}",
                f"  HostName {ssh.host}",
                f"  Port {ssh.port}",
                f"  User {ssh.user}",
                f"  IdentityFile {key}",
            ]
        (folder / "known_hosts").write_text(known)
        config = folder / "config"
        config.write_text("\n".join(lines) + "\n")
        try:
            yield config
        finally:
            for alias in hosts:
                subprocess.run(["ssh", "-F", config, "-O", "exit", alias], capture_output=True)
