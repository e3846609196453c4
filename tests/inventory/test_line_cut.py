"""Both sites live, the portal reaches both, and nothing comes over: what the mirror daemon repeats makes no exposure
smaller."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from drportal.engine import exposure
from drportal.inventory import image_book
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import introduce
from drportal.inventory.models import CephThrough, MirroredImage, Site
from drportal.lab.control import LabClient
from tests.inventory.test_polling import polling_now, until
from tests.stack import LabProcess

pytestmark = pytest.mark.django_db(transaction=True)
LAG_S = 1.0


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabClient]:
    """Of one disk in journal mode, to which nothing is written but by the test. Ten times as fast as Ceph."""
    monkeypatch.setattr(exposure, "JOURNAL_LAG_S", LAG_S)
    monkeypatch.setattr(exposure, "BEAT_S", 3.0)
    monkeypatch.setattr(image_book, "POINT_STEP_S", 0.5)  # a row is written as soon as there is something to wait for
    monkeypatch.setattr(image_book, "REFRESH_SMALL_S", 1.0)
    options = ("--write-rate", "0", "--speed", "10")
    with LabProcess("embedded", tmp_path / "lab", *options, vms=1, mode="journal") as process:
        yield process.client


def row() -> MirroredImage:
    return MirroredImage.objects.get()


def shown_since(moment: dt.datetime) -> bool:
    return row().protected_until is not None and row().protected_until > moment


async def test_exposure_grows_while_the_line_between_living_sites_is_cut_and_shrinks_after(
    lab: LabClient, transactional_db: None
) -> None:
    pair = await sync_to_async(introduce)(lab.description)
    # Where each answer is a process; the site program tells positions along with the roles.
    await Site.objects.aupdate(ceph_through=CephThrough.RBD)
    await sync_to_async(discover)(pair.pk)
    image, began = await sync_to_async(row)(), timezone.now()
    async with polling_now(1.0):
        await until("an idle image is measured by asking its primary", lambda: shown_since(began))
        await sync_to_async(lab.fail)("a", "line-cut")
        cut_at = timezone.now()
        await until("nothing is missing while nothing is written", lambda: shown_since(cut_at))
        assert (await sync_to_async(row)()).verdict == "protected"
        await sync_to_async(lab.fail)("b", "line-cut")
        await sync_to_async(lab.restore)("b", "line-cut")  # and it is cut at a's end still
        await sync_to_async(lab.write)("a", image.name, "what the copy has not")
        written_at, told = timezone.now(), set[str]()

        def is_repeated() -> bool:
            found = row()
            assert found.protected_until is not None
            assert found.protected_until <= written_at, "it is written, and not at the copy"
            status = found.side_b["status"]
            assert status["state"] == "up+replaying"
            assert status["replayed"] == status["primary_position"], "the daemon says that it has all"
            told.add(status["last_update"])
            return len(told) > 2

        await until("the daemon has repeated itself for longer than the lag", is_repeated)
        await sync_to_async(lab.restore)("a", "line-cut")
        mended_at = timezone.now()
        await until("it follows again", lambda: shown_since(mended_at))
