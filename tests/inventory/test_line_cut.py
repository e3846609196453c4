"""Both sites live, the portal reaches both, and nothing comes over: what the mirror daemon repeats makes no exposure
smaller."""

from __future__ import annotations

import datetime as dt

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from drportal.engine import exposure
from drportal.inventory.models import MirroredImage, SitePair
from drportal.lab.control import LabClient
from tests.inventory.test_polling import polling_now, until, verdicts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def as_fast_as_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "JOURNAL_LAG_S", 2.0)
    monkeypatch.setattr(exposure, "UNHEARD_S", 6.0)


def points() -> dict[str, dt.datetime]:
    return dict(MirroredImage.objects.exclude(protected_until=None).values_list("name", "protected_until"))


def written_to() -> list[MirroredImage]:
    """Disks in journal mode: their VMs run."""
    return list(MirroredImage.objects.filter(mode="journal", gone_at=None))


def all_past(moment: dt.datetime) -> bool:
    return len(points()) == MirroredImage.objects.count() and all(point > moment for point in points().values())


async def test_exposure_grows_while_the_line_between_living_sites_is_cut_and_shrinks_after(
    lab: LabClient, lab_pair: SitePair
) -> None:
    began = timezone.now()
    async with polling_now():
        await until("all is measured, by what was seen here", lambda: all_past(began) and verdicts() == {"protected"})
        await sync_to_async(lab.fail)("a", "line-cut")
        cut_at = timezone.now()

        def is_told() -> bool:
            assert max(points().values()) <= cut_at, "nothing that was written since is at the copy"
            return all(row.verdict == "broken_mirroring" for row in written_to())

        await until("it is told", is_told)
        rows = await sync_to_async(written_to)()
        assert rows
        for row in rows:
            assert "its mirror daemon has not heard of what" in row.verdict_sentence
            said = dt.datetime.fromisoformat(row.side_b["status"]["read_at"])
            age = dt.timedelta(seconds=row.side_b["status"]["age_s"])
            assert said - age > cut_at, "the daemon has written its status since"
            assert row.side_b["status"]["state"] == "up+replaying"
        await sync_to_async(lab.restore)("a", "line-cut")
        mended_at = timezone.now()
        await until("it follows again", lambda: verdicts() == {"protected"} and all_past(mended_at))
