"""The lab's two sites as the portal knows them, for discovery and polling; and a site at a real sshd."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from drportal.inventory.introduce import introduce
from drportal.inventory.models import Credential, Site, SitePair
from drportal.lab.ceph.lab import free_ports
from drportal.lab.ceph.sshd import Sshd
from drportal.lab.control import LabClient
from drportal.sealing import seal


@pytest.fixture
def lab_pair(lab: LabClient, transactional_db: None) -> SitePair:
    """Known to the portal; nothing discovered yet."""
    return introduce(lab.description)


@pytest.fixture
def real_sshd(tmp_path: Path) -> Iterator[Sshd]:
    assert shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ["PATH"]), "openssh-server is not installed"
    ports = free_ports()
    sshd = Sshd("x", tmp_path / "sshd", ports.ssh, tmp_path / "none.conf")

    async def start() -> None:
        await sshd.prepare()
        await sshd.start()

    asyncio.run(start())
    yield sshd
    for member in sshd.daemon.members():
        member.send(signal.SIGKILL)


@pytest.fixture
def real_site(real_sshd: Sshd, pair: SitePair) -> Site:
    """Site a of the pair, at a real sshd; there is no Ceph behind it."""
    access = real_sshd.access()
    fields = {"ssh_host": access.host, "ssh_port": access.port, "ssh_user": access.user}
    Site.objects.filter(pk=pair.a_id).update(**fields, host_keys=[access.host_key], ceph_user="drportal")
    SitePair.objects.filter(pk=pair.pk).update(pools=["one", "vms"])
    kept = {"ciphertext": seal(access.private_key.encode()), "changed_by": "test"}
    Credential.objects.update_or_create(site_id=pair.a_id, kind=Credential.Kind.SSH_KEY, defaults=kept)
    return Site.objects.get(pk=pair.a_id)
