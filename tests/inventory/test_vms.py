"""The table of a site's VMs: pages, filters, and the file for a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from django.utils import timezone

from drportal.inventory.models import MirroredImage, SitePair, VirtualMachine
from drportal.recovery.models import GroupMember, ProtectionGroup
from tests.conftest import Person
from tests.recovery.conftest import make_vm


@pytest.fixture
def vms(pair: SitePair) -> SitePair:
    """Five at site A: two of one name, one in a group, one a copy, one gone an hour ago; and one gone long ago."""
    now = timezone.now()
    at_b = VirtualMachine.objects.create(site=pair.b, one_id=1, name="away", read_at=now)
    rows = [
        VirtualMachine.objects.create(site=pair.a, one_id=one_id, name=name, read_at=now, **more)
        for one_id, name, more in (
            (5, "mail", {}),
            (3, "web", {}),
            (12, "web", {}),
            (7, "away", {"home_of": at_b}),
            (9, "=old", {"gone_at": now - dt.timedelta(hours=1)}),
            (2, "older", {"gone_at": now - dt.timedelta(days=2)}),
        )
    ]
    group = ProtectionGroup.objects.create(name="post", pair=pair, home_site=pair.a, active_site=pair.a)
    GroupMember.objects.create(group=group, vm=rows[0], priority=1)
    return pair


def names(viewer: Person, query: str = "") -> list[str]:
    return [vm["name"] for vm in viewer.read(f"/sites/site-a/vms{query}")["items"]]


def test_pages_follow_each_other_without_a_gap(viewer: Person, vms: SitePair) -> None:
    found: list[tuple[str, int]] = []
    cursor = ""
    for _ in range(4):
        page = viewer.read(f"/sites/site-a/vms?limit=1{cursor}")
        found += [(vm["name"], vm["one_id"]) for vm in page["items"]]
        assert page["total"] == 5
        cursor = f"&cursor={page['next']}"
    page = viewer.read(f"/sites/site-a/vms?limit=1{cursor}")
    found += [(vm["name"], vm["one_id"]) for vm in page["items"]]
    assert page["next"] is None
    assert found == [("=old", 9), ("away", 7), ("mail", 5), ("web", 3), ("web", 12)]


def test_the_places_of_all_pages_lead_to_what_walking_there_finds(viewer: Person, vms: SitePair) -> None:
    now = timezone.now()
    for n in range(18):  # of one name each three, so that it is the number that tells them apart
        VirtualMachine.objects.create(site=vms.a, one_id=100 - n, name=f"two-{n // 3}", read_at=now)
    for query in ("", "&protection=no_group", "&q=two"):
        walked: list[str] = []
        page = viewer.read(f"/sites/site-a/vms?limit=10{query}")
        while page["next"] is not None:
            walked.append(page["next"])
            page = viewer.read(f"/sites/site-a/vms?limit=10&cursor={page['next']}{query}")
        assert viewer.read(f"/sites/site-a/vms/places?every=10{query}")["items"] == walked
        assert walked


def test_they_can_be_chosen_by_name_group_and_protection(viewer: Person, vms: SitePair) -> None:
    assert names(viewer, "?q=WEB") == ["web", "web"]
    assert names(viewer, "?q=post") == ["mail"]
    assert names(viewer, "?protection=in_group") == ["mail"]
    assert names(viewer, "?protection=copy") == ["away"]
    page = viewer.read("/sites/site-a/vms?protection=no_group&limit=1")
    assert page["total"] == 3
    assert page["counts"] == {"in_group": 1, "no_group": 3, "copy": 1}


@pytest.fixture
def cloud(pair: SitePair) -> SitePair:
    """At site A: three that can be protected, of two owners and in two pools; one of them is in a group. And a copy of
    one, one without a disk, and one that is gone."""
    now = timezone.now()
    for one_id, (name, owner, labels, pool) in enumerate(
        [("till-1", "ann", ",shop,shop/eu,", "one"), ("till-2", "ben", ",shop,", "two"), ("mail", "ann", "", "one")]
    ):
        vm = make_vm(pair, name, one_id, [f"{name}-disk"])
        VirtualMachine.objects.filter(pk=vm.pk).update(owner=owner, labels=labels, nics=[{"network_id": 3}])
        MirroredImage.objects.filter(disks__vm=vm).update(pool=pool)
    rows = {vm.name: vm for vm in VirtualMachine.objects.all()}
    group = ProtectionGroup.objects.create(name="post", pair=pair, home_site=pair.a, active_site=pair.a)
    GroupMember.objects.create(group=group, vm=rows["mail"], priority=1)
    for one_id, more in ((7, {"home_of": rows["till-1"]}), (8, {"owner": "ann"}), (9, {"gone_at": now})):
        VirtualMachine.objects.create(site=pair.a, one_id=one_id, name=f"other-{one_id}", read_at=now, **more)
    return pair


@pytest.mark.parametrize(
    ("query", "fitting"),
    [
        ("label=shop", ["till-1", "till-2"]),
        ("label=shop/eu", ["till-1"]),
        ("label=sho", []),
        ("owner=ben", ["till-2"]),
        ("pool=one&owner=ann", ["mail", "till-1"]),
        ("pool=two&q=till", ["till-2"]),
    ],
)
def test_they_can_be_chosen_by_label_owner_and_pool(
    viewer: Person, cloud: SitePair, query: str, fitting: list[str]
) -> None:
    page = viewer.read(f"/sites/site-a/vms?{query}")
    assert ([vm["name"] for vm in page["items"]], page["total"]) == (fitting, len(fitting))


def test_the_words_to_choose_by_are_counted(viewer: Person, cloud: SitePair) -> None:
    assert viewer.read("/sites/site-a/vms/words") == {
        "labels": {"shop": 2, "shop/eu": 1},
        "owners": {"ann": 3, "ben": 1},
        "pools": {"one": 2, "two": 1},
    }


def test_all_that_fit_and_can_be_in_a_group_come_in_one_answer(viewer: Person, cloud: SitePair) -> None:
    def chosen(query: str = "") -> tuple[list[str], int, int]:
        found = viewer.read(f"/sites/site-a/vms/choosable?{query}")
        assert all(vm["nics"] == [{"network_id": 3}] for vm in found["items"])
        return [vm["name"] for vm in found["items"]], found["in_other_groups"], found["not_protectable"]

    group = ProtectionGroup.objects.get()
    assert chosen() == (["till-1", "till-2"], 1, 1)
    assert chosen(f"group={group.pk}") == (["mail", "till-1", "till-2"], 0, 1)
    assert chosen("owner=ann&protection=no_group") == (["till-1"], 0, 1)
    assert chosen("label=shop&pool=two") == (["till-2"], 0, 0)


@pytest.mark.parametrize("cursor", ["web", "-1/web", "9999999999/web", "1/%00"])
def test_a_place_that_no_page_named_is_refused(viewer: Person, vms: SitePair, cursor: str) -> None:
    assert viewer.api("GET", f"/sites/site-a/vms?cursor={cursor}").status_code == 422


def test_all_that_fit_can_be_had_as_a_table(viewer: Person, vms: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drportal.inventory.vm_table.PAGE", 2)

    def table(query: str = "") -> list[dict[str, str]]:
        answer = viewer.get(f"/api/v1/sites/site-a/vms.csv{query}")
        assert answer.status_code == 200
        assert "attachment" in answer["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]

    rows = table()
    assert [row["name"] for row in rows] == ["'=old", "away", "mail", "web", "web"]
    assert rows[0]["state"] == "gone"
    assert rows[1]["copy_of"] == "1 at site-b"
    assert rows[2]["group"] == "post"
    assert [row["one_id"] for row in table("?protection=no_group&q=web")] == ["3", "12"]
