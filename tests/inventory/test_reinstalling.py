"""Whatever goes wrong after the first write, the portal can still reach the site with the keys that it had."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from drportal.audit.models import AuditEntry
from drportal.drivers.errors import OutcomeUnknown
from drportal.drivers.site_link import Hello, Installed, SiteLink
from drportal.inventory import site_program as service
from drportal.inventory.connect import credential, login_of
from drportal.inventory.introduce import introduce
from drportal.inventory.models import CephThrough, Credential, Site
from drportal.lab.ceph.sshd import Sshd
from drportal.lab.control import LabClient
from drportal.site_program.assemble import program_text

pytestmark = pytest.mark.django_db(transaction=True)
READ, ACT = Credential.Kind.OBSERVE_KEY, Credential.Kind.ACT_KEY
BROKEN = program_text().replace("def main(", "def another_name(")
CUT = "command-succeeds-but-connection-drops"


def said(*words: str) -> str:
    out = StringIO()
    call_command("site", *words, stdout=out)
    return out.getvalue()


def rights(site: Site) -> tuple[str, str]:
    """What answers to the two keys that the portal keeps now."""

    async def hello(kind: Credential.Kind, key: str) -> Hello:
        link = SiteLink(login_of(site, key), Installed())
        try:
            return await link.hello()
        finally:
            await link.close()

    first, second = (asyncio.run(hello(kind, credential(site, kind))).rights for kind in (READ, ACT))
    return first, second


def files(home: Path) -> dict[str, str]:
    """All that the installer may write, but for the receipts."""
    kept = [home / ".ssh" / "authorized_keys", *(home / ".local" / "lib" / "drportal-site").glob("*")]
    return {str(file.relative_to(home)): file.read_text() for file in kept if file.exists()}


def failures(site: Site) -> list[str]:
    entries = AuditEntry.objects.filter(subject=site.slug, action__endswith=".failed").order_by("seq")
    return [entry.action for entry in entries]


@pytest.mark.parametrize("do", ["install", "upgrade"])
def test_a_program_that_does_not_work_is_taken_back(
    real_site: Site, real_sshd: Sshd, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    home = real_sshd.root / "home"
    said("install", real_site.slug, "--without-ceph")
    before, site = files(home), Site.objects.get(pk=real_site.pk)
    monkeypatch.setattr(service, "program_text", lambda: BROKEN)
    with pytest.raises(CommandError, match="goes on as before"):
        said(do, real_site.slug)
    assert files(home) == before
    assert rights(site) == ("read", "act")
    site.refresh_from_db()
    assert site.program["sha256"] == service.own_hash()
    assert failures(site) == [f"site.program.{do}.failed"]


def test_a_first_program_that_does_not_work_leaves_nothing(
    real_site: Site, real_sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "program_text", lambda: BROKEN)
    with pytest.raises(CommandError, match="goes on as before"):
        said("install", real_site.slug)
    left = files(real_sshd.root / "home")
    assert left == {".ssh/authorized_keys": ""}
    real_site.refresh_from_db()
    assert real_site.ceph_through == CephThrough.PROGRAM


def test_keys_to_which_ceph_does_not_answer_are_not_taken_into_use(real_site: Site, real_sshd: Sshd) -> None:
    """There is no Ceph behind this sshd."""
    said("install", real_site.slug, "--without-ceph")
    before = files(real_sshd.root / "home")
    with pytest.raises(
        CommandError, match=r"Ceph at .* does not answer to the key for “read” \(client.drportal-read\)"
    ):
        said("install", real_site.slug)
    assert files(real_sshd.root / "home") == before
    assert rights(Site.objects.get(pk=real_site.pk)) == ("read", "act")


@pytest.fixture
def lab_site(lab: LabClient) -> Iterator[Site]:
    site = introduce(lab.description).a
    said("install", site.slug)
    yield Site.objects.get(pk=site.pk)
    lab.restore("a")
    said("uninstall", site.slug)


@pytest.fixture
def home(lab: LabClient) -> Path:
    return Path(lab.directory) / "home-a"


@pytest.mark.parametrize("do", ["install", "upgrade"])
def test_a_connection_cut_after_the_write(lab_site: Site, lab: LabClient, home: Path, do: str) -> None:
    before = files(home)
    lab.fail("a", CUT, match="drportal-installer", times=1)
    with pytest.raises(CommandError, match="goes on as before"):
        said(do, lab_site.slug)
    assert files(home) == before
    assert rights(lab_site) == ("read", "act")


@pytest.mark.parametrize("do", ["install", "upgrade"])
def test_a_site_that_is_lost_after_the_write(
    lab_site: Site, home: Path, do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old keys still open the door; what may lie there is said; and done again, all is as it should be."""
    there, asked = service.installer_run, list[str]()

    async def then_dark(shell: Any, installer: str, request: dict[str, Any]) -> Any:
        asked.append(request["do"])
        if asked == [do]:
            await there(shell, installer, request)
        raise OutcomeUnknown("The site is dark.")

    with monkeypatch.context() as dark:
        dark.setattr(service, "installer_run", then_dark)
        with pytest.raises(CommandError, match="could not be taken back either"):
            said(do, lab_site.slug)
    assert asked == [do, "undo"]
    assert rights(lab_site) == ("read", "act")
    said(do, lab_site.slug)
    lines = files(home)[".ssh/authorized_keys"].splitlines()
    assert len([line for line in lines if "drportal-site:" in line]) == 2
    assert [name for name in files(home) if ".before-" in name] == []
    assert rights(lab_site) == ("read", "act")


def test_old_lines_that_can_not_be_taken_out_are_told(
    lab_site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = service.installer_run

    async def not_settled(shell: Any, installer: str, request: dict[str, Any]) -> Any:
        if request["do"] == "settle":
            raise OutcomeUnknown("The site is dark.")
        return await there(shell, installer, request)

    with monkeypatch.context() as dark:
        dark.setattr(service, "installer_run", not_settled)
        with pytest.raises(CommandError, match="are in use"):
            said("install", lab_site.slug)
    assert rights(lab_site) == ("read", "act"), "the new keys, which are the ones that are kept"
    assert files(home)[".ssh/authorized_keys"].count("drportal-site:") == 4
    assert failures(lab_site) == ["site.program.settle.failed"]
    said("install", lab_site.slug)
    assert files(home)[".ssh/authorized_keys"].count("drportal-site:") == 2


def test_an_uninstall_whose_answer_is_lost_can_be_repeated(lab_site: Site, lab: LabClient, home: Path) -> None:
    lab.fail("a", CUT, match="drportal-installer", times=1)
    with pytest.raises(CommandError, match="Uninstall once more"):
        said("uninstall", lab_site.slug)
    assert "Taken out" in said("uninstall", lab_site.slug)
    assert Site.objects.get(pk=lab_site.pk).ceph_through == CephThrough.PROGRAM
    said("install", lab_site.slug)
