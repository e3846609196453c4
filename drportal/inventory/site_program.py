"""The site program installed as the forced command of two keys that the portal makes: one to observe, one to act.

The site's own SSH key (its login) is what puts it there; from then on the portal uses the two, and the login's key may
be taken off until the next upgrade.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import asyncssh
from django.db import transaction
from django.utils import timezone

from drportal.audit.record import record
from drportal.drivers.errors import DriverError
from drportal.drivers.names import checked_name
from drportal.drivers.site_install import InstalledThere, installer_run
from drportal.drivers.site_link import Hello, Installed, SiteLink
from drportal.drivers.ssh import SshShell
from drportal.errors import Conflict, PortalError
from drportal.events import publish
from drportal.inventory.connect import credential, login_of
from drportal.inventory.installed import own_hash
from drportal.inventory.models import CephThrough, Credential, Site, SitePair
from drportal.inventory.secrets import seal
from drportal.inventory.services import site_get
from drportal.site_program.assemble import installer_text, program_text

KEYS = {"read": Credential.Kind.OBSERVE_KEY, "act": Credential.Kind.ACT_KEY}
LEAST_CAPS = """\
ceph auth get-or-create client.{user} \\
  mon 'profile rbd, allow command "service dump", allow command "service status", \
allow command "config-key get" with key prefix "rbd/mirror/"' \\
{osd}"""


def least_caps(site: Site) -> str:
    """The command that gives the site's Ceph user what the program needs, and no more (docs/production.md)."""
    profiles = ", ".join(f"profile rbd pool={pool}" for pool in pools_of(site)) or "profile rbd"
    return LEAST_CAPS.format(user=site.ceph_user or "drportal", osd=f"  osd '{profiles}' mgr '{profiles}'")


def pools_of(site: Site) -> list[str]:
    """The pools that the portal watches there: what the keys may reach."""
    pairs = SitePair.objects.filter(a=site) | SitePair.objects.filter(b=site)
    return sorted({str(pool) for pair in pairs for pool in pair.pools})


# ---- at the site


class InstallFailed(PortalError):
    """The site program was not put in its place, or does not answer from there."""

    status = 502
    code = "site_program_failed"


async def _run(site: Site, login_key: str, request: dict[str, Any]) -> InstalledThere:
    shell = SshShell(login_of(site, login_key), sessions=1)
    try:
        return await installer_run(shell, installer_text(), request)
    finally:
        await shell.close()


async def _hello(site: Site, key: str) -> Hello:
    link = SiteLink(login_of(site, key), Installed())
    try:
        return await link.hello()
    finally:
        await link.close()


def _at_site(work: Callable[[], Any]) -> Any:
    try:
        return asyncio.run(work())
    except DriverError as error:
        raise InstallFailed(error.detail) from error


def _installer(site: Site, request: dict[str, Any]) -> InstalledThere:
    login_key = credential(site, Credential.Kind.SSH_KEY)
    found: InstalledThere = _at_site(lambda: _run(site, login_key, request))
    return found


def _checked(site: Site, rights: str, key: str) -> Hello:
    """What answers to a key. Raises InstallFailed unless it is our program with exactly these rights."""
    hello: Hello = _at_site(lambda: _hello(site, key))
    if hello.rights != rights or hello.sha256 != own_hash():
        raise InstallFailed(
            f"What answers at {site.name} to the key for “{rights}” is not the program that was installed "
            f"(rights {hello.rights}, version {hello.program}). The portal goes on as before. Look at "
            "~/.ssh/authorized_keys there."
        )
    return hello


# ---- services


def program_install(*, slug: str, actor: str) -> Site:
    """Make two keys, install, look whether both answer as they should, and only then use them.

    Raises Conflict without a key for the login, InstallFailed (the portal goes on as before).
    """
    site = site_get(slug)
    _noted(site, "site.program.install.begin", {"pools": pools_of(site), "sha256": own_hash()}, actor)
    keys = {rights: asyncssh.generate_private_key("ssh-ed25519") for rights in KEYS}
    public = {rights: key.export_public_key().decode().strip() for rights, key in keys.items()}
    private = {rights: key.export_private_key().decode() for rights, key in keys.items()}
    request = {"do": "install", "program": program_text(), "keys": public, "arguments": arguments_of(site)}
    there = _installer(site, request)
    hello = {rights: _checked(site, rights, key) for rights, key in private.items()}["act"]
    with transaction.atomic():
        for rights, kind in KEYS.items():
            kept = {"ciphertext": seal(private[rights].encode()), "changed_by": actor}
            Credential.objects.update_or_create(site=site, kind=kind, defaults=kept)
        _keep(site, hello, there, through=CephThrough.INSTALLED)
        fingerprints = {rights: key.get_fingerprint() for rights, key in keys.items()}
        record("site.program.install", slug, {"program": site.program, "keys": fingerprints}, actor=actor)
        publish("sites", site.version)
    return site


def program_upgrade(*, slug: str, actor: str) -> Site:
    """Put the portal's own program in the place of the one that lies there; keys and receipts stay."""
    site = _installed(slug)
    _noted(site, "site.program.upgrade.begin", {"before": site.program, "sha256": own_hash()}, actor)
    before = dict(site.program)
    there = _installer(site, {"do": "upgrade", "program": program_text()})
    hello = [_checked(site, rights, credential(site, kind)) for rights, kind in KEYS.items()][-1]
    with transaction.atomic():
        _keep(site, hello, there, through=CephThrough.INSTALLED)
        record("site.program.upgrade", slug, {"before": before, "after": site.program}, actor=actor)
        publish("sites", site.version)
    return site


def program_uninstall(*, slug: str, actor: str) -> InstalledThere:
    """Take the program and its two keys out again; the portal sends the program from then on. Receipts stay there."""
    site = _installed(slug)
    _noted(site, "site.program.uninstall.begin", {"before": site.program}, actor)
    there = _installer(site, {"do": "uninstall"})
    with transaction.atomic():
        Credential.objects.filter(site=site, kind__in=KEYS.values()).delete()
        Site.objects.filter(pk=site.pk).update(ceph_through=CephThrough.PROGRAM, program={}, version=site.version + 1)
        record("site.program.uninstall", slug, {"state": there.state, "receipts": there.receipts}, actor=actor)
        publish("sites", site.version + 1)
    return there


def program_show(*, slug: str) -> tuple[Site, Hello]:
    """Ask the installed program what it is, by the key that may only observe."""
    site = _installed(slug)
    key = credential(site, Credential.Kind.OBSERVE_KEY)
    hello: Hello = _at_site(lambda: _hello(site, key))
    if (hello.sha256, hello.program) != (site.program.get("sha256"), site.program.get("version")):
        with transaction.atomic():
            _keep(site, hello, None, through=CephThrough.INSTALLED)
            record("site.program.changed", slug, {"program": site.program}, actor="portal")
            publish("sites", site.version)
    return site, hello


def arguments_of(site: Site) -> list[str]:
    """What the forced commands say besides rights and state directory."""
    words = [word for pool in pools_of(site) for word in ("--pool", checked_name(pool, "pool"))]
    words += ["--salvage", site.salvage_dir] if site.salvage_dir else []
    return words + (["--ceph-user", checked_name(site.ceph_user, "Ceph user")] if site.ceph_user else [])


def _installed(slug: str) -> Site:
    site = site_get(slug)
    if site.ceph_through != CephThrough.INSTALLED:
        raise Conflict(
            f"The site program is not installed at {site.name}. Nothing was changed. manage.py site install {slug}",
            code="site_program_not_installed",
        )
    return site


@transaction.atomic
def _noted(site: Site, action: str, payload: dict[str, Any], actor: str) -> None:
    record(action, site.slug, payload, actor=actor)


def _keep(site: Site, hello: Hello, there: InstalledThere | None, *, through: str) -> None:
    now: dt.datetime = timezone.now()
    site.program = {
        **site.program,
        "version": hello.program,
        "sha256": hello.sha256,
        "protocol": hello.raw["protocol"],
        "engine": hello.engine,
        "read_at": now.isoformat(),
        **({"path": there.path, "state": there.state, "changed_at": now.isoformat()} if there else {}),
    }
    site.ceph_through, site.version = through, site.version + 1
    site.save(update_fields=["program", "ceph_through", "version"])
