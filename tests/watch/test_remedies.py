"""Remedies as they are printed: the lab has the gap, the command is typed at the site that it names, the gap is gone.

What the embedded lab's sites have no words for is put before Ceph's own client, which must know every word of it; of
OpenNebula's command line what it sends is sent, as far as the lab has such a call.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drportal.drivers.ssh import SshShell
from drportal.engine.facts import Mode, RoleFacts, Side, SideFacts
from drportal.engine.gap_base import Gap
from drportal.engine.gaps import DiskGapFacts, ImageGapFacts, VmGapFacts, image_gaps, snapshots_old, vm_gaps
from drportal.engine.pool_gaps import PeerFacts, PoolGapFacts, pool_gaps
from drportal.engine.schedule_gaps import SiteSchedule, schedule_gaps
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import MirroredImage, SitePair, SnapshotSchedules, VmDisk
from drportal.recovery.models import RecoveryPlan
from drportal.watch.models import GroupTarget
from tests.conftest import Person, need
from tests.contract.conftest import target_of
from tests.recovery.conftest import Mover
from tests.stack import LabProcess, wait_until


@pytest.fixture(scope="module")
def small_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    folder = tmp_path_factory.mktemp("remedies") / "lab"
    with LabProcess("embedded", folder, "--speed", "20", vms=3, mode="mixed") as lab:
        yield lab


def typed(lab: LabProcess, site: str, text: str) -> None:
    """At the login of that site, one after the other as a shell does; each must end well."""

    async def run() -> None:
        shell = SshShell(target_of(lab.client.description.sites[site[-1].lower()]))
        try:
            for command in text.split(" && "):
                answer = await shell.act(shlex.split(command))
                assert answer.exit_status == 0, f"{command}: {answer.stderr}"
        finally:
            await shell.close()

    asyncio.run(run())


class FrontEnd:
    """OpenNebula of one site of the lab, as its oneadmin speaks to it."""

    def __init__(self, lab: LabProcess, site: str) -> None:
        access = lab.client.description.sites[site[-1].lower()].opennebula
        self._session = f"{access.username}:{access.password}"
        self._proxy = xmlrpc.client.ServerProxy(access.url)

    def __call__(self, method: str, *given: object) -> Any:
        answer: Any = getattr(self._proxy, f"one.{method}")(self._session, *given)
        assert answer[0] is True, f"{method}: {answer}"
        return answer[1]

    def typed(self, text: str) -> None:
        """What OpenNebula's own command line sends for it."""
        match shlex.split(text):
            case ["onevm", "poweroff", number]:
                self("vm.action", "poweroff", int(number))
            case ["oneimage", "rename", number, name]:
                self("image.rename", int(number), name)
            case ["oneimage", "lock", number]:
                self("image.lock", int(number), 1, False)  # USE, where no level is named
            case _:
                raise AssertionError(f"the lab has no call for: {text}")


def gaps(viewer: Person, pair: SitePair, code: str, q: str = "") -> list[dict[str, Any]]:
    discover(pair.pk)
    found: list[dict[str, Any]] = viewer.read(f"/pairs/{pair.pk}/gaps?code={code}&q={q}")["items"]
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["journal", "snapshot"])
def test_an_image_that_is_not_mirrored_is_in_either_mode(small_lab: LabProcess, viewer: Person, mode: str) -> None:
    pair = introduce(small_lab.client.description)
    discover(pair.pk)
    image = str(MirroredImage.objects.filter(gone_at=None, mode=mode, disks__isnull=False).order_by("pk")[0])
    typed(small_lab, "Site A", f"rbd mirror image disable {image}")
    (gap,) = gaps(viewer, pair, "not_mirrored", image)
    command = gap["commands"][["journal", "snapshot"].index(mode)]
    typed(small_lab, command["site"], command["text"])
    wait_until("it is mirrored again", lambda: gaps(viewer, pair, "not_mirrored", image) == [], 30, 0.5)
    wait_until("its copy is there", lambda: gaps(viewer, pair, "no_copy", image) == [], 60, 0.5)
    pool, _, name = image.partition("/")
    assert MirroredImage.objects.get(pair=pair, pool=pool, name=name, gone_at=None).mode == mode


@pytest.mark.django_db(transaction=True)
def test_an_image_without_a_schedule_gets_one_and_one_that_is_too_slow_a_shorter(
    small_lab: LabProcess, viewer: Person
) -> None:
    mover = Mover(small_lab.client)
    plan: RecoveryPlan = mover.plan("db-1")
    GroupTarget.objects.create(group=plan.group, rpo_s=600)
    pool = small_lab.client.description.pool
    own = {str(row) for row in MirroredImage.objects.filter(mode="snapshot", disks__vm__membership__group=plan.group)}
    assert own

    def mended(code: str) -> None:
        found = gaps(viewer, mover.pair, code)
        assert own <= {gap["subject"] for gap in found}
        for gap in found:
            (command,) = gap["commands"]
            typed(small_lab, command["site"], command["text"])
        assert gaps(viewer, mover.pair, code) == []

    for site in ("Site A", "Site B"):
        typed(small_lab, site, f"rbd mirror snapshot schedule remove --pool {pool}")
        typed(small_lab, site, f"rbd mirror snapshot schedule add --pool {pool} 1h")
    mended("schedule_too_long")
    for site in ("Site A", "Site B"):
        typed(small_lab, site, f"rbd mirror snapshot schedule remove --pool {pool}")
        for row in SnapshotSchedules.objects.filter(pool__site__name=site):
            for entry_pool, image, *_ in row.entries:
                if image:
                    typed(small_lab, site, f"rbd mirror snapshot schedule remove --pool {entry_pool} --image {image}")
    mended("no_schedule")


@pytest.mark.django_db(transaction=True)
def test_a_record_that_shares_its_disk_is_locked_and_a_vm_that_runs_twice_powered_off(
    small_lab: LabProcess, viewer: Person
) -> None:
    pair = introduce(small_lab.client.description)
    home, away = (FrontEnd(small_lab, site) for site in ("Site A", "Site B"))
    discover(pair.pk)
    source = str(MirroredImage.objects.filter(gone_at=None, disks__isnull=False).order_by("-pk")[0])
    again = home(
        "image.allocate", f'NAME="again"\nTYPE="OS"\nPERSISTENT="YES"\nSOURCE="{source}"\nFORMAT="raw"\nSIZE="1"', 100
    )
    (twice,) = gaps(viewer, pair, "source_twice")
    (lock,) = [one["text"] for one in twice["commands"] if one["text"].endswith(f" {again}")]
    home.typed(lock)
    assert gaps(viewer, pair, "source_twice") == []
    for front_end in (home, away):
        front_end("vm.allocate", 'NAME="twin"\nCPU="1"\nMEMORY="64"\nOS=[UUID="11111111-2222-3333-4444-555555555555"]')
    (alive,) = wait_until("both run", lambda: gaps(viewer, pair, "address_twice"), 30, 0.3)
    (stop,) = [one["text"] for one in alive["commands"] if one["site"] == "Site B"]
    away.typed(stop)
    wait_until("one is off", lambda: gaps(viewer, pair, "address_twice") == [], 30, 0.3)
    assert [gap["subject"] for gap in gaps(viewer, pair, "name_taken")] == ["twin"], "which is another matter"


@pytest.mark.django_db(transaction=True)
def test_a_record_at_the_other_site_that_has_a_disks_name_is_renamed(small_lab: LabProcess, viewer: Person) -> None:
    pair = introduce(small_lab.client.description)
    away = FrontEnd(small_lab, "Site B")
    discover(pair.pk)
    disk = VmDisk.objects.filter(vm__name="web-1", vm__site=pair.a).get()
    away("image.allocate", f'NAME="{disk.record_name}"\nTYPE="DATABLOCK"\nFORMAT="raw"\nSIZE="1"\nFS=""', 1)
    (taken,) = gaps(viewer, pair, "name_taken", "image")
    assert disk.source in taken["sentence"]
    (rename,) = taken["commands"]
    assert rename["site"] == "Site B"
    away.typed(rename["text"])
    assert gaps(viewer, pair, "name_taken", "image") == []


NAMES = {Side.A: "Site A", Side.B: "Site B"}
PLAIN = RoleFacts(True, None, None, None, "1", "one/base@snap", None, ("layering",))  # type: ignore[arg-type]
PEER = PeerFacts("6d2b2b0e-0000-4000-8000-000000000001", "tx-only")
POOL = PoolGapFacts("one", "image", (PEER,), True)


def printed() -> Iterator[Gap]:
    """Of every kind whose remedy is a word to Ceph, once at least."""
    journal = replace(PLAIN, primary=True, mode=Mode.JOURNAL, global_id="g")
    absent = RoleFacts(False, None, None, None, None, None, PLAIN.read_at)
    for a, b in ((PLAIN, absent), (journal, PLAIN), (journal, absent)):
        yield from image_gaps(
            ImageGapFacts("one/one-1", True, {Side.A: SideFacts(True, a), Side.B: SideFacts(True, b)}), NAMES
        )
    yield snapshots_old("one/one-1", 7200, "Site A")
    yield from schedule_gaps("one/one-1", SiteSchedule("Site A", True), SiteSchedule("Site B", True), 600)
    for pool in (POOL, replace(POOL, peers=()), replace(POOL, mode="disabled", peers=())):
        yield from pool_gaps(pool, "Site B", POOL, "Site A")
    elsewhere = DiskGapFacts(0, "persistent", "two/one-9", image_known=False)
    yield from vm_gaps(VmGapFacts(7, "db", "Site A", (elsewhere,), 60.0))


def test_ceph_itself_knows_every_word_of_what_is_printed_for_it(tmp_path: Path, require_rbd: None) -> None:
    texts = sorted({part for gap in printed() for one in gap.commands for part in one.text.split(" && ")})
    rbd = [text for text in texts if "rbd" in text and not text.startswith("systemctl")]
    assert len(rbd) >= 14
    (tmp_path / "one.peer-token").write_text("e30=")
    env = {**os.environ, "CEPH_CONF": "/dev/null"}
    for text in rbd:
        done = subprocess.run(["sh", "-c", text], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        (tmp_path / "one.peer-token").write_text("e30=")
        assert "couldn't connect to the cluster" in done.stderr, f"{text}: {done.stderr}"


@pytest.fixture
def require_rbd() -> None:
    need(["rbd"], "ceph-common")
