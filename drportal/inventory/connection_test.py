"""Try a site's addresses and secrets before they are relied on. Shows the host's keys without trusting any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh

from drportal.drivers.errors import DriverError, IdentityChanged, Reason, Refused
from drportal.drivers.ssh import HostKey, host_key_fingerprints
from drportal.inventory.connect import Reach, SiteDrivers, drivers_for
from drportal.inventory.models import Site

TEST_SESSIONS = 2
SHOW_KEYS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Offered:
    """A key the host showed; ``accepted``: it is among those a person has accepted."""

    type: str
    fingerprint: str
    line: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """``outcome``: ok, refused, unreachable, not_asked; for SSH also host_key_not_accepted and identity_changed."""

    outcome: str
    sentence: str
    version: str = ""
    offered_keys: tuple[Offered, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    ssh: Outcome
    ceph: Outcome
    opennebula: Outcome


def connection_test(site: Site, ssh_key: str | None, password: str | None, pool: str | None) -> ConnectionResult:
    """``site`` need not be stored; its ``host_keys`` are the ones accepted so far. Ends within about half a minute."""
    return asyncio.run(_test(site, ssh_key, password, pool))


async def _test(site: Site, ssh_key: str | None, password: str | None, pool: str | None) -> ConnectionResult:
    drivers = drivers_for(site, ssh_key or "", password or "", Reach(sessions=TEST_SESSIONS))
    try:
        (ssh, ceph), opennebula = await asyncio.gather(
            _try_host(site, drivers, ssh_key, pool), _try_cloud(drivers, password)
        )
    finally:
        await drivers.close()
    return ConnectionResult(ssh, ceph, opennebula)


async def _try_host(site: Site, drivers: SiteDrivers, ssh_key: str | None, pool: str | None) -> tuple[Outcome, Outcome]:
    not_asked = Outcome("not_asked", "Ceph is asked once SSH works.")
    try:
        shown = await host_key_fingerprints(site.ssh_host, site.ssh_port, deadline_s=SHOW_KEYS_WITHIN_S)
    except DriverError as error:
        return Outcome("unreachable", error.detail), not_asked
    offered = compare(shown, site.host_keys)
    verdict = identity(offered, site.host_keys)
    if verdict is None and not ssh_key:
        verdict = Outcome("refused", "There is no SSH key to log in with yet. Store one.", offered_keys=offered)
    if verdict is not None:
        return verdict, not_asked
    try:
        version, _ = await drivers.ceph.version()
    except DriverError as error:
        return _failed_login(error, offered, site.ssh_user)
    ssh = Outcome("ok", f"Logged in as {site.ssh_user}; the host's key is an accepted one.", offered_keys=offered)
    return ssh, await _try_ceph(drivers, pool, version)


def compare(shown: Sequence[HostKey], accepted: Sequence[str]) -> tuple[Offered, ...]:
    """By type and key, whatever comment stands behind."""
    known = {tuple(line.split()[:2]) for line in accepted}
    return tuple(
        Offered(
            type=key.type_word,
            fingerprint=key.fingerprint,
            line=" ".join(key.line.split()[:2]),
            accepted=tuple(key.line.split()[:2]) in known,
        )
        for key in shown
    )


def identity(offered: tuple[Offered, ...], accepted: Sequence[str]) -> Outcome | None:
    """A verdict on the host's identity, or None when it is the accepted one."""
    if any(key.accepted for key in offered):
        return None
    if accepted:
        return Outcome(
            "identity_changed",
            "The host shows none of the accepted keys. Somebody else may be answering, or it was set up anew: "
            "ask the site's owner before you accept the new key. Nothing was sent.",
            offered_keys=offered,
        )
    return Outcome(
        "host_key_not_accepted",
        "Compare these fingerprints with what the site's owner says, and accept the right one. Nothing was sent.",
        offered_keys=offered,
    )


def _failed_login(error: DriverError, offered: tuple[Offered, ...], user: str) -> tuple[Outcome, Outcome]:
    not_asked = Outcome("not_asked", "Ceph is asked once SSH works.")
    if error.answer is not None and error.answer.exit_status is not None:
        ssh = Outcome("ok", f"Logged in as {user}; the host's key is an accepted one.", offered_keys=offered)
        return ssh, Outcome("refused", error.detail)
    if isinstance(error, IdentityChanged):
        return Outcome("identity_changed", error.detail, offered_keys=offered), not_asked
    word = "refused" if refused_login(error) else "unreachable"
    return Outcome(word, error.detail, offered_keys=offered), not_asked


def refused_login(error: DriverError) -> bool:
    """Somebody answered, and did not let us in."""
    return isinstance(error.__cause__, asyncssh.PermissionDenied | asyncssh.KeyImportError)


async def _try_ceph(drivers: SiteDrivers, pool: str | None, version: str) -> Outcome:
    if not pool:
        return Outcome(
            "ok", f"The rbd client there is {version}. Name a pool to have the cluster itself asked.", version
        )
    try:
        found = await drivers.ceph.pool(pool)
    except (DriverError, ValueError) as error:
        detail = error.detail if isinstance(error, DriverError) else str(error)
        return Outcome("refused" if isinstance(error, Refused | ValueError) else "unreachable", detail, version)
    sentence = f"Ceph answers: pool {pool} has {len(found.image_names)} images, mirroring mode “{found.mode}”."
    return Outcome("ok", sentence, version)


async def _try_cloud(drivers: SiteDrivers, password: str | None) -> Outcome:
    if not password:
        return Outcome("not_asked", "There is no OpenNebula password yet. Store one.")
    try:
        found = await drivers.cloud.everything()
    except Refused as error:
        wrong = error.reason in {Reason.BAD_CREDENTIALS, Reason.NO_RIGHTS}
        return Outcome("refused", error.detail + (" Check user and password." if wrong else ""))
    except DriverError as error:
        return Outcome("unreachable", error.detail)
    sentence = f"OpenNebula answers: {len(found.vms)} VMs, {len(found.images)} images, {len(found.hosts)} hosts."
    return Outcome("ok", sentence, found.version)
