"""The site program is installed over SSH, reached by the two keys that the portal made, upgraded and taken out again:
at the lab's hosts and at a real sshd.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from io import StringIO
from typing import Any

import asyncssh
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from drportal.audit.models import AuditEntry
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.site_link import Installed, SiteLink
from drportal.drivers.ssh import SshShell
from drportal.inventory import site_program as service
from drportal.inventory.connect import Reach, credential, login_of, site_drivers
from drportal.inventory.discovery import discover
from drportal.inventory.installed import deposit_command
from drportal.inventory.introduce import introduce
from drportal.inventory.models import CephThrough, Credential, Site
from drportal.lab.ceph.sshd import Sshd
from drportal.lab.control import LabClient
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import PROGRAM_VERSION
from tests.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)
READ, ACT = Credential.Kind.OBSERVE_KEY, Credential.Kind.ACT_KEY


def said(*words: str) -> str:
    out = StringIO()
    call_command("site", *words, stdout=out)
    return out.getvalue()


def ask(site: Site, kind: Credential.Kind, verb: str, **fields: Any) -> dict[str, Any]:
    target = login_of(site, credential(site, kind))

    async def asked() -> dict[str, Any]:
        link = SiteLink(target, Installed())
        try:
            return (await link.ask(verb, fields, deadline_s=15)).content
        finally:
            await link.close()

    return asyncio.run(asked())


def typed(site: Site, kind: Credential.Kind, command: str) -> str:
    """What a person who stole the key gets for a command."""

    target = login_of(site, credential(site, kind))

    async def asked() -> str:
        known = asyncssh.import_known_hosts(f"[{target.host}]:{target.port} {target.host_keys[0]}\n")
        key = asyncssh.import_private_key(target.private_key)
        async with asyncssh.connect(
            target.host, target.port, username=target.user, client_keys=[key], known_hosts=known, config=None,
            agent_path=None,
        ) as connection:  # fmt: skip
            done = await connection.run(command, stdin=asyncssh.DEVNULL, timeout=20)
            return str(done.stdout) + str(done.stderr)

    return asyncio.run(asked())


def test_it_lives_and_goes_at_a_real_sshd(real_site: Site, real_sshd: Sshd, viewer: Person) -> None:
    home = real_sshd.root / "home"
    keys = home / ".ssh" / "authorized_keys"
    keys.parent.mkdir(mode=0o700)
    keys.write_text("ssh-ed25519 AAAAsomebody somebody@else\n")
    told = said("install", real_site.slug, "--without-ceph")
    assert "belongs to this portal" in told
    assert all(f"ceph auth get-or-create client.drportal-{rights} " in told for rights in ("read", "act"))
    assert "osd 'profile rbd pool=one, profile rbd pool=vms'" in told
    assert said("caps", real_site.slug).strip() in told

    site = Site.objects.get(pk=real_site.pk)
    assert site.ceph_through == CephThrough.INSTALLED
    program = home / ".local" / "lib" / "drportal-site" / "drportal-site.py"
    assert program.read_text() == program_text()
    lines = keys.read_text().splitlines()
    assert lines[0] == "ssh-ed25519 AAAAsomebody somebody@else" and len(lines) == 3
    for rights, line in zip(("read", "act"), lines[1:], strict=True):
        assert line.startswith('restrict,command="')
        assert f"--rights {rights} --pool one --pool vms --ceph-user drportal-{rights}" in line
    assert oct(keys.stat().st_mode & 0o777) == "0o600"

    assert ask(site, READ, "hello")["hello"]["rights"] == "read"
    assert ask(site, ACT, "hello")["hello"]["pools"] == ["one", "vms"]
    assert ask(site, READ, "acknowledge", receipts=[["operation-1", 1]])["error"]["code"] == "not-allowed"
    assert ask(site, ACT, "observe-pool", pool="other", parts=["info"])["error"]["code"] == "not-allowed"
    # Whatever is asked for, the program answers, and nothing else can be had with these keys.
    for kind in (READ, ACT):
        assert '"hello"' in typed(site, kind, f"touch {home}/stolen")
    assert not (home / "stolen").exists()

    shown = viewer.read(f"/sites/{site.slug}")
    assert (shown["program"]["skew"], shown["program"]["path"]) == ("", str(program))
    assert [key["command"] for key in shown["program"]["keys"]] == [line.split(" ssh-")[0] for line in lines[1:]]
    for key in shown["program"]["keys"]:
        assert key["ceph_user"] == f"drportal-{key['rights']}" and key["caps"] in told
    assert str(credential(site, ACT)) not in str(viewer.api("GET", f"/sites/{site.slug}").content)

    barred = ask(site, ACT, "receipt", op="operation-1", bar=True)["receipt"]
    assert "1 receipts stay" in said("uninstall", site.slug)
    assert keys.read_text() == "ssh-ed25519 AAAAsomebody somebody@else\n" and not program.exists()
    assert (home / ".drportal-site" / "ops" / barred["op"]).exists()
    site.refresh_from_db()
    assert (site.ceph_through, site.program) == (CephThrough.PROGRAM, {})
    assert set(site.credentials.values_list("kind", flat=True)) == {"ssh_key"}
    actions = list(AuditEntry.objects.filter(subject=site.slug).order_by("seq").values_list("action", flat=True))
    assert actions == [f"site.program.{word}" for word in ("install.begin", "install", "uninstall.begin", "uninstall")]


def test_another_version_is_told_and_upgraded(real_site: Site, viewer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    older = program_text().replace(f'PROGRAM_VERSION = "{PROGRAM_VERSION}"', 'PROGRAM_VERSION = "0.9"')
    assert older != program_text()
    with monkeypatch.context() as then:
        then.setattr(service, "program_text", lambda: older)
        then.setattr(service, "own_hash", lambda: hashlib.sha256(older.encode()).hexdigest())
        said("install", real_site.slug, "--without-ceph")
    acts_before = credential(Site.objects.get(pk=real_site.pk), ACT)
    skew = viewer.read(f"/sites/{real_site.slug}")["program"]["skew"]
    assert f"version 0.9 there, {PROGRAM_VERSION} here" in skew and f"manage.py site upgrade {real_site.slug}" in skew
    assert skew in said("show", real_site.slug)
    said("upgrade", real_site.slug)
    assert viewer.read(f"/sites/{real_site.slug}")["program"]["skew"] == ""
    assert credential(Site.objects.get(pk=real_site.pk), ACT) == acts_before
    assert AuditEntry.objects.filter(action="site.program.upgrade").get().payload["before"]["version"] == "0.9"


def test_what_fails_leaves_everything_as_it_was(real_site: Site, real_sshd: Sshd) -> None:
    for words in (("upgrade",), ("uninstall",), ("show",)):
        with pytest.raises(CommandError, match="is not installed"):
            said(*words, real_site.slug)
    keys = real_sshd.root / "home" / ".ssh"
    keys.write_text("a file where a directory is needed")
    with pytest.raises(CommandError, match="still"):
        said("install", real_site.slug)
    site = Site.objects.get(pk=real_site.pk)
    assert site.ceph_through == CephThrough.PROGRAM
    assert set(site.credentials.values_list("kind", flat=True)) == {"ssh_key"}
    assert AuditEntry.objects.filter(action="site.program.install").count() == 0
    assert AuditEntry.objects.filter(action="site.program.install.begin").count() == 1
    with pytest.raises(CommandError, match="no site"):
        said("install", "nowhere")
    with pytest.raises(CommandError, match="no name for a Ceph user"):
        said("install", real_site.slug, "--act-user", "a b")


def test_nobody_can_store_the_portals_own_keys(administrator: Person, real_site: Site) -> None:
    answer = administrator.api("PUT", f"/sites/{real_site.slug}/credentials/act_key", {"value": "x"})
    assert answer.status_code == 404


def test_at_the_lab_it_is_used_for_everything(lab: LabClient) -> None:
    pair = introduce(lab.description)
    said("install", pair.a.slug)
    try:
        site = Site.objects.get(pk=pair.a_id)
        # The login's key is not needed any more, and gone.
        Credential.objects.filter(site=site, kind=Credential.Kind.SSH_KEY).delete()
        assert discover(pair.pk) and site.pools.get().name == "one"

        async def acts(reach: Reach) -> None:
            drivers = await asyncio.to_thread(site_drivers, site, reach)
            await drivers.ceph.acknowledge([{"op": "operation-1", "change": 1}])  # type: ignore[attr-defined]
            await drivers.close()

        asyncio.run(acts(Reach(acts=True)))
        with pytest.raises(Refused) as caught:
            asyncio.run(acts(Reach()))
        assert caught.value.reason is Reason.NO_RIGHTS
    finally:
        introduce(lab.description)  # its key again
        said("uninstall", pair.a.slug)

    login = login_of(pair.a, credential(pair.a, Credential.Kind.SSH_KEY))

    async def login_is_free() -> str:
        shell = SshShell(login)
        answer = await shell.read(["true"])
        await shell.close()
        return str(answer.exit_status)

    assert asyncio.run(login_is_free()) == "0"


def test_what_the_sites_people_deposit_is_told_and_goes_with_the_installation(
    real_site: Site, real_sshd: Sshd, viewer: Person
) -> None:
    said("install", real_site.slug, "--without-ceph", "--force-promote", "deposited", "--read-user", "drportal-act")
    site = Site.objects.get(pk=real_site.pk)
    assert ask(site, ACT, "hello")["hello"]["force_promote"] == "deposited"
    command = "rbd mirror image promote --force one/one-1"
    typed_there = deposit_command(site, "a" * 64, [command, command.replace("one-1", "one-2")])
    subprocess.run(["sh", "-c", typed_there], check=True)
    deposit = real_sshd.root / "home" / ".drportal-site" / "approvals" / ("a" * 64)
    assert deposit.read_text() == "one/one-1\none/one-2\n"

    # What is not said again stays; what is said is changed; and an upgrade looks for it.
    said("install", real_site.slug, "--without-ceph")
    said("upgrade", real_site.slug)
    program = viewer.read(f"/sites/{site.slug}")["program"]
    assert (program["force_promote"], program["keys"][0]["ceph_user"]) == ("deposited", "drportal-act")
    assert program["keys"][0]["caps"] == program["keys"][1]["caps"], "one user for both needs the rights to act"
    assert "--force-promote" not in program["keys"][0]["command"]
    assert "--force-promote deposited" in program["keys"][1]["command"]
    said("install", real_site.slug, "--without-ceph", "--force-promote", "approved")
    site.refresh_from_db()
    assert ask(site, ACT, "hello")["hello"]["force_promote"] == "approved"
    assert deposit_command(site, "a" * 64, [command]) == ""


def test_the_program_can_be_had_for_installing_it_by_hand() -> None:
    assert said("program") == program_text()
