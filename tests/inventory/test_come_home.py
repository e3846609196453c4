"""A VM that a failback had to create anew at home stays the VM that its group names."""

from __future__ import annotations

import asyncio
import dataclasses

from django.db import transaction
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.drivers.base_cloud import CloudReading
from drportal.inventory import cloud
from drportal.inventory.connect import site_drivers
from drportal.inventory.definitions import home_marker
from drportal.inventory.discovery import discover
from drportal.inventory.models import Site, SitePair, VirtualMachine


def everything(site: Site) -> CloudReading:
    drivers = site_drivers(site)

    async def read() -> CloudReading:
        try:
            return await drivers.cloud.everything()
        finally:
            await drivers.close()

    return asyncio.run(read())


def write(pair: SitePair, found: CloudReading) -> None:
    with transaction.atomic():
        cloud.write_vms(pair.a, pair, found, timezone.now())
        cloud.write_definitions(pair.a, found, timezone.now())


def anew(found: CloudReading, old_id: int, new_id: int, *, keep_old: bool) -> CloudReading:
    """The old VM's place is taken by one that bears its DR_HOME."""
    old = next(vm for vm in found.vms if vm.vm_id == old_id)
    new = dataclasses.replace(old, vm_id=new_id, home_marker=home_marker("site-a", old_id))
    rest = tuple(vm for vm in found.vms if keep_old or vm.vm_id != old_id)
    return dataclasses.replace(found, vms=(*rest, new))


def test_the_row_follows_its_vm_home(lab_pair: SitePair) -> None:
    pair = discover(lab_pair.pk)
    row = VirtualMachine.objects.get(site=pair.a, name="web-1")
    old_id, versions = row.one_id, row.definitions.count()
    found = anew(everything(pair.a), old_id, 901, keep_old=False)
    for _ in range(2):  # and it stays so at the next poll
        write(pair, found)
        row.refresh_from_db()
        assert (row.one_id, row.phase, row.gone_at, row.home_of) == (901, "running", None, None)
    assert not VirtualMachine.objects.filter(site=pair.a, one_id=old_id).exists()
    assert row.definitions.count() >= versions
    assert row.definitions.order_by("-number").first().seen_at > row.definitions.first().captured_at
    entry = AuditEntry.objects.get(action="vm.come_home")
    assert entry.payload == {"site": "site-a", "was": old_id, "is": 901}


def test_while_the_old_vm_is_there_the_new_one_is_a_copy_of_it(lab_pair: SitePair) -> None:
    pair = discover(lab_pair.pk)
    row = VirtualMachine.objects.get(site=pair.a, name="web-1")
    write(pair, anew(everything(pair.a), row.one_id, 901, keep_old=True))
    copy = VirtualMachine.objects.get(site=pair.a, one_id=901)
    assert copy.home_of == row
    assert VirtualMachine.objects.get(pk=row.pk).one_id == row.one_id
