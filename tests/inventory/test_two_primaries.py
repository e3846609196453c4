"""Two primaries stay in the band and in the alerts until they are seen to be resolved."""

from __future__ import annotations

from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from drportal.drivers.ssh import SshShell, SshTarget
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import MirroredImage
from drportal.lab.control import LabClient
from drportal.recovery.building import CAME_BACK
from drportal.watch.conditions import two_primaries
from tests.conftest import Person
from tests.inventory.test_polling import polling_now, until
from tests.stack import LabProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
IMAGE = "one/one-10"


async def by_hand(lab: LabClient, side: str, *words: str) -> None:
    """As a person at that site's shell."""
    ssh = lab.description.sites[side].ssh
    shell = SshShell(SshTarget(ssh.host, ssh.port, ssh.user, ssh.private_key, (ssh.host_key,)))
    answer = await shell.act(["rbd", "mirror", "image", *words, IMAGE], patience_s=60)
    assert answer.exit_status == 0, answer.stderr
    await shell.close()


def verdict() -> str:
    return MirroredImage.objects.get(pool="one", name="one-10").verdict


async def test_a_side_that_falls_silent_has_resolved_nothing(tmp_path: Path, viewer: Person) -> None:
    with LabProcess("embedded", tmp_path / "lab", "--speed", "10", mode="journal") as own:
        lab = own.client
        await sync_to_async(lambda: discover(introduce(lab.description).pk))()
        await sync_to_async(lab.fail)("a", "site-down")
        await by_hand(lab, "b", "promote", "--force")
        await sync_to_async(lab.restore)("a")
        async with polling_now():
            await until("it is seen", lambda: verdict() == "two_primaries")
            await sync_to_async(lab.fail)("a", "site-down")
            await until("one side is silent", lambda: verdict() not in ("two_primaries", "cannot_tell"))
            assert await sync_to_async(verdict)() not in CAME_BACK
            (told,) = await sync_to_async(lambda: list(two_primaries()))()
            assert "was last seen writable at both sites" in told.sentence
            band = (await sync_to_async(viewer.read)("/overview"))["two_primaries"]
            assert [image["name"] for image in band] == [IMAGE]

            await sync_to_async(lab.restore)("a")
            await until("it is seen again", lambda: verdict() == "two_primaries")
            await by_hand(lab, "a", "demote")
            await until("it is resolved", lambda: not list(two_primaries()))
            assert await sync_to_async(verdict)() != "two_primaries"
            assert not (await sync_to_async(viewer.read)("/overview"))["two_primaries"]
