"""Gaps over the whole inventory: found from rows, told by the API, counted on the first page."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.utils import timezone

from drportal.inventory.cloud import registered_twice
from drportal.inventory.discovery import discover
from drportal.inventory.models import (
    CapturedDefinition,
    MirroredImage,
    Pool,
    Site,
    SitePair,
    SiteResource,
    SnapshotSchedules,
    VirtualMachine,
    VmDisk,
)
from drportal.lab.control import LabClient
from drportal.recovery.models import RecoveryPlan, Run
from drportal.watch.models import GroupTarget, ReadinessCheck
from tests.conftest import Person
from tests.recovery.conftest import make_vm
from tests.stack import wait_until

HEALTHY = {
    "mode": "image",
    "peers": [{"direction": "rx-tx"}],
    "daemons": [{"service_id": "1"}],
    "daemon_health": "OK",
}


def codes(viewer: Person, pair: SitePair, query: str = "") -> list[str]:
    return [gap["code"] for gap in viewer.read(f"/pairs/{pair.pk}/gaps{query}")["items"]]


@pytest.mark.django_db
def test_gaps_of_vms_groups_and_sites_come_from_rows(
    viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    vm = make_vm(pair, "db", 1, ["one-1"])
    assert codes(viewer, pair) == []
    make_plan("shop", vm)
    VirtualMachine.objects.filter(pk=vm.pk).update(
        memory_mb=4096, nics=[{"nic_id": 0, "network_id": 3, "network": "lan", "ip": "10.0.0.1", "mac": "02:00"}]
    )
    VmDisk.objects.create(vm=vm, disk_id=5, kind="volatile")
    host = {"state_word": "MONITORED", "memory_total_kb": 2**20, "memory_used_kb": 0}
    now = timezone.now()
    SiteResource.objects.create(site=pair.b, kind="host", one_id=1, name="h", facts=host, read_at=now)
    SiteResource.objects.create(
        site=pair.a, kind="double", one_id=1, name="one/one-1", facts={"image_ids": [1, 4]}, read_at=now
    )
    Pool.objects.create(
        site=pair.a, name="one", mode="image", peers=[{"direction": "tx-only"}], daemon_health="UNKNOWN"
    )
    Site.objects.filter(pk=pair.b.pk).update(clock_skew_s=40.0, ceph_version="13.2.1")
    other = VirtualMachine.objects.create(
        site=pair.b, one_id=8, name="db", phase="running", state_word="RUNNING", read_at=now, nics=[{"mac": "02:00"}]
    )
    twin = {"uuid": "5f0e6f0e-0000-4000-8000-00000000000a"}
    VirtualMachine.objects.filter(pk__in=[vm.pk, other.pk]).update(**twin)
    found = codes(viewer, pair)
    assert "UUID 5f0e6f0e-0000-4000-8000-00000000000a" in str(viewer.read(f"/pairs/{pair.pk}/gaps"))
    assert sorted(found) == sorted(
        [
            "daemon_dead",
            "volatile_disk",
            "no_definition",
            "address_twice",
            "address_twice",
            "clock_skew",
            "network_unmapped",
            "no_room",
            "peer_one_way",
            "source_twice",
            "version",
            "name_taken",
        ]
    )
    told = viewer.read(f"/pairs/{pair.pk}/gaps?level=note")
    assert [gap["code"] for gap in told["items"]] == ["name_taken"]
    assert sum(told["counts"].values()) == len(found)
    assert told["watched"] is False
    assert codes(viewer, pair, "?q=PEER") == ["peer_one_way"]
    assert codes(viewer, pair, "?code=volatile_disk") == ["volatile_disk"]
    assert viewer.read("/overview")["gaps"] == told["counts"]
    paged, cursor = [], ""
    while cursor is not None:
        page = viewer.read(f"/pairs/{pair.pk}/gaps?limit=5&cursor={quote(cursor)}")
        assert page["total"] == len(found)
        paged += [gap["code"] for gap in page["items"]]
        cursor = page["next"]
    assert paged == found, "pages follow each other without a gap"
    answer = viewer.get(f"/api/v1/pairs/{pair.pk}/gaps.csv?level=note")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]
    assert [(row["code"], row["level"]) for row in rows] == [("name_taken", "note")]
    VirtualMachine.objects.filter(pk=other.pk).update(home_of=vm, phase="off")
    assert {"name_taken", "address_twice", "no_definition"}.isdisjoint(codes(viewer, pair))


@pytest.mark.django_db(transaction=True)
def test_a_lab_that_is_well_has_no_gap_and_a_new_one_is_found(
    viewer: Person, lab: LabClient, lab_pair: SitePair
) -> None:
    discover(lab_pair.pk)
    unprotected = viewer.read(f"/pairs/{lab_pair.pk}/gaps?level=unprotected")["items"]
    assert unprotected == [], unprotected
    image = MirroredImage.objects.filter(gone_at=None, mode="journal").first()
    assert image is not None
    role = {**image.side_a["role"], "features": ["layering"]}
    assert role["primary"] is True
    image.side_a["role"] = role
    image.save()
    discover(lab_pair.pk)
    image.refresh_from_db()
    assert image.gaps == [], "read anew, the features are there"
    lab.fail("b", "rbd-mirror-down")

    def dead() -> bool:
        discover(lab_pair.pk)
        return codes(viewer, lab_pair, "?level=unprotected") == ["daemon_dead"]

    wait_until("the dead daemon is a gap", dead, 60, 1.0)


@pytest.mark.django_db
def test_a_definition_that_changed_after_its_plan_was_set_is_a_note_until_a_person_has_looked(
    viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    vm = make_vm(pair, "db", 1, ["one-1"])
    plan, now = make_plan("shop", vm), timezone.now()
    assert codes(viewer, pair) == []
    newer = CapturedDefinition.objects.get(vm=vm)
    newer.pk, newer.number, newer.captured_at = None, 2, now + dt.timedelta(minutes=1)
    newer.save()
    look = {"kind": "planned_failover", "state": "ready", "blockers": 0, "warnings": 0, "because": "it changed"}
    later = now + dt.timedelta(minutes=2)
    ReadinessCheck.objects.create(plan=plan, **look, digest="d", first_at=later, checked_at=later)
    (gap,) = viewer.read(f"/pairs/{pair.pk}/gaps")["items"]
    assert (gap["code"], gap["level"]) == ("definition_drifted", "note"), "the portal's own check is nobody's look"
    assert "it is number 2 now" in gap["sentence"]
    RecoveryPlan.objects.update(changed_at=later)
    assert codes(viewer, pair) == [], "somebody has set the plan since"
    RecoveryPlan.objects.update(changed_at=now)
    Run.objects.create(
        plan=plan, group=plan.group, kind="planned_failover", state="succeeded", plan_version=1, plan_copy={},
        source_site=pair.a, target_site=pair.b, requested_name="olga", request_key="k", finished_at=later,
    )  # fmt: skip
    assert codes(viewer, pair) == [], "it was moved with the plan since"


@pytest.mark.django_db
def test_a_group_needs_cpus_and_a_datastore_that_takes_its_largest_disk(
    viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    vm = make_vm(pair, "db", 1, ["one-1"])
    make_plan("shop", vm)
    VirtualMachine.objects.filter(pk=vm.pk).update(memory_mb=1024, cpu=4)
    VmDisk.objects.filter(vm=vm).update(size_bytes=50 * 2**30)
    now = timezone.now()
    host = {"state_word": "MONITORED", "memory_total_kb": 2**22, "memory_used_kb": 0, "cpu_total": 400, "cpu_used": 100}
    store = {"type_word": "IMAGE_DS", "tm_mad": "ceph", "pool": "one", "free_mb": 2**20, "enabled": True}
    SiteResource.objects.create(site=pair.b, kind="host", one_id=1, name="h", facts=host, read_at=now)
    SiteResource.objects.create(site=pair.b, kind="datastore", one_id=100, name="ceph", facts=store, read_at=now)

    def told() -> list[str]:
        return [gap["sentence"] for gap in viewer.read(f"/pairs/{pair.pk}/gaps?code=no_room")["items"]]

    assert told() == ["Its VMs need 4 CPUs; the hosts of Site-B have 3 free."]
    SiteResource.objects.filter(kind="host").update(facts=host | {"cpu_used": 0})
    SiteResource.objects.filter(kind="datastore").update(facts=store | {"free_mb": 1024})
    (sentence,) = told()
    assert "datastore 100 of Site-B says that 1.0 GiB are free" in sentence
    SiteResource.objects.create(site=pair.b, kind="datastore", one_id=101, name="c2", facts=store, read_at=now)
    assert told() == [], "it is not known which of the two it would be"
    RecoveryPlan.objects.update(image_datastore_id=100)
    assert len(told()) == 1
    SiteResource.objects.filter(one_id=100).update(facts=store | {"free_mb": 1024, "capacity_check": False})
    assert told() == [], "the remedy was typed"


@pytest.mark.django_db
def test_a_copy_that_never_got_a_whole_snapshot_is_asked_after(viewer: Person, pair: SitePair) -> None:
    make_vm(pair, "db", 1, ["one-1"])
    now = timezone.now()
    rows = MirroredImage.objects.filter(name="one-1")
    rows.update(mode="snapshot", primary_side="a", protected_until=None, changed_at=now - dt.timedelta(minutes=5))
    assert codes(viewer, pair) == [], "its first copy may still be under way"
    rows.update(changed_at=now - dt.timedelta(hours=2))
    (gap,) = viewer.read(f"/pairs/{pair.pk}/gaps")["items"]
    assert gap["code"] == "no_snapshots"
    assert gap["commands"][0]["text"] == "rbd mirror snapshot schedule status --pool one --image one-1"


@pytest.mark.django_db
def test_schedules_that_are_missing_or_too_long_are_gaps_where_the_image_is_primary(
    viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    plan, now = make_plan("shop", make_vm(pair, "db", 1, ["one-1"])), timezone.now()
    old = {"protected_until": now - dt.timedelta(hours=9), "changed_at": now}
    MirroredImage.objects.update(mode="snapshot", primary_side="a", **old)
    a, b = (
        SnapshotSchedules.objects.create(pool=Pool.objects.create(site=site, name="one", **HEALTHY), read_at=now)
        for site in (pair.a, pair.b)
    )

    def told() -> list[tuple[str, str, str]]:
        gaps = viewer.read(f"/pairs/{pair.pk}/gaps")["items"]
        return [(gap["code"], gap["level"], gap["commands"][0]["site"]) for gap in gaps]

    lacks_both = [("no_schedule", "unprotected", "Site-A"), ("no_schedule", "risk", "Site-B")]
    assert told() == lacks_both, "which says why its newest snapshot is so old"
    SnapshotSchedules.objects.update(entries=[["one", "", "1h", ""]])
    MirroredImage.objects.update(protected_until=now)
    assert told() == [], "nothing was agreed"
    GroupTarget.objects.create(group=plan.group, rpo_s=600)
    assert told() == [("schedule_too_long", "risk", "Site-A"), ("schedule_too_long", "note", "Site-B")]
    own = [["one", "", "1h", ""], ["one", "one-1", "5m", ""]]
    SnapshotSchedules.objects.filter(pk__in=[a.pk, b.pk]).update(entries=own)
    assert told() == [], "its own replaces the pool's"
    SnapshotSchedules.objects.filter(pk=b.pk).update(entries=[], trouble="The manager is silent.")
    assert told() == [("no_schedule", "risk", "Site-B"), ("schedules_unknown", "risk", "Site-B")]
    SnapshotSchedules.objects.filter(pk=b.pk).update(read_at=now - dt.timedelta(hours=1))
    assert told() == [("schedules_unknown", "risk", "Site-B")], "what was told an hour ago is not known"


@pytest.mark.django_db
def test_a_schedule_as_slow_as_was_agreed_is_no_gap(
    viewer: Person, pair: SitePair, make_plan: Callable[..., RecoveryPlan]
) -> None:
    plan, now = make_plan("shop", make_vm(pair, "db", 1, ["one-1"])), timezone.now()
    old = now - dt.timedelta(hours=3)
    MirroredImage.objects.update(mode="snapshot", primary_side="a", protected_until=old)
    assert codes(viewer, pair) == ["no_snapshots"]
    target = GroupTarget.objects.create(group=plan.group, rpo_s=4 * 3600)
    assert codes(viewer, pair) == []
    GroupTarget.objects.filter(pk=target.pk).update(rpo_s=2 * 3600)
    assert codes(viewer, pair) == ["no_snapshots"], "older than that is not what was agreed"


@pytest.mark.django_db
def test_the_places_of_all_pages_lead_to_what_walking_there_finds(viewer: Person, pair: SitePair) -> None:
    vm = make_vm(pair, "db", 1, [])
    VmDisk.objects.bulk_create(VmDisk(vm=vm, disk_id=n, kind="volatile") for n in range(30))
    for query in ("", "&level=unprotected", "&q=disk 1"):
        walked: list[str] = []
        page = viewer.read(f"/pairs/{pair.pk}/gaps?limit=10{query}")
        while page["next"] is not None:
            walked.append(page["next"])
            page = viewer.read(f"/pairs/{pair.pk}/gaps?limit=10&cursor={quote(page['next'])}{query}")
        assert viewer.read(f"/pairs/{pair.pk}/gaps/places?every=10{query}")["items"] == walked
        assert walked


def test_only_sources_of_several_records_are_twice() -> None:
    class Record:
        def __init__(self, image_id: int, source: str, *, use_locked: bool = False) -> None:
            self.image_id, self.source, self.use_locked = image_id, source, use_locked

    class Cloud:
        images = [Record(1, "one/one-1"), Record(2, "one/one-2"), Record(9, "one/one-1"), Record(3, ""), Record(4, "")]

    assert registered_twice(Cloud) == {"one/one-1": {1, 9}}  # type: ignore[arg-type]
    Cloud.images[2] = Record(9, "one/one-1", use_locked=True)
    assert registered_twice(Cloud) == {}, "the remedy was typed: no VM can take that record"  # type: ignore[arg-type]
