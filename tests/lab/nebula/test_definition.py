"""What becomes of a template, and where the VM goes."""

from __future__ import annotations

import pytest

from drportal.lab.embedded.nebula import faults
from drportal.lab.embedded.nebula.infrastructure import HOST_DISABLED, HOST_ERROR
from drportal.lab.embedded.nebula.syntax import Vector

from .conftest import Front, recorded

SMALL = "NAME=v\nCPU=0.1\nMEMORY=96\n"


def only(vectors: list[Vector]) -> Vector:
    assert len(vectors) == 1
    return vectors[0]


def test_the_recorded_export_is_accepted_and_runs(front: Front) -> None:
    front.site.state.reserve_id("image", 7)
    assert front.register("one/one-0-100-0", "web-7-disk-0") == 8
    assert front.register("one/one-1", "web-7-disk-1", mib=512) == 9
    vm_id = front.number("vm.allocate", recorded("ceph-lab-7.5.80/export-example.xml"), user="dr-portal")
    front.wait()
    vm = front.vm(vm_id)
    assert vm.state_name == "RUNNING"
    assert [disk["TARGET"] for disk in vm.template.vectors("DISK")] == ["vda", "vdb"]
    assert only(vm.template.vectors("OS"))["UUID"] == "6e912706-40ee-4e32-9934-0e5d12640f99"
    assert dict(vm.user_template.items()) == {"FOO": "bar", "HYPERVISOR": "dummy", "LABELS": "prod"}


def test_image_id_beats_every_other_way_to_name_an_image(front: Front) -> None:
    front.register("one/one-0", "base")
    front.register("one/one-1", "other")
    vm_id = front.number("vm.allocate", SMALL + "DISK=[IMAGE=base,SOURCE=one/one-0,CLONE=YES,IMAGE_ID=1]", True)
    disk = only(front.vm(vm_id).template.vectors("DISK"))
    assert (disk["SOURCE"], disk["CLONE"], disk["IMAGE"]) == ("one/one-1", "NO", "other")


def test_what_belongs_to_another_site_is_overwritten_in_a_disk(front: Front) -> None:
    front.register("one/one-0", "x")
    vm_id = front.number("vm.allocate", SMALL + 'DISK=[IMAGE_ID=0,CEPH_HOST="mon-b1",POOL_NAME=evil]', True)
    disk = only(front.vm(vm_id).template.vectors("DISK"))
    assert (disk["CEPH_HOST"], disk["POOL_NAME"]) == ("mon-a1:6789 mon-a2:6789", "one")


def test_attributes_nobody_knows_go_to_the_user_template(front: Front) -> None:
    vm_id = front.number("vm.allocate", SMALL + 'DR_RUN="r-42"\nARCH=x86_64\nAUTOMATIC_REQUIREMENTS="ID=9"\n', True)
    vm = front.vm(vm_id)
    assert dict(vm.user_template.items()) == {"DR_RUN": "r-42", "ARCH": "x86_64", "AUTOMATIC_REQUIREMENTS": "ID=9"}
    assert vm.template.text("AUTOMATIC_REQUIREMENTS") == "!(PIN_POLICY = PINNED)"


def test_context_addresses_come_from_the_nic(front: Front) -> None:
    text = SMALL + "NIC=[NETWORK_ID=0]\nCONTEXT=[NETWORK=YES,ETH0_IP=10.0.0.1,USERKEY=kept]"
    context = only(front.vm(front.number("vm.allocate", text, True)).template.vectors("CONTEXT"))
    assert (context["ETH0_IP"], context["USERKEY"]) == ("192.168.150.100", "kept")


def test_without_a_nic_the_addresses_that_were_sent_stay(front: Front) -> None:
    text = SMALL + "CONTEXT=[NETWORK=YES,ETH0_IP=10.0.0.1]"
    context = only(front.vm(front.number("vm.allocate", text, True)).template.vectors("CONTEXT"))
    assert context["ETH0_IP"] == "10.0.0.1"


def test_a_gateway_that_is_sent_is_kept(front: Front) -> None:
    vm_id = front.number("vm.allocate", SMALL + "NIC=[NETWORK_ID=0,GATEWAY=10.9.9.1]", True)
    assert only(front.vm(vm_id).template.vectors("NIC"))["GATEWAY"] == "10.9.9.1"


def test_a_refused_vm_holds_no_address_and_no_image(front: Front) -> None:
    front.register("one/one-0", "x")
    text = SMALL + "NIC=[NETWORK_ID=0]\nDISK=[IMAGE_ID=0]\nDISK=[IMAGE_ID=555]\n"
    assert front.refused("vm.allocate", text)[1].startswith("[one.vm.allocate] DISK 1: ")
    assert front.site.state.networks[0].vms == []
    assert front.site.state.images[0].state == 1
    assert front.site.state.vms == {}


def test_a_full_network_has_the_same_text_as_a_taken_address(front: Front) -> None:
    for _ in range(50):
        front.call("vm.allocate", SMALL + "NIC=[NETWORK_ID=0]", True)
    text = "[one.vm.allocate] Cannot get IP/MAC lease from virtual network 0."
    assert front.refused("vm.allocate", SMALL + "NIC=[NETWORK_ID=0]", True) == (0x2000, text)


def test_an_extra_template_wins_and_marks_reach_the_user_template(front: Front) -> None:
    template_id = front.number("template.allocate", "NAME=t\nCPU=0.1\nMEMORY=96\nDR_PLAN=p1\n")
    vm_id = front.number("template.instantiate", template_id, "vm", True, "DR_RUN=r-42\nMEMORY=128\n", False)
    vm = front.vm(vm_id)
    assert (vm.name, vm.template.text("MEMORY"), vm.template.text("TEMPLATE_ID")) == ("vm", "128", str(template_id))
    assert dict(vm.user_template.items()) == {"DR_PLAN": "p1", "DR_RUN": "r-42"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CPU=999", "Not enough CPU on hosts: 0, 1"),
        ("MEMORY=99999999", "Not enough memory on hosts: 0, 1"),
        ('SCHED_REQUIREMENTS="NAME=kvm-b1"', "Cannot dispatch VM: No host meets SCHED_REQUIREMENTS"),
        ('SCHED_DS_REQUIREMENTS="ID=77"', "Cannot dispatch VM: No system datastore meets SCHED_DS_REQUIREMENTS"),
        ("TM_MAD_SYSTEM=ssh\nDISK=[TYPE=fs,SIZE=1]", "No system datastore meets SCHED_DS_REQUIREMENTS"),
    ],
)
def test_a_vm_that_has_no_place_stays_pending_and_says_why(front: Front, line: str, message: str) -> None:
    name = line.split("=")[0]
    base = "\n".join(row for row in SMALL.splitlines() if not row.startswith(name + "="))
    vm_id = front.number("vm.allocate", f"{base}\n{line}\n")
    assert front.seen(vm_id) == [(1, 0)]
    assert front.vm(vm_id).user_template.text("SCHED_MESSAGE").endswith(message)


def test_the_message_has_the_form_of_the_recorded_one(front: Front) -> None:
    vm_id = front.number("vm.allocate", SMALL + 'SCHED_DS_REQUIREMENTS="ID=77"')
    front.wait()
    message = front.vm(vm_id).user_template.text("SCHED_MESSAGE")
    theirs = "Mon Nov 23 02:23:40 2026: Cannot dispatch VM: No system datastore meets SCHED_DS_REQUIREMENTS"
    assert theirs in recorded("ceph-lab-7.5.80/33-vm-pending-no-datastore.xml")
    assert message[len("Mon Nov 23 02:23:40 2026") :] == theirs[len("Mon Nov 23 02:23:40 2026") :]
    assert message.startswith("Mon Nov 23 ")


def test_a_pending_vm_is_placed_when_a_host_comes_back(front: Front) -> None:
    for host in front.site.state.hosts.values():
        host.state = HOST_ERROR
    vm_id = front.number("vm.allocate", SMALL)
    front.wait()
    assert front.shown(vm_id) == (1, 0)
    front.site.state.hosts[1].state = 2
    front.wait()
    assert front.shown(vm_id) == (3, 3)
    assert front.vm(vm_id).history[-1].host == "kvm-a2"
    assert "SCHED_MESSAGE" not in front.vm(vm_id).user_template


def test_a_stopped_scheduler_says_nothing(front: Front) -> None:
    front.site.state.faults.set(faults.SCHEDULER_STOPPED)
    vm_id = front.number("vm.allocate", SMALL)
    assert front.seen(vm_id) == [(1, 0)]
    assert "SCHED_MESSAGE" not in front.vm(vm_id).user_template


def test_an_administrator_may_deploy_to_a_disabled_host(front: Front) -> None:
    front.site.state.hosts[1].state = HOST_DISABLED
    vm_id = front.number("vm.allocate", SMALL, True)
    assert front.call("vm.deploy", vm_id, 1, True, 101) == vm_id
    front.wait()
    assert front.shown(vm_id) == (3, 3)


def test_deploying_to_a_datastore_that_holds_images_is_refused(front: Front) -> None:
    vm_id = front.number("vm.allocate", SMALL, True)
    assert front.refused("vm.deploy", vm_id, 0, False, 100)[0] == 0x2000
    assert front.refused("vm.deploy", vm_id, 0, False, 77)[0] == 0x400
    assert front.refused("vm.deploy", vm_id, 77, False, 101)[0] == 0x400


def test_a_system_datastore_that_is_not_ceph_keeps_a_vm_with_disks_pending(front: Front) -> None:
    front.register("one/one-0", "x")
    vm_id = front.number("vm.allocate", SMALL + 'DISK=[IMAGE_ID=0]\nSCHED_DS_REQUIREMENTS="ID=0"\n')
    assert front.seen(vm_id) == [(1, 0)]
    assert "Image Datastore does not support transfer mode: local" in front.vm(vm_id).user_template.text("ERROR")


def test_vm_update_reaches_only_the_user_template(front: Front) -> None:
    vm_id = front.number("vm.allocate", SMALL + "DR_RUN=r1\n", True)
    before = str(front.call("vm.info", vm_id))
    front.call("vm.update", vm_id, "DR_STEP=7", 1)
    after = str(front.call("vm.info", vm_id))
    assert before != after
    assert dict(front.vm(vm_id).user_template.items()) == {"DR_RUN": "r1", "DR_STEP": "7"}


@pytest.mark.parametrize(
    ("start", "end", "ids"),
    [(-1, -1, [4, 3, 2, 1, 0]), (0, -2, [4, 3]), (2, -2, [2, 1]), (1, 3, [3, 2, 1]), (3, -1, [4, 3])],
)
def test_pools_can_be_read_in_parts_newest_first(front: Front, start: int, end: int, ids: list[int]) -> None:
    for _ in range(5):
        front.number("vm.allocate", SMALL, True)
    answer = str(front.call("vmpool.info", -2, start, end, -1))
    assert [int(part.split("<")[0]) for part in answer.split("<VM><ID>")[1:]] == ids


def test_pools_can_be_read_by_state_and_by_ids(front: Front) -> None:
    held, running = front.number("vm.allocate", SMALL, True), front.running()
    assert str(front.call("vmpool.info", -2, -1, -1, 2)).count("<VM>") == 1
    assert (
        front.call("vmpool.infoset", f"{running},999", True) == f"<VM_POOL>{front.call('vm.info', running)}</VM_POOL>"
    )
    assert f"<ID>{held}</ID>" in str(front.call("vmpool.infoset", str(held), False))
    assert front.call("vmpool.infoset", "99999", True) == recorded("measured-7.5.80/12c-vmpool-infoset-unknown.xml")
    assert front.refused("vmpool.info", -2, -1, -1, -1, "NAME=x")[0] == 0x2000
