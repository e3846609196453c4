"""A site program that is not the portal's own is seen at a look, whoever put it there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.inventory import polling
from drportal.inventory.installed import own_hash
from drportal.inventory.models import CephThrough, Site, SitePair
from drportal.lab.control import LabClient
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import PROGRAM_VERSION
from drportal.watch.conditions import conditions
from tests.conftest import Person
from tests.inventory.test_polling import polling_now, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(lab: LabClient) -> Iterator[Path]:
    """Of the login at site a; its keys are put back."""
    home = Path(lab.directory) / "home-a"
    keys = home / ".ssh" / "authorized_keys"
    before = keys.read_text()
    yield home
    keys.write_text(before)


@pytest.fixture(autouse=True)
def short_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "CONVERSATION_S", 0.5)


def program_of(person: Person, site: Site) -> dict[str, Any]:
    found: dict[str, Any] = person.read(f"/sites/{site.slug}")["program"] or {}
    return found


def trail(site: Site) -> list[str]:
    return list(AuditEntry.objects.filter(subject=site.slug).order_by("seq").values_list("action", flat=True))


def test_a_file_that_somebody_changes_is_seen(lab_pair: SitePair, home: Path, viewer: Person) -> None:
    site = lab_pair.a
    call_command("site", "install", site.slug)
    file = home / ".local" / "lib" / "drportal-site" / "drportal-site.py"

    async def watched() -> None:
        async with polling_now(0.3):
            await until("it is looked at", lambda: Site.objects.get(pk=site.pk).last_heard)
            assert await sync_to_async(lambda: program_of(viewer, site)["skew"])() == ""
            file.write_text(program_text() + "\n# and a word more\n")
            await until("the change is seen", lambda: program_of(viewer, site)["skew"])

    asyncio.run(watched())
    told = program_of(viewer, site)
    assert f"says that it is version {PROGRAM_VERSION}" in told["skew"] and "SHA-256 is another" in told["skew"]
    assert [key["rights"] for key in told["keys"]] == ["read", "act"], "what the portal installed is known still"
    changed = AuditEntry.objects.get(action="site.program.changed")
    assert (changed.payload["before"], changed.payload["ours"]) == (own_hash(), own_hash())
    assert changed.payload["sha256"] == told["sha256"] != own_hash()
    call_command("site", "upgrade", site.slug)
    assert program_of(viewer, site)["skew"] == ""


def test_one_that_was_installed_by_hand_is_compared_too(lab_pair: SitePair, home: Path, viewer: Person) -> None:
    site, older = (
        lab_pair.a,
        program_text().replace(f'PROGRAM_VERSION = "{PROGRAM_VERSION}"', 'PROGRAM_VERSION = "0.9"'),
    )
    file, keys = home / "by-hand.py", home / ".ssh" / "authorized_keys"
    file.write_text(program_text())
    forced = f'restrict,command="/usr/bin/python3 -I {file} --rights act" '
    keys.write_text("".join(forced + line + "\n" for line in keys.read_text().splitlines()))
    Site.objects.filter(pk=site.pk).update(ceph_through=CephThrough.INSTALLED)

    async def watched() -> None:
        async with polling_now(0.3):
            await until("it is found", lambda: program_of(viewer, site))
            assert await sync_to_async(lambda: program_of(viewer, site)["skew"])() == ""
            file.write_text(older)
            await until("the older one is seen", lambda: program_of(viewer, site)["skew"])

    asyncio.run(watched())
    assert program_of(viewer, site)["keys"] == []
    assert trail(site)[-2:] == ["site.program.found", "site.program.changed"]


def test_pools_that_the_keys_reach_are_held_against_those_of_the_pair(
    lab_pair: SitePair, home: Path, viewer: Person
) -> None:
    """The forced commands were written before the pair's pools were changed."""
    site = lab_pair.a

    def told(*pools: str) -> str:
        SitePair.objects.filter(pk=lab_pair.pk).update(pools=list(pools))
        found = str(program_of(viewer, site)["pools_differ"])
        alerts = [one.sentence for one in conditions(timezone.now()) if one.key == f"site:{site.pk}:pools"]
        assert alerts == ([found] if found else [])
        return found

    call_command("site", "install", site.slug)
    assert told("one") == ""
    assert (
        f"may not reach two: nothing can be seen or done there. Put it right: manage.py site install {site.slug}"
        in (told("one", "two"))
    )
    assert "may reach one, and the portal does not watch it" in told()
    assert "may not reach two" in told("two") and "they may reach one" in told("two")
    told("one", "two")
    call_command("site", "install", site.slug, "--without-ceph")
    assert told("one", "two") == ""
    assert "may reach two" in told("one")


def test_pools_of_a_forced_command_that_somebody_edits_are_seen(lab_pair: SitePair, home: Path, viewer: Person) -> None:
    site, keys = lab_pair.a, home / ".ssh" / "authorized_keys"
    call_command("site", "install", site.slug)

    async def watched() -> None:
        async with polling_now(0.3):
            await until("it is looked at", lambda: Site.objects.get(pk=site.pk).last_heard)
            keys.write_text(keys.read_text().replace("--pool one", "--pool one --pool three"))
            await until("the change is seen", lambda: program_of(viewer, site)["pools_differ"])

    asyncio.run(watched())
    assert "may reach three" in program_of(viewer, site)["pools_differ"]
    assert AuditEntry.objects.get(action="site.program.changed").payload["pools"] == ["one", "three"]
