"""OpenNebula through the driver, and what Ceph sees of its VMs, on both kinds of lab."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.base_cloud import Vm, VmPhase
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.opennebula import OpenNebulaOverXmlRpc, OpenNebulaTarget
from drportal.drivers.opennebula_templates import image_template, vm_template
from drportal.lab.control import LabClient
from tests.contract.conftest import Site, becomes_true


async def the_vm(site: Site) -> Vm:
    vms = (await site.cloud.everything()).vms
    assert vms, "the lab has a VM at its home site"
    return vms[0]


def disk_of(vm: Vm) -> ImageRef:
    assert vm.disks[0].source is not None
    return ImageRef(*vm.disks[0].source.split("/"))


async def reached(site: Site, vm_id: int, phase: VmPhase) -> None:
    async def there() -> bool:
        return (await site.cloud.vm(vm_id))[0].phase is phase

    await becomes_true(there, 60, f"VM {vm_id} is {phase.value}")


async def writers(site: Site, ref: ImageRef) -> set[str]:
    """Who has the image open, the site's own mirror daemon left out."""
    daemons = {daemon.instance_id for daemon in (await site.ceph.pool(ref.pool)).daemons}
    return {watcher.client for watcher in (await site.ceph.watchers(ref)).watchers} - daemons


async def test_a_running_vm_holds_its_image_and_lets_go_when_it_is_off(a: Site, lab: LabClient) -> None:
    vm = await the_vm(a)
    ref = disk_of(vm)
    assert (vm.phase, vm.disks[0].kind, vm.tm_mad) == (VmPhase.RUNNING, "persistent", "ceph")
    assert len(await writers(a, ref)) >= 1
    await a.cloud.vm_action(vm.vm_id, "poweroff")
    await reached(a, vm.vm_id, VmPhase.OFF)

    async def nobody() -> bool:
        return not await writers(a, ref)

    await becomes_true(nobody, 45, "nobody holds the image")
    with pytest.raises(Refused) as caught:
        await a.cloud.vm_action(vm.vm_id, "poweroff")
    assert caught.value.reason is Reason.WRONG_STATE
    await a.cloud.vm_action(vm.vm_id, "resume")
    await reached(a, vm.vm_id, VmPhase.RUNNING)
    assert len(await writers(a, ref)) >= 1


async def test_a_definition_built_from_the_capture_is_accepted_at_the_other_side(
    lab: LabClient, a: Site, b: Site
) -> None:
    vm = await the_vm(a)
    target = await b.cloud.everything()
    store = next(store for store in target.datastores if store.type_word == "IMAGE_DS" and store.tm_mad == "ceph")
    network = next(network for network in target.networks if network.name.startswith("production"))
    marker = f"contract-{uuid.uuid4().hex[:12]}"
    image_ids: dict[int, int] = {}
    for disk in vm.disks:
        assert disk.source is not None
        size_bytes = (await a.ceph.info(ImageRef(*disk.source.split("/")))).size_bytes
        template = image_template(
            name=f"{vm.name}-disk-{disk.disk_id}-{marker}",
            source=disk.source,
            size_bytes=size_bytes,
            type_word="OS",
            dev_prefix="vd",
            marker=marker,
        )
        image_ids[disk.disk_id], answer = await b.cloud.image_allocate(template, store.datastore_id)
        assert answer.exit_status == 0
        (registered,) = [
            image for image in (await b.cloud.find_images(disk.source))[0] if image.attributes["DR_MARKER"] == marker
        ]
        assert (registered.image_id, registered.state_word) == (image_ids[disk.disk_id], "READY")
        assert (registered.persistent, registered.size_bytes) == (True, size_bytes)

    home = {nic.network_id: network.network_id for nic in vm.nics if nic.network_id is not None}
    definition = vm_template(
        vm.document.text,
        name=vm.name,
        image_ids=image_ids,
        networks=dict(home),
        marker=marker,
        home_marker=f"a/{vm.vm_id}",
    )
    vm_id, _ = await b.cloud.vm_allocate(definition)
    (found,) = (await b.cloud.find_vms(marker))[0]
    assert (found.vm_id, found.name, found.home_marker) == (vm_id, vm.name, f"a/{vm.vm_id}")
    assert [disk.source for disk in found.disks] == [disk.source for disk in vm.disks]
    assert [nic.network_id for nic in found.nics] == [network.network_id]
    with pytest.raises(Refused):
        await b.cloud.vm_allocate(definition)
    assert len((await b.cloud.find_vms(marker))[0]) == 1, "a persistent image has one VM"

    async def gone() -> bool:
        try:
            await b.cloud.vm_action(vm_id, "terminate")
        except Refused:
            await asyncio.sleep(0.5)
        return (await b.cloud.vm(vm_id))[0].phase is VmPhase.GONE

    await becomes_true(gone, 60, "the trial VM is gone")
    assert (await b.cloud.find_vms(marker))[0] == ()


async def test_objects_that_are_not_there(a: Site) -> None:
    for ask in (a.cloud.vm(999_999), a.cloud.vm_action(999_999, "resume"), a.cloud.image_enable(999_999)):
        with pytest.raises(Refused) as caught:
            await ask
        assert caught.value.reason is Reason.NOT_FOUND


async def test_a_wrong_password_says_so_and_is_not_repeated_back(a: Site) -> None:
    one = a.description.opennebula
    wrong = OpenNebulaOverXmlRpc(OpenNebulaTarget(one.url, one.username, "canary-not-the-password"))
    with pytest.raises(Refused) as caught:
        await wrong.version()
    assert caught.value.reason is Reason.BAD_CREDENTIALS
    assert "canary" not in caught.value.detail + repr(caught.value.answer)
    await wrong.close()
