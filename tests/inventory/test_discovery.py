"""Discovery against the embedded lab: what is found, what is kept, what is said of a site that is dark."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest
from django.utils import timezone

from drportal.drivers.base_cloud import CloudReading, Document
from drportal.engine.facts import Side
from drportal.errors import NotFound
from drportal.inventory import cloud, discovery
from drportal.inventory.discovery import discover, next_to_discover
from drportal.inventory.facts import side_as_text, side_from_json
from drportal.inventory.models import (
    CapturedDefinition,
    Credential,
    InventoryChange,
    MirroredImage,
    Network,
    Observation,
    Pool,
    Site,
    SitePair,
    SiteResource,
    VirtualMachine,
    VmDisk,
)
from drportal.inventory.schemas import vm_out, vm_rows
from drportal.lab.control import LabClient
from tests.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_finds_images_vms_networks_and_the_ground(lab: LabClient, lab_pair: SitePair) -> None:
    pair = discover(lab_pair.pk)
    assert pair.discovery["state"] == "idle", pair.discovery
    assert pair.pools == ["one"]
    images = MirroredImage.objects.filter(pair=pair)
    known = lab.status()["sites"]["a"]["images"]
    assert {image.name for image in images} == set(known)
    assert {image.mode for image in images} == {"journal", "snapshot"}
    assert all(image.global_id and image.size_bytes for image in images)
    assert {image.primary_side for image in images} == {"a"}
    assert {vm.name for vm in VirtualMachine.objects.filter(site=pair.a)} == {"web-1", "app-1", "db-1"}
    assert VmDisk.objects.filter(kind="persistent", image__isnull=False).count() == 5
    assert {network.name for network in Network.objects.filter(site=pair.b)} >= {"production-b"}
    datastores = SiteResource.objects.filter(site=pair.b, kind="datastore", facts__tm_mad="ceph")
    assert {store.facts["pool"] for store in datastores} == {"one"}
    assert SiteResource.objects.filter(site=pair.b, kind="host").count() == 2


def test_every_site_is_noted_as_reachable_with_its_versions(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    for site in Site.objects.all():
        assert (site.ssh_reachable, site.ceph_reachable, site.opennebula_reachable) == (True, True, True)
        assert site.ceph_version.startswith("16.")
        assert site.opennebula_version
        assert site.last_heard is not None
        assert abs(site.clock_skew_s or 0) < 3


def test_vms_of_the_lab_can_be_protected_and_say_so(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    for vm in vm_rows():
        told = vm_out(vm)
        assert told.protectable, told.why_not
        assert told.definition is not None
        assert told.definition.number == 1


def test_a_pool_is_found_through_the_front_ends_datastores(lab_pair: SitePair) -> None:
    SitePair.objects.update(pools=[])
    assert discover(lab_pair.pk).pools == ["one"]
    assert MirroredImage.objects.count() == 5


def test_doing_it_again_changes_nothing(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    before = set(MirroredImage.objects.values_list("pk", "name")), set(VirtualMachine.objects.values_list("pk", "name"))
    seen = CapturedDefinition.objects.order_by("pk").first()
    assert seen is not None
    discover(lab_pair.pk)
    after = set(MirroredImage.objects.values_list("pk", "name")), set(VirtualMachine.objects.values_list("pk", "name"))
    assert before == after
    assert set(CapturedDefinition.objects.values_list("number", flat=True)) == {1}
    again = CapturedDefinition.objects.get(pk=seen.pk)
    assert again.captured_at == seen.captured_at
    assert again.seen_at > seen.seen_at


def test_raw_answers_are_kept_once_per_content(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    infos = Observation.objects.filter(command__startswith="observe-image one/")
    first = infos.count()
    assert first == 10, "five images on two sites"
    discover(lab_pair.pk)
    assert infos.count() == first


def test_a_dark_site_keeps_what_was_known_of_it(lab: LabClient, lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    before = {image.name: side_from_json(image.side_a) for image in MirroredImage.objects.all()}
    lab.fail("a", "site-down")
    pair = discover(lab_pair.pk)
    assert pair.discovery["state"] == "idle"
    assert "What was known of it is kept" in pair.discovery["sentence"]
    site = Site.objects.get(slug="site-a")
    assert site.ssh_reachable is False
    assert site.ceph_reachable is None, "not asked is not the same as dead"
    assert site.opennebula_reachable is False
    assert site.ssh_sentence
    for image in MirroredImage.objects.all():
        facts = side_from_json(image.side_a)
        assert facts.reachable is False
        assert facts.unreachable_since is not None
        assert facts.role == before[image.name].role
        assert image.verdict == "replica_only"
        assert image.gone_at is None
    assert VirtualMachine.objects.filter(site=site, gone_at=None).count() == 3


def test_a_site_with_another_host_key_is_not_spoken_to(lab: LabClient, lab_pair: SitePair) -> None:
    lab.fail("b", "wrong-host-key")
    discover(lab_pair.pk)
    site = Site.objects.get(slug="site-b")
    assert site.ssh_reachable is False
    assert "host key" in site.ssh_sentence
    assert site.ceph_reachable is None


def test_a_site_without_credentials_is_dark_with_a_sentence(lab_pair: SitePair) -> None:
    Credential.objects.filter(site=lab_pair.b, kind=Credential.Kind.SSH_KEY).delete()
    discover(lab_pair.pk)
    site = Site.objects.get(slug="site-b")
    assert site.ssh_reachable is False
    assert "no SSH key" in site.ssh_sentence
    assert Site.objects.get(slug="site-a").ssh_reachable is True


def test_what_vanishes_leaves_a_tombstone_and_what_returns_lives_again(lab: LabClient, lab_pair: SitePair) -> None:
    pair = discover(lab_pair.pk)
    ghost = MirroredImage.objects.create(pair=pair, pool="one", name="one-999")
    vm = VirtualMachine.objects.create(
        site=pair.a, one_id=999, name="ghost", phase="running", state_word="RUNNING", read_at=timezone.now()
    )
    discover(lab_pair.pk)
    ghost.refresh_from_db()
    vm.refresh_from_db()
    assert ghost.gone_at is not None
    assert (vm.phase, vm.gone_at is not None) == ("gone", True)
    real = VirtualMachine.objects.get(site=pair.a, name="web-1")
    VirtualMachine.objects.filter(pk=real.pk).update(gone_at=timezone.now(), phase="gone")
    discover(lab_pair.pk)
    real.refresh_from_db()
    assert (real.gone_at, real.phase) == (None, "running")


def test_a_pool_that_is_no_more_leaves_a_tombstone_and_a_gap_and_may_come_back(
    lab_pair: SitePair, viewer: Person
) -> None:
    SitePair.objects.update(pools=["one", "two"])
    Pool.objects.create(site=lab_pair.b, name="two", mode="image")
    Pool.objects.create(site=lab_pair.b, name="one", mode="image", gone_at=timezone.now())
    discover(lab_pair.pk)
    discover(lab_pair.pk)
    assert Pool.objects.get(site=lab_pair.b, name="two").gone_at is not None
    assert Pool.objects.get(site=lab_pair.b, name="one").gone_at is None
    assert Site.objects.get(slug="site-b").ceph_reachable is True, "it answers; one pool is gone"
    said = list(InventoryChange.objects.filter(what="exists").values_list("sentence", flat=True))
    assert sorted(said) == ["Pool one is back at Site B.", "Pool two is gone from Site B."], "once"
    gaps = viewer.read(f"/pairs/{lab_pair.pk}/gaps?q=pool two")["items"]
    assert [(gap["code"], gap["subject"]) for gap in gaps] == [("pool_gone", "pool two at Site B")]
    there = {pool["name"]: pool["gone_at"] is None for pool in viewer.read("/sites/site-b")["pools"]}
    assert there == {"one": True, "two": False}


@pytest.mark.parametrize("few", [0, 1000])
def test_names_that_two_owners_images_have_or_a_record_there_are_found_before_a_run_stops_at_them(
    lab_pair: SitePair, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(cloud, "FEW", few)
    pair = discover(lab_pair.pk)
    found = discovery.look_at_both(pair)[Side.B].everything
    assert found is not None
    first, second, third = VmDisk.objects.filter(vm__site=pair.a).order_by("source")[:3]
    assert list(cloud.names_taken(pair.b, found)) == []
    assert first.record_id is not None
    VmDisk.objects.filter(pk=second.pk).update(record_name=first.record_name)
    home = discovery.look_at_both(pair)[Side.A].everything
    assert home is not None
    (there,) = [image for image in home.images if image.source == third.source]
    other = replace(there, image_id=77, source="one/one-999", owner=pair.b.opennebula_user)
    with_one = replace(found, images=(*found.images, other, replace(there, owner="somebody")))
    assert list(cloud.names_taken(pair.b, with_one)) == [
        (-1 - first.record_id, first.record_name, {"wanted": [(row.source, row.record_id) for row in (first, second)]})
    ], "what is registered there already needs no name"
    without = replace(found, images=(other,))
    assert {number for number, _, _ in cloud.names_taken(pair.b, without)} == {-1 - first.record_id, 77}


def test_a_changed_definition_is_a_new_one_and_monitoring_is_not(lab_pair: SitePair) -> None:
    pair = discover(lab_pair.pk)
    found = discovery.look_at_both(pair)[Side.A].everything
    assert found is not None
    now = timezone.now() + dt.timedelta(seconds=1)

    def changed(old: str, new: str) -> CloudReading:
        vms = tuple(replace(vm, document=Document(vm.document.text.replace(old, new))) for vm in found.vms)
        assert vms != found.vms, f"{old} does not occur"
        return replace(found, vms=vms)

    assert cloud.write_definitions(pair.a, changed("<LAST_POLL>", "<LAST_POLL>9"), now) == 0
    assert cloud.write_definitions(pair.a, changed("<MEMORY>", "<MEMORY>9"), now) == 3
    assert CapturedDefinition.objects.filter(number=2).count() == 3


def test_facts_come_back_from_their_json_as_they_were(lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    for image in MirroredImage.objects.all():
        for kept in (image.side_a, image.side_b):
            facts = side_from_json(kept)
            assert facts.role is not None
            assert facts.status is not None
            assert json.loads(side_as_text(facts)) == kept


def test_an_unknown_pair_is_not_found(db: None) -> None:
    with pytest.raises(NotFound):
        discover(4711)


def told(pair: SitePair, **discovery: str) -> None:
    SitePair.objects.filter(pk=pair.pk).update(discovery=discovery)


@pytest.mark.django_db
def test_a_pair_is_looked_at_whole_every_hour_and_never_by_two_at_once(pair: SitePair) -> None:
    now = timezone.now()
    minutes = lambda number: (now - dt.timedelta(minutes=number)).isoformat()  # noqa: E731
    assert next_to_discover(now) is None, "its first discovery is asked for by a person"
    told(pair, state="idle", started_at=minutes(59))
    SitePair.objects.update(discovered_at=now - dt.timedelta(minutes=59))
    assert next_to_discover(now) is None
    SitePair.objects.update(discovered_at=now - dt.timedelta(minutes=61))
    assert next_to_discover(now) == pair.pk
    told(pair, state="running", started_at=minutes(2))
    assert next_to_discover(now) is None, "somebody is at it"
    told(pair, state="failed", started_at=minutes(11))
    assert next_to_discover(now) == pair.pk, "what failed is tried again after a while"
    SitePair.objects.update(discovered_at=None)
    assert next_to_discover(now) == pair.pk
