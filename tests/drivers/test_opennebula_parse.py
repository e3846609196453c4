from __future__ import annotations

from pathlib import Path

import pyone
import pytest

from drportal.drivers import opennebula_parse as parse
from drportal.drivers.base_cloud import VmPhase
from drportal.drivers.opennebula_states import LCM_STATES, VM_STATES, vm_phase

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "opennebula"
PARSERS = {
    "VM_POOL": parse.vms,
    "VM": parse.vm,
    "IMAGE_POOL": parse.images,
    "IMAGE": parse.image,
    "VNET_POOL": parse.networks,
    "VNET": parse.network,
    "DATASTORE_POOL": parse.datastores,
    "HOST_POOL": parse.hosts,
}
DOCUMENTS = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.xml"))
MEASURED = "measured-7.5.80"
CEPH_LAB = "ceph-lab-7.5.80"


def element(name: str) -> parse.ET.Element:
    return parse.document((ROOT / name).read_text())


def test_the_recorded_documents_are_all_there() -> None:
    assert len(DOCUMENTS) > 60


@pytest.mark.parametrize("name", [str(name) for name in DOCUMENTS])
def test_every_recorded_document_parses(name: str) -> None:
    root = element(name)
    if root.tag not in PARSERS:
        assert root.tag in {"TEMPLATE", "VMTEMPLATE", "VMTEMPLATE_POOL", "HOST", "CLUSTER_POOL", "ZONE_POOL"}
        return
    found = PARSERS[root.tag](root)
    if root.tag.endswith("_POOL"):
        assert isinstance(found, tuple)
        assert len(found) == len(root)


def test_the_three_kinds_of_rbd_disks_name_the_image_they_run_on() -> None:
    document = element(f"{CEPH_LAB}/02-vm-running-np-pers-volatile.xml")
    vm = parse.vm(document)
    assert [(disk.kind, disk.source) for disk in vm.disks[:3]] == [
        ("clone", f"{document.findtext('TEMPLATE/DISK/SOURCE')}-{vm.vm_id}-0"),
        ("persistent", "one/one-1"),
        ("volatile", f"one/one-sys-{vm.vm_id}-2"),
    ]
    assert vm.disks[1].size_bytes == 512 * 2**20
    assert (vm.disks[1].image_id, vm.disks[2].image_id) == (1, None)


def test_a_disk_that_is_not_on_ceph_is_not_taken_for_one() -> None:
    disk = "<DISK><DISK_ID>0</DISK_ID><IMAGE_ID>3</IMAGE_ID><SOURCE>/var/x</SOURCE>{}</DISK>"
    kinds = []
    for extra in (
        "<TYPE>FILE</TYPE><DISK_TYPE>FILE</DISK_TYPE><CLONE>NO</CLONE><PERSISTENT>YES</PERSISTENT>",
        "<TYPE>CDROM</TYPE><DISK_TYPE>RBD</DISK_TYPE>",
        "<TYPE>RBD_CDROM</TYPE>",
        "<TYPE>RBD</TYPE><CLONE>NO</CLONE>",
    ):
        text = f"<VM><ID>1</ID><STATE>3</STATE><LCM_STATE>3</LCM_STATE><TEMPLATE>{disk.format(extra)}</TEMPLATE></VM>"
        kinds.append(parse.vm(parse.document(text)).disks[0].kind)
    assert kinds == ["other", "cdrom", "cdrom", "clone"], "only CLONE=NO with PERSISTENT=YES is persistent"


def test_a_vm_tells_what_a_recovery_needs() -> None:
    vm = parse.vm(element(f"{MEASURED}/13-vm-info-running-persistent.xml"))
    assert (vm.name, vm.phase, vm.state_word, vm.tm_mad, vm.host) == (
        "db01",
        VmPhase.RUNNING,
        "RUNNING",
        "ceph",
        "kvm-a1",
    )
    assert (vm.cpu, vm.memory_mb, vm.locked, vm.owner) == (0.5, 512, False, "oneadmin")
    assert vm.labels == ("db", "prod")
    assert [(nic.network_id, nic.ip, nic.mac) for nic in vm.nics] == [(0, "192.168.150.110", "02:00:c0:a8:96:6e")]
    assert parse.vm(parse.document(vm.document.text)) == vm


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("15-vm-info-poweroff.xml", VmPhase.OFF),
        ("27-vm-info-done.xml", VmPhase.GONE),
        (f"{CEPH_LAB}/19b-vm-hold.xml", VmPhase.HOLD),
        (f"{CEPH_LAB}/33-vm-pending-no-datastore.xml", VmPhase.PENDING),
        (f"{MEASURED}/35-vm-info-undeployed.xml", VmPhase.UNDEPLOYED),
        (f"{MEASURED}/04-vm-info-prolog-failure.xml", VmPhase.STUCK),
        (f"{MEASURED}/127-vm-info-boot-failure.xml", VmPhase.STUCK),
    ],
)
def test_recorded_states_have_their_phase(name: str, phase: VmPhase) -> None:
    assert parse.vm(element(name)).phase is phase


def test_the_server_s_reason_is_shown() -> None:
    pending = parse.vm(element(f"{CEPH_LAB}/33-vm-pending-no-datastore.xml"))
    assert pending.error


def test_the_lcm_table_agrees_with_pyone_and_goes_on_where_it_ends() -> None:
    assert LCM_STATES[: len(pyone.LCM_STATE)] == tuple(state.name for state in pyone.LCM_STATE)
    assert LCM_STATES[69:] == ("BACKUP", "BACKUP_POWEROFF", "RESTORE")


@pytest.mark.parametrize("state", [*range(-1, 14)])
def test_only_the_exact_pair_is_running_or_off(state: int) -> None:
    for lcm_state in range(-1, 90):
        word, phase = vm_phase(state, lcm_state)
        assert (phase is VmPhase.RUNNING) == ((state, lcm_state) == (3, 3))
        assert (phase is VmPhase.OFF) == (state == 8)
        if state == 3 and 0 <= lcm_state < len(LCM_STATES):
            assert (phase is VmPhase.STUCK) == ("FAILURE" in word or word == "UNKNOWN")
        elif state not in VM_STATES:
            assert (phase, word) == (VmPhase.STUCK, f"unknown({state},{lcm_state})")


def test_a_vm_in_backup_is_on_its_way_and_not_lost() -> None:
    assert vm_phase(3, 69) == ("BACKUP", VmPhase.MOVING)


def test_devices_of_its_host_are_told_with_the_number_by_which_they_are_detached() -> None:
    root = element(f"{MEASURED}/13-vm-info-running-persistent.xml")
    assert parse.vm(root).devices == ()
    body = root.find("TEMPLATE")
    assert body is not None
    given = {"PCI_ID": "1", "VENDOR": "10de", "DEVICE": "0863", "CLASS": "0302", "SHORT_ADDRESS": "02:00.0"}
    for tag, text in given.items():
        pci = body.find("PCI")
        parse.ET.SubElement(parse.ET.SubElement(body, "PCI") if pci is None else pci, tag).text = text
    assert [(one.pci_id, one.what) for one in parse.vm(root).devices] == [(1, "10de:0863:0302 at 02:00.0")]


def test_a_locked_vm_and_image_say_so() -> None:
    assert parse.image(element("18-image-info-locked.xml")).locked
    assert not parse.image(element("06-image-info-used-persistent.xml")).locked


def test_an_image_record_tells_its_rbd_image() -> None:
    image = parse.image(element(f"{CEPH_LAB}/21-image-registered-used-pers.xml"))
    assert (image.source, image.state_word, image.persistent, image.type_word) == (
        "one/one-0-100-0",
        "USED_PERS",
        True,
        "OS",
    )
    assert (image.size_bytes, image.vm_ids) == (256 * 2**20, (100,))


def test_networks_datastores_and_hosts() -> None:
    network = parse.networks(element(f"{CEPH_LAB}/09-vnpool.xml"))[0]
    assert network.ranges == (("192.168.150.100", 50),)
    stores = parse.datastores(element(f"{CEPH_LAB}/08-datastorepool.xml"))
    ceph = [store for store in stores if store.tm_mad == "ceph"]
    assert {store.type_word for store in ceph} == {"IMAGE_DS", "SYSTEM_DS"}
    assert {store.pool for store in ceph} == {"one"}
    assert all(store.enabled for store in ceph)
    host = parse.hosts(element(f"{CEPH_LAB}/12-hostpool.xml"))[0]
    assert (host.state_word, host.cpu_total) == ("MONITORED", 800)
    assert host.memory_total_kb > host.memory_used_kb >= 0


def test_a_user_with_too_few_rights_sees_only_what_is_theirs_and_no_error() -> None:
    seen = parse.vms(element(f"{CEPH_LAB}/17-vmpool-empty-for-plain-user.xml"))
    assert [vm.vm_id for vm in seen] == [93]
    assert parse.vms(element(f"{MEASURED}/12c-vmpool-infoset-unknown.xml")) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7.5.80",
        None,
        5,
        "<VM><ID>",
        '<!DOCTYPE x [<!ENTITY a "b">]><VM>&a;</VM>',
        '<?xml version="1.0"?><!DOCTYPE VM SYSTEM "file:///etc/passwd"><VM/>',
    ],
)
def test_what_is_no_document_is_refused(text: object) -> None:
    with pytest.raises(ValueError):
        parse.document(text)
