"""What the API tells of images: fresh is fresh, and stale is never green (I10)."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from django.utils import timezone

from drportal.inventory.images import used_images
from drportal.inventory.models import MirroredImage, SitePair, VirtualMachine, VmDisk
from tests.conftest import Person


@pytest.fixture
def images(pair: SitePair) -> SitePair:
    """Seven images, watched a moment ago."""
    for number in range(6):
        MirroredImage.objects.create(pair=pair, pool="one", name=f"one-{number}", verdict="protected")
    MirroredImage.objects.create(pair=pair, pool="one", name="one-bad", verdict="two_primaries")
    SitePair.objects.update(polled_at=timezone.now())
    return pair


def test_pages_follow_each_other_without_a_gap(viewer: Person, images: SitePair) -> None:
    names: list[str] = []
    cursor = ""
    while True:
        page = viewer.read(f"/pairs/{images.pk}/images?limit=2{cursor}")
        names += [image["name"] for image in page["items"]]
        assert page["counts"] == {"protected": 6, "two_primaries": 1}
        assert page["total"] == 7
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == sorted(names)
    assert len(names) == 7


def test_the_places_of_all_pages_lead_to_what_walking_there_finds(viewer: Person, images: SitePair) -> None:
    more = (MirroredImage(pair=images, pool="one", name=f"two-{n:02}", verdict="protected") for n in range(18))
    MirroredImage.objects.bulk_create(more)
    for query in ("", "&verdict=protected", "&q=two"):
        walked: list[str] = []
        page = viewer.read(f"/pairs/{images.pk}/images?limit=10{query}")
        while page["next"] is not None:
            walked.append(page["next"])
            page = viewer.read(f"/pairs/{images.pk}/images?limit=10&cursor={page['next']}{query}")
        assert viewer.read(f"/pairs/{images.pk}/images/places?every=10{query}")["items"] == walked
        assert walked


def test_they_can_be_chosen_by_verdict_and_by_name(viewer: Person, images: SitePair) -> None:
    worst = viewer.read(f"/pairs/{images.pk}/images?verdict=two_primaries")["items"]
    assert [image["name"] for image in worst] == ["one-bad"]
    found = viewer.read(f"/pairs/{images.pk}/images?q=ONE-3")
    assert [image["name"] for image in found["items"]] == ["one-3"]
    assert found["counts"] == {"protected": 1}
    assert viewer.api("GET", f"/pairs/{images.pk}/images?verdict=fine").status_code == 422


def test_all_that_fit_can_be_had_as_a_table(viewer: Person, images: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drportal.inventory.image_table.PAGE", 2)
    MirroredImage.objects.filter(name="one-5").update(name="=one-5")

    def table(query: str = "") -> list[dict[str, str]]:
        answer = viewer.get(f"/api/v1/pairs/{images.pk}/images.csv{query}")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/csv")
        assert "attachment" in answer["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]

    rows = table()
    assert len(rows) == 7
    assert "'=one-5" in {row["name"] for row in rows}, "a spreadsheet takes it for text"
    assert {row["name"] for row in table("?verdict=two_primaries")} == {"one-bad"}
    assert [row["verdict"] for row in table("?q=one-3")] == ["protected"]
    SitePair.objects.update(polled_at=timezone.now() - dt.timedelta(minutes=5))
    assert {row["verdict"] for row in table()} == {"cannot_tell"}, "stale is never green"


def test_without_a_poller_nothing_is_called_protected(viewer: Person, images: SitePair) -> None:
    SitePair.objects.update(polled_at=timezone.now() - dt.timedelta(minutes=5))
    page = viewer.read(f"/pairs/{images.pk}/images")
    assert page["counts"] == {"cannot_tell": 7}
    assert viewer.read(f"/pairs/{images.pk}/images?verdict=protected")["total"] == 0
    assert {image["verdict"] for image in page["items"]} == {"cannot_tell"}
    assert "nobody has watched the sites since" in page["items"][0]["verdict_sentence"]
    assert viewer.read(f"/pairs/{images.pk}/images?verdict=protected")["items"] == []
    assert len(viewer.read(f"/pairs/{images.pk}/images?verdict=cannot_tell")["items"]) == 7
    one = viewer.read(f"/images/{page['items'][0]['id']}")
    assert one["allowed"] == []
    assert one["needs"]


def test_an_image_that_is_gone_is_not_listed(viewer: Person, images: SitePair) -> None:
    MirroredImage.objects.filter(name="one-1").update(gone_at=timezone.now())
    page = viewer.read(f"/pairs/{images.pk}/images")
    assert "one-1" not in {image["name"] for image in page["items"]}
    assert page["counts"]["protected"] == 5


def test_an_image_is_found_by_its_vms_name_and_once(viewer: Person, images: SitePair) -> None:
    row = MirroredImage.objects.get(name="one-2")
    for one_id in (7, 8):
        vm = VirtualMachine.objects.create(site=images.a, one_id=one_id, name="shop", read_at=timezone.now())
        VmDisk.objects.create(vm=vm, disk_id=0, kind="persistent", image=row)
    page = viewer.read(f"/pairs/{images.pk}/images?q=SHOP")
    assert [image["name"] for image in page["items"]] == ["one-2"]
    assert (page["total"], page["counts"]) == (1, {"protected": 1})


def test_what_no_text_can_hold_is_refused(viewer: Person, images: SitePair) -> None:
    for query in ("q=%00", "cursor=one/%00"):
        assert viewer.api("GET", f"/pairs/{images.pk}/images?{query}").status_code == 422


def test_a_clone_or_a_volatile_disk_is_not_what_mirroring_would_save(images: SitePair) -> None:
    vm = VirtualMachine.objects.create(site=images.a, one_id=7, name="web", read_at=timezone.now())
    rows = list(MirroredImage.objects.filter(verdict="protected")[:3])
    for row, kind in zip(rows, ("persistent", "clone", "volatile"), strict=True):
        VmDisk.objects.create(vm=vm, disk_id=row.pk, kind=kind, source=str(row), image=row)
    assert used_images(images) == {rows[0].pk}
