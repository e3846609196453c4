"""The site program put into a lab's hosts as the forced command of two keys, as ``manage.py site install`` does
it; on real Ceph each key with a cephx user of its own that has the least rights.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from drportal.drivers.site_caps import RIGHTS, USERS, caps_command
from drportal.drivers.site_install import installer_run
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.lab.control import LabDescription, SiteDescription
from drportal.site_program.assemble import installer_text, program_text


@dataclass(frozen=True)
class Keys:
    """Private keys by rights, and the cephx user behind each; empty: the host's own."""

    private: dict[str, str]
    users: dict[str, str]


def target_of(site: SiteDescription, private_key: str = "") -> SshTarget:
    ssh = site.ssh
    return SshTarget(ssh.host, ssh.port, ssh.user, private_key or ssh.private_key, (ssh.host_key,))


def salvage_dir(lab: Path, side: str) -> Path:
    """On the disk that both the lab's site and the test see."""
    folder = lab / f"salvage-{side}"
    folder.mkdir(exist_ok=True)
    return folder


def install(lab: Path, description: LabDescription, side: str) -> Keys:
    """A forced promotion there needs a deposit of the site's own people, too."""
    users = _cephx_users(lab / "ceph" / side, description.pool) if description.kind == "ceph" else {}
    arguments = {rights: ["--pool", description.pool] for rights in RIGHTS}
    for rights, user in users.items():
        arguments[rights] += ["--ceph-user", user]
    arguments["act"] += ["--salvage", str(salvage_dir(lab, side)), "--force-promote", "deposited"]
    keys = {rights: asyncssh.generate_private_key("ssh-ed25519") for rights in RIGHTS}
    public = {rights: key.export_public_key().decode().strip() for rights, key in keys.items()}
    common = {"attempt": f"contract-{side}", "keys": public, "arguments": arguments}

    async def put() -> None:
        shell = SshShell(target_of(description.sites[side]))
        try:
            request = {"do": "install", "program": program_text(), **common}
            await installer_run(shell, installer_text(), request)
            await installer_run(shell, installer_text(), {"do": "settle", **common})
        finally:
            await shell.close()

    asyncio.run(put())
    return Keys({rights: key.export_private_key().decode() for rights, key in keys.items()}, users)


def _cephx_users(root: Path, pool: str) -> dict[str, str]:
    """Made as an administrator of the cluster would make them; their keyrings are named in the host's ceph.conf."""
    conf = root / "ceph.conf"
    for rights, user in USERS.items():
        env = {**os.environ, "CEPH_CONF": str(conf)}
        command = caps_command(user, rights, [pool])
        made = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, env=env)
        keyring = root / f"{user}.keyring"
        keyring.write_text(made.stdout)
        with conf.open("a") as file:
            file.write(f"\n[client.{user}]\nkeyring = {keyring}\n")
    return dict(USERS)
