"""What changed at the sites, with its history: a sentence for each thing, none for what a first look finds."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from drportal.drivers.base_cloud import CloudReading
from drportal.engine.facts import Mode, RoleFacts, Side
from drportal.inventory import changes, cloud
from drportal.inventory.changes import Change, ground_changes, image_changes, note, pool_changes, size_change
from drportal.inventory.discovery import discover, look_at_both
from drportal.inventory.facts import side_as_text, side_from_json
from drportal.inventory.models import InventoryChange, MirroredImage, Pool, Site, SitePair, SiteResource, VirtualMachine
from tests.conftest import Person

NOON = dt.datetime(2026, 5, 5, 12, 0, tzinfo=dt.UTC)
Kind = InventoryChange.Kind
ROLE = RoleFacts(True, True, Mode.JOURNAL, "g", "i", None, NOON, ("exclusive-lock", "journaling"))
ABSENT = RoleFacts(False, None, None, None, None, None, NOON)


def sentences(before: RoleFacts | None, after: RoleFacts | None, **given: bool) -> list[str]:
    return [one.sentence for one in image_changes("one/one-12", "Site A", before, after, **given)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ROLE, replace(ROLE, features=("exclusive-lock",)), "one/one-12 lost its journaling feature at Site A."),
        (replace(ROLE, features=()), replace(ROLE, features=("fast-diff",)), "one/one-12 got the fast-diff feature"),
        (ROLE, replace(ROLE, mode=None), "one/one-12 is not mirrored at Site A (was mirrored in journal mode)."),
        (ROLE, replace(ROLE, mode=Mode.SNAPSHOT), "is mirrored in snapshot mode at Site A (was mirrored in journ"),
        (ROLE, replace(ROLE, global_id="h"), "was set up for mirroring anew at Site A"),
        (ROLE, replace(ROLE, image_id="j"), "is another image of the same name (j, was i)."),
        (replace(ROLE, parent="one/base@s"), ROLE, "hangs on one/base@s no more at Site A."),
        (ROLE, replace(ROLE, primary=False), "is not primary any more at Site A."),
        (ROLE, ABSENT, "one/one-12 is gone from Site A."),
        (ABSENT, ROLE, "one/one-12 appeared at Site A."),
    ],
)
def test_what_changes_about_an_image_is_said(before: RoleFacts, after: RoleFacts, said: str) -> None:
    (sentence,) = sentences(before, after)
    assert said in sentence


def test_what_is_unknown_or_a_first_look_is_no_change() -> None:
    assert sentences(ROLE, None) == []
    assert sentences(None, ROLE) == []
    assert sentences(None, ROLE, new=True) == ["one/one-12 appeared at Site A."]
    assert sentences(None, ABSENT, new=True) == []
    assert sentences(ROLE, replace(ROLE, read_at=NOON + dt.timedelta(hours=1))) == []
    assert sentences(ROLE, replace(ROLE, features=None)) == []
    assert size_change("one/x", None, 5) is None
    grown = size_change("one/x", 2**30, 3 * 2**29)
    assert grown is not None
    assert grown.sentence == "one/x grew from 1 GiB to 1.5 GiB."


def test_what_changes_about_a_pool_is_said() -> None:
    peer = {"uuid": "u", "site_name": "b", "direction": "rx-tx"}
    daemon = {"hostname": "h1", "version": "18.2.1"}
    before: dict[str, Any] = {"mode": "image", "peers": [peer], "daemons": [daemon]}
    after = {
        "mode": "disabled",
        "peers": [peer | {"direction": "rx-only"}, peer | {"uuid": "v", "site_name": "c"}],
        "daemons": [daemon | {"version": "18.2.4"}, daemon | {"hostname": "h2"}],
    }
    said = [one.sentence.removeprefix("Pool one at Site A: ") for one in pool_changes("one", "Site A", before, after)]
    assert said == [
        "its mirroring mode is disabled (was image).",
        "its peer b is rx-only (was b, rx-tx).",
        "it got the peer c (rx-tx).",
        "the mirroring daemon on h1 runs 18.2.4 (was 18.2.1).",
        "a mirroring daemon on h2 is listed (18.2.1).",
    ]
    gone = [one.sentence for one in pool_changes("one", "Site A", before, before | {"peers": [], "daemons": []})]
    assert len(gone) == 2
    assert list(pool_changes("one", "Site A", before, before)) == []


def test_the_ground_comes_goes_and_changes() -> None:
    before = {1: ("h1", "on"), 2: ("h2", "on")}
    said = [one.sentence for one in ground_changes(Kind.HOST, "Site A", before, {1: ("h1", "error"), 3: ("h3", "on")})]
    assert said == [
        "Host h1 (Site A 1) is error (was on).",
        "Host h2 (Site A 2) is gone.",
        "Host h3 (Site A 3) appeared.",
    ]
    assert list(ground_changes(Kind.HOST, "Site A", {}, before)) == []


@pytest.mark.django_db
def test_what_is_kept_is_bounded(pair: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEEP_OF_SITE", 3)
    old = NOON - dt.timedelta(days=changes.KEEP_DAYS + 1)
    note(pair.a, [Change(Kind.SITE, "", "a", "version", "old")], old)
    note(pair.b, [Change(Kind.SITE, "", "b", "version", "other")], NOON)
    for number in range(5):
        note(pair.a, [Change(Kind.IMAGE, f"one/{number}", "x", "size", str(number))], NOON)
    assert [one.sentence for one in InventoryChange.objects.all()] == ["4", "3", "2", "other"]


@pytest.mark.django_db
def test_they_can_be_asked_for_by_site_kind_and_subject_page_by_page(viewer: Person, pair: SitePair) -> None:
    for number in range(5):
        note(pair.a, [Change(Kind.IMAGE, f"one/{number % 2}", "x", "size", str(number))], NOON)
    note(pair.b, [Change(Kind.POOL, "one", "one", "mode", "pool")], NOON)

    def told(query: str) -> list[str]:
        return [one["sentence"] for one in viewer.read(f"/changes{query}")["items"]]

    assert told("") == ["pool", "4", "3", "2", "1", "0"]
    assert told("?site=site-b") == ["pool"]
    assert told(f"?pair={pair.pk}&kind=image&subject=one/1") == ["3", "1"]
    first = viewer.read("/changes?kind=image&limit=2")
    assert [one["sentence"] for one in first["items"]] == ["4", "3"]
    assert told(f"?kind=image&limit=3&before={first['next']}") == ["2", "1", "0"]
    assert viewer.read(f"/changes?kind=image&limit=3&before={first['next']}")["next"] is None
    assert viewer.api("GET", "/changes?site=nowhere").status_code == 404
    assert viewer.api("GET", "/changes?kind=nonsense").status_code == 422


# --- against the lab


def newest() -> set[str]:
    return set(InventoryChange.objects.values_list("sentence", flat=True))


@pytest.mark.django_db(transaction=True)
def test_discovery_notes_what_is_different_and_nothing_twice(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    assert newest() == set(), "a first look"
    discover(lab_pair.pk)
    assert newest() == set(), "nothing has changed"
    pair = SitePair.objects.select_related("a", "b").get()
    image, lost = MirroredImage.objects.filter(mode="journal").order_by("name")[:2]
    known = side_from_json(image.side_a)
    assert known.role is not None
    before = replace(known, role=replace(known.role, features=("layering",)))
    MirroredImage.objects.filter(pk=image.pk).update(side_a=json.loads(side_as_text(before)), size_bytes=2**20)
    MirroredImage.objects.filter(pk=lost.pk).delete()
    Pool.objects.filter(site=pair.b).update(mode="pool")
    Site.objects.filter(pk=pair.a_id).update(ceph_version="16.2.0")
    vm = VirtualMachine.objects.filter(site=pair.a).first()
    assert vm is not None
    VirtualMachine.objects.filter(pk=vm.pk).update(memory_mb=7)
    vm.disks.filter(disk_id=0).delete()
    SiteResource.objects.filter(site=pair.b, kind="host").first().delete()  # type: ignore[union-attr]
    discover(lab_pair.pk)
    found = "\n".join(sorted(newest()))
    for said in (
        f"{image} got the journaling feature at {pair.a.name}.",
        f"{image} grew from 1 MiB to ",
        f"{lost} appeared at {pair.a.name}.",
        f"{lost} appeared at {pair.b.name}.",
        f"Pool one at {pair.b.name}: its mirroring mode is image (was pool).",
        f"Ceph at {pair.a.name} is 16.",
        f"VM {vm.name} ({pair.a.name} VM {vm.one_id}): its memory (MiB) is ",
        f"VM {vm.name} ({pair.a.name} VM {vm.one_id}) got disk 0 (persistent one/",
        "Host ",
    ):
        assert said in found, (said, found)
    number = InventoryChange.objects.count()
    discover(lab_pair.pk)
    assert InventoryChange.objects.count() == number


@pytest.mark.django_db(transaction=True)
def test_what_the_front_end_knows_no_more_leaves_a_tombstone(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    pair = SitePair.objects.select_related("a", "b").get()
    found = look_at_both(pair)[Side.A].everything
    assert found is not None
    gone: CloudReading = replace(found, vms=found.vms[1:], networks=(), hosts=(), datastores=found.datastores[1:])
    cloud.write_vms(pair.a, pair, gone, timezone.now())
    cloud.write_ground(pair.a, gone, timezone.now())
    said = InventoryChange.objects.filter(site=pair.a, what="exists")
    assert all(one.sentence.endswith(" is gone.") for one in said)
    assert {one.kind for one in said} == {"vm", "network", "host", "datastore"}
    cloud.write_vms(pair.a, pair, found, timezone.now())
    (back,) = InventoryChange.objects.filter(kind="vm", sentence__endswith=" appeared.")
    assert back.subject == str(found.vms[0].vm_id)
