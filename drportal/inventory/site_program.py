"""The site program installed as the forced command of two keys that the portal makes: one to observe, one to act.

The site's own SSH key (its login) is what puts it there; from then on the portal uses the two, and the login's key may
be taken off until the next upgrade.

Nothing that works is given up before what replaces it has been seen to work: put there, tried, kept here, and only then
is the old taken away at the site; what does not work is taken back.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncssh
from django.db import transaction
from django.utils import timezone

from drportal.audit.record import record
from drportal.drivers.errors import DriverError, OutcomeUnknown
from drportal.drivers.names import RULE, checked_name, is_good_name
from drportal.drivers.observation import Part
from drportal.drivers.site_caps import RIGHTS, USERS, caps_command, user_names
from drportal.drivers.site_install import InstalledThere, installer_run
from drportal.drivers.site_link import Hello, Installed, SiteLink
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell
from drportal.errors import Conflict, Invalid, PortalError
from drportal.events import publish
from drportal.inventory.connect import Reach, credential, key_kind, login_of
from drportal.inventory.installed import KEYS, hello_facts, own_hash, pools_of
from drportal.inventory.models import CephThrough, Credential, Site
from drportal.inventory.services import site_get
from drportal.sealing import seal
from drportal.site_program.assemble import installer_text, program_text

CEPH_WITHIN_S = 30.0
FORCE_PROMOTE = ("approved", "deposited", "refused")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the forced commands are to say beside what follows from the site's row. None: as it is installed now."""

    read_user: str | None = None
    act_user: str | None = None
    force_promote: str | None = None
    without_ceph: bool = False

    def kept(self, site: Site) -> dict[str, str]:
        """What was asked for, now or at the installation before."""
        said = {"read_user": self.read_user, "act_user": self.act_user, "force_promote": self.force_promote}
        return {**site.program.get("wishes", {}), **{name: word for name, word in said.items() if word is not None}}

    def settled(self, site: Site) -> dict[str, str]:
        usual = user_names(site.ceph_user)
        defaults = {"read_user": usual["read"], "act_user": usual["act"], "force_promote": FORCE_PROMOTE[0]}
        found = {**defaults, **self.kept(site)}
        for name in ("read_user", "act_user"):
            if found[name] and not is_good_name(found[name]):
                raise Invalid(f"{found[name]!r} is no name for a Ceph user: {RULE}. Nothing was changed.")
        return found


def least_caps(site: Site, options: dict[str, str]) -> str:
    """The commands that give the Ceph user of each key what the program needs, and no more."""
    pools = pools_of(site)
    users = {rights: options[f"{rights}_user"] or USERS[rights] for rights in RIGHTS}
    if users["read"] == users["act"]:
        return caps_command(users["act"], "act", pools)
    return "\n".join(caps_command(users[rights], rights, pools) for rights in RIGHTS)


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


async def _hello(site: Site, key: str, ask_ceph_of: tuple[str, ...] = ()) -> Hello:
    """What answers to the key; and whether Ceph answers to it in these pools."""
    link = SiteLink(login_of(site, key), Installed())
    try:
        hello = await link.hello()
        for pool in ask_ceph_of:
            await SiteProgram(link, deadline_s=CEPH_WITHIN_S).observe(pool, (Part.POOL, Part.MIRROR_CLIENTS))
        return hello
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


def _checked(site: Site, rights: str, key: str, options: dict[str, str]) -> Hello:
    """What answers to a key. Raises InstallFailed unless it is our program with exactly these rights."""
    hello: Hello = _at_site(lambda: _hello(site, key))
    said = hello.raw.get("force_promote")
    if hello.rights != rights or hello.sha256 != own_hash() or (rights == "act" and said != options["force_promote"]):
        raise InstallFailed(
            f"What answers at {site.name} to the key for “{rights}” is not the program that was installed "
            f"(rights {hello.rights}, version {hello.program}, force-promote {said}). Look at ~/.ssh/authorized_keys "
            "and at sshd's configuration there."
        )
    return hello


def _ceph_answers(site: Site, rights: str, key: str, user: str) -> None:
    try:
        _at_site(lambda: _hello(site, key, tuple(pools_of(site))))
    except InstallFailed as error:
        raise InstallFailed(
            f"Ceph at {site.name} does not answer to the key for “{rights}” (client.{user or 'admin'}): {error.detail} "
            f"`manage.py site caps {site.slug}` prints what makes its users; where it is Ceph that is down, install "
            "with --without-ceph."
        ) from error


def _stored_keys(site: Site) -> dict[str, str]:
    """Rights -> public key of what the portal uses there."""
    rows = Credential.objects.filter(site=site, kind__in=KEYS.values()).values_list("kind", flat=True)
    private = {rights: credential(site, kind) for rights, kind in KEYS.items() if kind in rows}
    return {
        rights: asyncssh.import_private_key(key).export_public_key().decode().strip() for rights, key in private.items()
    }


def _put(
    site: Site,
    request: dict[str, Any],
    tried: Callable[[], Hello],
    keep: Callable[[InstalledThere, Hello], None],
    actor: str,
) -> None:
    """Have it put there, try it, and ``keep`` it in one transaction. Raises InstallFailed after what was put there has
    been taken back.
    """
    attempt = uuid.uuid4().hex
    try:
        there = _installer(site, {**request, "attempt": attempt})
    except InstallFailed as error:
        sure = not isinstance(error.__cause__, OutcomeUnknown)
        raise _failed(site, request["do"], error, "" if sure else _taken_back(site, attempt), actor) from error
    try:
        hello = tried()
        with transaction.atomic():
            _unchanged(site)
            keep(there, hello)
    except InstallFailed as error:
        raise _failed(site, request["do"], error, _taken_back(site, attempt), actor) from error
    _settle(site, actor)


def _unchanged(site: Site) -> None:
    """Another installation that ran meanwhile is taking the keys of this one out at the site."""
    if Site.objects.select_for_update().get(pk=site.pk).version != site.version:
        raise InstallFailed(
            f"Somebody else changed or installed {site.name} meanwhile, so this was not taken into use."
        )


def _failed(site: Site, do: str, error: InstallFailed, after: str, actor: str) -> InstallFailed:
    sentence = f"{error.detail} {after}".strip()
    _noted(site, f"site.program.{do}.failed", {"sentence": sentence}, actor)
    return InstallFailed(sentence)


def _taken_back(site: Site, attempt: str) -> str:
    """A sentence: whether all is as it was. The keys that the portal uses were never touched."""
    try:
        _installer(site, {"do": "undo", "attempt": attempt, "keys": _stored_keys(site)})
    except InstallFailed as error:
        return (
            f"It could not be taken back either: {error.detail} The portal goes on with the keys that it had. The new "
            f"program may lie there, with the one before it beside it (ending in .before-{attempt}). Do it again when "
            "the site can be reached."
        )
    return "It was taken back: the portal goes on as before."


def _settle(site: Site, actor: str) -> None:
    """Take away at the site what is not used any more."""
    try:
        _installer(site, {"do": "settle", "keys": _stored_keys(site)})
    except InstallFailed as error:
        raise _failed(
            site, "settle", error,
            f"The new program and its keys are in use at {site.name}. The lines of the keys before them may still be "
            "in ~/.ssh/authorized_keys there (ending in drportal-site:read and :act): nobody has these keys any more. "
            "Install once more to take them out.",
            actor,
        ) from error  # fmt: skip


# ---- services


def program_install(*, slug: str, actor: str, wishes: Wishes | None = None) -> Site:
    """Make two keys, install beside what is there, look whether both answer as they should, use them, and only then
    take the old ones out.

    Raises Conflict without a key for the login, InstallFailed (the sentence says how it stands).
    """
    site, wishes = site_get(slug), wishes or Wishes()
    options = wishes.settled(site)
    arguments = arguments_of(site, options)
    begin = {"pools": pools_of(site), "sha256": own_hash(), "options": options}
    _noted(site, "site.program.install.begin", begin, actor)
    keys = {rights: asyncssh.generate_private_key("ssh-ed25519") for rights in RIGHTS}
    public = {rights: key.export_public_key().decode().strip() for rights, key in keys.items()}
    private = {rights: key.export_private_key().decode() for rights, key in keys.items()}
    sealed = {rights: seal(key.encode()) for rights, key in private.items()}  # before anything is changed there

    def tried() -> Hello:
        hello = {rights: _checked(site, rights, key, options) for rights, key in private.items()}["act"]
        for rights, key in {} if wishes.without_ceph else private.items():
            _ceph_answers(site, rights, key, options[f"{rights}_user"])
        return hello

    request = {"do": "install", "program": program_text(), "keys": public, "arguments": arguments}

    def keep(there: InstalledThere, hello: Hello) -> None:
        lines = {rights: line for line in there.keys for rights in RIGHTS if public[rights].split()[1] in line.split()}
        for rights, kind in KEYS.items():
            kept = {"ciphertext": sealed[rights], "changed_by": actor}
            Credential.objects.update_or_create(site=site, kind=kind, defaults=kept)
        site.program = {**site.program, "wishes": wishes.kept(site), "options": options, "lines": lines}
        _keep(site, hello, there, through=CephThrough.INSTALLED)
        fingerprints = {rights: key.get_fingerprint() for rights, key in keys.items()}
        record("site.program.install", slug, {"program": site.program, "keys": fingerprints}, actor=actor, site=slug)
        publish("sites", site.version)

    _put(site, request, tried, keep, actor)
    return site


def program_upgrade(*, slug: str, actor: str) -> Site:
    """Put the portal's own program in the place of the one that lies there; keys and receipts stay."""
    site = _installed(slug)
    keys = {rights: credential(site, kind) for rights, kind in KEYS.items() if rights in _stored_keys(site)}
    if len(keys) < len(KEYS):
        raise Conflict(
            f"The site program at {site.name} was installed by hand, so the portal cannot replace it. Nothing was "
            f"changed. Replace the file there, or let the portal do it from now on: manage.py site install {slug}",
            code="installed_by_hand",
        )
    _noted(site, "site.program.upgrade.begin", {"before": site.program, "sha256": own_hash()}, actor)
    before, options = dict(site.program), site.program.get("options") or Wishes().settled(site)

    def tried() -> Hello:
        return [_checked(site, rights, keys[rights], options) for rights in RIGHTS][-1]

    def keep(there: InstalledThere, hello: Hello) -> None:
        _keep(site, hello, there, through=CephThrough.INSTALLED)
        record("site.program.upgrade", slug, {"before": before, "after": site.program}, actor=actor, site=slug)
        publish("sites", site.version)

    _put(site, {"do": "upgrade", "program": program_text()}, tried, keep, actor)
    return site


def program_uninstall(*, slug: str, actor: str) -> InstalledThere:
    """Take the program and its two keys out again; the portal sends the program from then on. Receipts stay there."""
    site = _installed(slug)
    _noted(site, "site.program.uninstall.begin", {"before": site.program}, actor)
    try:
        there = _installer(site, {"do": "uninstall"})
    except InstallFailed as error:
        unsure = isinstance(error.__cause__, OutcomeUnknown)
        after = "Whether it is still there is not known. Uninstall once more: it may be repeated." if unsure else ""
        raise _failed(site, "uninstall", error, after, actor) from error
    with transaction.atomic():
        Credential.objects.filter(site=site, kind__in=KEYS.values()).delete()
        Site.objects.filter(pk=site.pk).update(ceph_through=CephThrough.PROGRAM, program={}, version=site.version + 1)
        record(
            "site.program.uninstall", slug, {"state": there.state, "receipts": there.receipts}, actor=actor, site=slug
        )
        publish("sites", site.version + 1)
    return there


def program_show(*, slug: str) -> tuple[Site, Hello]:
    """Ask the installed program what it is, by the key that may only observe."""
    site = _installed(slug)
    key = credential(site, key_kind(site, Reach()))
    hello: Hello = _at_site(lambda: _hello(site, key))
    if (hello.sha256, hello.program) != (site.program.get("sha256"), site.program.get("version")):
        with transaction.atomic():
            _keep(site, hello, None, through=CephThrough.INSTALLED)
            record("site.program.changed", slug, {"program": site.program}, actor="portal", site=slug)
            publish("sites", site.version)
    return site, hello


def arguments_of(site: Site, options: dict[str, str]) -> dict[str, list[str]]:
    """What the forced command of each key says besides rights and state directory."""
    words: dict[str, list[str]] = {}
    for rights in RIGHTS:
        user = options[f"{rights}_user"]
        words[rights] = [word for pool in pools_of(site) for word in ("--pool", checked_name(pool, "pool"))]
        words[rights] += ["--ceph-user", user] if user else []
    words["act"] += ["--salvage", site.salvage_dir] if site.salvage_dir else []
    words["act"] += ["--force-promote", options["force_promote"]]
    return words


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
    record(action, site.slug, payload, actor=actor, site=site.slug)


def _keep(site: Site, hello: Hello, there: InstalledThere | None, *, through: str) -> None:
    now: dt.datetime = timezone.now()
    site.program = {
        **site.program,
        **hello_facts(hello.raw),
        "read_at": now.isoformat(),
        **({"path": there.path, "state": there.state, "changed_at": now.isoformat()} if there else {}),
    }
    site.ceph_through, site.version = through, site.version + 1
    site.save(update_fields=["program", "ceph_through", "version"])
