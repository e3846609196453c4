"""From a Site row to its drivers. The only place where credentials are taken out and connections are made."""

from __future__ import annotations

from dataclasses import dataclass

from drportal.drivers.base import CephSite, Shell
from drportal.drivers.base_cloud import CloudSite
from drportal.drivers.ceph import RbdOverSsh
from drportal.drivers.opennebula import Memory, OpenNebulaOverXmlRpc, OpenNebulaTarget
from drportal.drivers.site_link import Installed, SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.drivers.told import Told
from drportal.errors import Conflict
from drportal.inventory.models import CephThrough, Credential, Site
from drportal.sealing import unseal
from drportal.settings import ACTS_AT_ONCE, SITE_SESSIONS
from drportal.site_program.assemble import program_text

CREDENTIAL_WORDS = {
    Credential.Kind.SSH_KEY: "SSH key",
    Credential.Kind.OBSERVE_KEY: "key for observing",
    Credential.Kind.ACT_KEY: "key for acting",
    Credential.Kind.OPENNEBULA_PASSWORD: "OpenNebula password",
}


@dataclass(frozen=True, slots=True)
class SiteDrivers:
    """One site's drivers. They live in one event loop; close them there.

    ``shell``: where Ceph is reached through the ``rbd`` client, the login that runs it; None with the site program.
    """

    ceph: CephSite
    cloud: CloudSite
    shell: Shell | None

    async def close(self) -> None:
        if self.shell is not None:
            await self.shell.close()
        if isinstance(self.ceph, SiteProgram):
            await self.ceph.close()
        if isinstance(self.cloud, OpenNebulaOverXmlRpc):
            await self.cloud.close()


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a site's drivers may go and how long they wait. ``acts``: whether anything may be changed there.

    ``sessions``: at most so many ``rbd`` processes at once (the site program needs one session whatever it does);
    ``acts_at_once``: at most so many acts of the site program. ``memory`` and ``told``: what the front end and
    the site program told before, for who asks again and again.
    """

    acts: bool = False
    sessions: int = SITE_SESSIONS
    acts_at_once: int = ACTS_AT_ONCE
    deadline_s: float = 10.0
    patience_s: float = 90.0
    memory: Memory | None = None
    told: dict[str, Told] | None = None


def site_drivers(site: Site, reach: Reach | None = None) -> SiteDrivers:
    """Drivers for a site with its stored credentials; nothing is sent yet. Reads the database: call it outside the
    event loop.

    Raises Conflict where a credential is missing, SecretsUnavailable where it cannot be decrypted.
    """
    reach = reach or Reach()
    password = credential(site, Credential.Kind.OPENNEBULA_PASSWORD)
    return drivers_for(site, credential(site, key_kind(site, reach)), password, reach)


def key_kind(site: Site, reach: Reach) -> Credential.Kind:
    """Which of the site's keys. One that was installed by hand has only the login's, whose forced command decides."""
    kind = Credential.Kind.ACT_KEY if reach.acts else Credential.Kind.OBSERVE_KEY
    own = site.ceph_through == CephThrough.INSTALLED and Credential.objects.filter(site=site, kind=kind).exists()
    return kind if own else Credential.Kind.SSH_KEY


def login_of(site: Site, ssh_key: str) -> SshTarget:
    return SshTarget(
        host=site.ssh_host,
        port=site.ssh_port,
        user=site.ssh_user,
        private_key=ssh_key,
        host_keys=tuple(site.host_keys),
    )


def drivers_for(site: Site, ssh_key: str, password: str, reach: Reach) -> SiteDrivers:
    """The same for a Site that need not be stored yet (the connection test)."""
    login = login_of(site, ssh_key)
    cloud = OpenNebulaOverXmlRpc(
        OpenNebulaTarget(url=site.opennebula_url, username=site.opennebula_user, password=password),
        memory=reach.memory,
    )
    user, deadline_s, patience_s = site.ceph_user or None, reach.deadline_s, reach.patience_s
    if site.ceph_through == CephThrough.RBD:
        shell = SshShell(login, sessions=reach.sessions)
        rbd = RbdOverSsh(shell, ceph_user=user, deadline_s=deadline_s, patience_s=patience_s)
        return SiteDrivers(rbd, cloud, shell)
    way = Installed() if site.ceph_through == CephThrough.INSTALLED else sent(program_text(), _arguments(site, reach))
    program = SiteProgram(
        SiteLink(login, way),
        ceph_user=user,
        deadline_s=deadline_s,
        patience_s=patience_s,
        acts_at_once=reach.acts_at_once,
        told=reach.told,
    )
    return SiteDrivers(program, cloud, None)


def _arguments(site: Site, reach: Reach) -> tuple[str, ...]:
    """The sent program's arguments (docs/site-program.md); an installed one has its own at the site."""
    identity = ("--ceph-user", site.ceph_user) if site.ceph_user else ()
    salvage = ("--salvage", site.salvage_dir) if site.salvage_dir and reach.acts else ()
    return ("--rights", "act" if reach.acts else "read", *identity, *salvage)


def credential(site: Site, kind: Credential.Kind) -> str:
    """A stored secret in clear. Raises Conflict where there is none."""
    kept = Credential.objects.filter(site=site, kind=kind).first()
    if kept is None:
        raise Conflict(
            f"{site.name} has no {CREDENTIAL_WORDS[kind]} yet, so nothing was sent there. "
            "Store one on the site's page.",
            code="credentials_missing",
        )
    return unseal(bytes(kept.ciphertext)).decode()
