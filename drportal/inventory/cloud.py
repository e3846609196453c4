"""From OpenNebula's answers to rows: VMs and their disks, networks, datastores and hosts, captured definitions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db.models import Count, Model, Q, QuerySet

from drportal.audit.record import record
from drportal.drivers.base_cloud import CloudReading, Vm
from drportal.inventory.bulk import batches
from drportal.inventory.changes import GROUND, Change, ground_changes, note, vm_changes
from drportal.inventory.definitions import capture, documents_digest, home_vm
from drportal.inventory.models import (
    CapturedDefinition,
    InventoryChange,
    MirroredImage,
    Network,
    Site,
    SitePair,
    SiteResource,
    VirtualMachine,
    VmDisk,
)

FEW = 1000
HOST_ON = ("MONITORED", "MONITORING_MONITORED")
GONE = {"phase": "gone", "state_word": "GONE", "host": ""}


@dataclass(slots=True)
class CloudBook:
    """What was captured last, by the poller: VM number -> (a digest of its raw documents, its definition's row)."""

    captured: dict[int, tuple[str, int]] = field(default_factory=dict)
    looked_at: dict[int, tuple[object, ...]] = field(default_factory=dict)  # the very documents that this is of


def write_vms(site: Site, pair: SitePair, found: CloudReading, now: dt.datetime) -> set[int]:
    """Bring the site's VM rows up to what OpenNebula said; ids of those that changed.

    VMs it knows no more get a tombstone.
    """
    kept = VirtualMachine.objects.filter(site=site).select_related("home_of").prefetch_related("disks")
    rows = {row.one_id: row for row in kept}
    sites = {pair.a.slug: pair.a, pair.b.slug: pair.b}
    images = image_ids(pair)
    known = {vm.vm_id for vm in found.vms}
    changed: set[int] = set()
    same: list[int] = []
    news: list[Change] = []
    for vm in found.vms:
        home = home_vm(vm.home_marker, sites)
        row = rows.get(vm.vm_id) or VirtualMachine(site=site, one_id=vm.vm_id)
        if row.pk is None and home is not None and home.site_id == site.pk and home.one_id not in known:
            row = rows[home.one_id]
            come_home(row, vm, site)
            changed.add(row.pk)
        if row.pk == (home.pk if home else None):
            home = None
        elif row.home_of_id is not None:
            home = row.home_of
        fields = vm_fields(vm) | {"home_of": home, "gone_at": None}
        was = None if row.pk is None or row.gone_at is not None else vm_state(row)
        differs = row.pk is None or any(getattr(row, name) != value for name, value in fields.items())
        if differs:
            for name, value in (fields | {"read_at": now}).items():
                setattr(row, name, value)
            row.save()
        elif (now - row.read_at).total_seconds() >= 10:
            same.append(row.pk)
        if write_disks(row, vm, images) or differs:
            changed.add(row.pk)
            is_now = fields | {"disks": [asdict(disk) | {"source": disk.source or ""} for disk in vm.disks]}
            news += vm_changes(vm.vm_id, row.name, site.name, was, is_now)
    for some in batches(same):
        VirtualMachine.objects.filter(pk__in=some).update(read_at=now)
    gone = [row for row in rows.values() if row.one_id not in known and row.gone_at is None]
    for row in gone:
        VirtualMachine.objects.filter(pk=row.pk).update(gone_at=now, read_at=now, **GONE)
        changed.add(row.pk)
        news += vm_changes(row.one_id, row.name, site.name, vm_state(row), None)
    note(site, news if rows else (), now)  # what a first look finds is no change
    return changed


def vm_state(row: VirtualMachine) -> dict[str, Any]:
    """What changes are told of, as it is in the row; ``row`` with its disks."""
    disks = [
        {"disk_id": disk.disk_id, "kind": disk.kind, "source": disk.source, "size_bytes": disk.size_bytes}
        for disk in row.disks.all()
    ]
    return {name: getattr(row, name) for name in ("name", "cpu", "memory_mb", "nics")} | {"disks": disks}


def come_home(row: VirtualMachine, vm: Vm, site: Site) -> None:
    """A failback had to create the VM anew at home, because it was gone there: from now on it is the VM that the group
    names.
    """
    facts = {"site": site.slug, "was": row.one_id, "is": vm.vm_id}
    row.one_id = vm.vm_id
    row.save(update_fields=["one_id"])
    record("vm.come_home", vm.name, facts, actor="inventory", site=site.slug)


def image_ids(pair: SitePair) -> dict[str, int]:
    """``pool/name`` -> row of the pair's images."""
    rows = MirroredImage.objects.filter(pair=pair).values_list("pool", "name", "pk")
    return {f"{pool}/{name}": pk for pool, name, pk in rows.iterator(chunk_size=2000)}


def vm_fields(vm: Vm) -> dict[str, Any]:
    return {
        "name": vm.name[:200],
        "phase": vm.phase.value,
        "state_word": vm.state_word[:40],
        "host": (vm.host or "")[:200],
        "cpu": vm.cpu,
        "memory_mb": vm.memory_mb,
        "marker": (vm.marker or "")[:200],
        "uuid": vm.uuid[:64],
        "owner": vm.owner[:100],
        "devices": [asdict(device) for device in vm.devices],
        "labels": f",{','.join(vm.labels)}," if vm.labels else "",
        "nics": [
            {
                "nic_id": nic.nic_id,
                "network_id": nic.network_id,
                "network": nic.network,
                "ip": nic.ip,
                "mac": nic.mac,
            }
            for nic in vm.nics
        ],
    }


def write_disks(row: VirtualMachine, vm: Vm, images: Mapping[str, int]) -> bool:
    """The VM's disks and the images they run on (``images``: by ``pool/name``). True when anything changed."""
    kept = {disk.disk_id: disk for disk in row.disks.all()}
    changed = False
    for disk in vm.disks:
        fields = {
            "kind": disk.kind,
            "source": (disk.source or "")[:300],
            "target": (disk.target or "")[:20],
            "size_bytes": disk.size_bytes,
            "record_id": disk.image_id,
            "record_name": disk.image_name[:200],
            "image_id": images.get(disk.source or ""),
        }
        known = kept.pop(disk.disk_id, None)
        if known is None or any(getattr(known, name) != value for name, value in fields.items()):
            VmDisk.objects.update_or_create(vm=row, disk_id=disk.disk_id, defaults=fields)
            changed = True
    for gone in kept.values():
        gone.delete()
        changed = True
    return changed


def write_definitions(site: Site, found: CloudReading, now: dt.datetime, book: CloudBook | None = None) -> int:
    """Keep what each VM is; copies that the portal made are left out. How many definitions were new.

    ``book``: spares what was looked at before and has the same documents; their definitions are confirmed together.
    """
    book = book or CloudBook()
    images = {image.image_id: image for image in found.images}
    rows = {row.one_id: row for row in VirtualMachine.objects.filter(site=site, home_of__isnull=True, gone_at=None)}
    new, confirmed = 0, []
    for vm in found.vms:
        row = rows.get(vm.vm_id)
        if row is None:
            continue
        before = book.captured.get(vm.vm_id)
        disks = (images.get(disk.image_id) if disk.image_id is not None else None for disk in vm.disks)
        documents = (vm.document, *disks)
        if before is not None and _the_same(documents, book.looked_at.get(vm.vm_id, ())):
            confirmed.append(before[1])
            continue
        book.looked_at[vm.vm_id] = documents
        digest = documents_digest(vm, images)
        if before is not None and before[0] == digest:
            confirmed.append(before[1])
            continue
        kept, is_new = capture(row, vm, images, now)
        book.captured[vm.vm_id] = (digest, kept)
        new += is_new
    for some in batches(confirmed):
        CapturedDefinition.objects.filter(pk__in=some).update(seen_at=now)
    return new


def _the_same(now: Sequence[object], before: Sequence[object]) -> bool:
    return len(now) == len(before) and all(one is other for one, other in zip(now, before, strict=True))


def write_ground(site: Site, found: CloudReading, now: dt.datetime) -> None:
    """Networks (with tombstones), datastores and hosts."""
    before = ground_of(site)
    for network in found.networks:
        ranges = [{"first": first, "size": size} for first, size in network.ranges]
        fields = {"name": network.name[:200], "ranges": ranges, "gone_at": None}
        Network.objects.update_or_create(site=site, one_id=network.network_id, defaults=fields)
    known = {network.network_id for network in found.networks}
    Network.objects.filter(site=site, gone_at=None).exclude(one_id__in=known).update(gone_at=now)
    write_resources(site, found, now)
    after = ground_of(site)
    note(site, (one for kind in GROUND for one in ground_changes(kind, site.name, before[kind], after[kind])), now)


def ground_of(site: Site) -> dict[InventoryChange.Kind, dict[int, tuple[str, str]]]:
    """Networks, datastores and hosts that are there: number -> (name, a word on how it is)."""
    kinds = InventoryChange.Kind
    networks = Network.objects.filter(site=site, gone_at=None).values_list("one_id", "name")
    there = {one_id: (name, "there") for one_id, name in networks}
    ground = {kinds.NETWORK: there, kinds.DATASTORE: {}, kinds.HOST: {}}
    told = [SiteResource.Kind.DATASTORE, SiteResource.Kind.HOST]
    for row in SiteResource.objects.filter(site=site, kind__in=told):
        ground[kinds(row.kind)][row.one_id] = (row.name, _how_it_is(row))
    return ground


def _how_it_is(row: SiteResource) -> str:
    """A host that is on goes to and fro between two states each time it is monitored."""
    if row.kind == SiteResource.Kind.HOST:
        return "on" if row.facts["state_word"] in HOST_ON else str(row.facts["state_word"]).lower()
    return "enabled" if row.facts["enabled"] else "disabled"


def write_resources(site: Site, found: CloudReading, now: dt.datetime) -> None:
    kinds = SiteResource.Kind
    rows: list[tuple[str, int, str, dict[str, Any]]] = [
        (
            kinds.DATASTORE,
            store.datastore_id,
            store.name,
            {
                "type_word": store.type_word,
                "tm_mad": store.tm_mad,
                "ds_mad": store.ds_mad,
                "pool": store.pool,
                "free_mb": store.free_mb,
                "capacity_check": store.attributes.get("DATASTORE_CAPACITY_CHECK", "").upper() != "NO",
                "enabled": store.enabled,
            },
        )
        for store in found.datastores
    ]
    rows += [
        (
            kinds.HOST,
            host.host_id,
            host.name,
            {
                "state_word": host.state_word,
                "cpu_total": host.cpu_total,
                "cpu_used": host.cpu_used,
                "memory_total_kb": host.memory_total_kb,
                "memory_used_kb": host.memory_used_kb,
            },
        )
        for host in found.hosts
    ]
    rows += [
        (kinds.DOUBLE, min(ids), source, {"image_ids": sorted(ids)}) for source, ids in registered_twice(found).items()
    ]
    rows += [(kinds.TAKEN, one_id, name, facts) for one_id, name, facts in names_taken(site, found)]
    for kind, one_id, name, facts in rows:
        fields = {"name": name[:200], "facts": facts, "read_at": now}
        SiteResource.objects.update_or_create(site=site, kind=kind, one_id=one_id, defaults=fields)
    for kind in kinds:
        drop_others(SiteResource.objects.filter(site=site, kind=kind), (row[1] for row in rows if row[0] == kind))


def registered_twice(found: CloudReading) -> dict[str, set[int]]:
    """SOURCE -> the image records that name it, where a VM could take more than one of them."""
    records: dict[str, set[int]] = {}
    for image in found.images:
        if "/" in image.source and not image.use_locked:
            records.setdefault(image.source, set()).add(image.image_id)
    return {source: ids for source, ids in records.items() if len(ids) > 1}


def names_taken(site: Site, found: CloudReading) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number, name, facts) of names under which images of the other site can't be registered here: OpenNebula has a
    name once an owner, and the portal's user would own them all. What is registered here already needs no name.

    ``wanted``: [SOURCE, its record at the other site] each. Number: of the record here that has the name; where two
    images of the other site want the same one, below 0.
    """
    own = {image.name: image for image in found.images if image.owner == site.opennebula_user}
    known = {image.source for image in found.images}
    there = VmDisk.objects.filter(kind="persistent", vm__gone_at=None, vm__home_of=None, image__gone_at=None)
    of_pairs = there.filter(Q(image__pair__a=site) | Q(image__pair__b=site)).exclude(vm__site=site, record_name="")
    twice = of_pairs.order_by().values("record_name").annotate(n=Count("source", distinct=True)).filter(n__gt=1)
    if len(own) <= FEW:  # as at a site to which nothing was moved yet: then the database finds the few of ten thousand
        of_pairs = of_pairs.filter(record_name__in=[*own, *(row["record_name"] for row in twice)])
    wanted: dict[str, dict[str, int | None]] = {}
    for name, source, record_id in of_pairs.values_list("record_name", "source", "record_id").order_by("source"):
        if name and source not in known:
            wanted.setdefault(name, {})[source] = record_id
    for name, sources in sorted(wanted.items()):
        if name in own:
            yield own[name].image_id, name, {"wanted": list(sources.items())}
        elif len(sources) > 1:
            yield -1 - (next(iter(sources.values())) or 0), name, {"wanted": list(sources.items())}


def drop_others(rows: QuerySet[Any, Model], kept_ids: Iterable[int]) -> None:
    rows.exclude(one_id__in=set(kept_ids)).delete()


def ceph_pools(found: CloudReading) -> set[str]:
    """Pools in which the front end keeps images."""
    return {
        store.pool
        for store in found.datastores
        if store.pool and store.type_word.upper().startswith("IMAGE") and store.ds_mad == "ceph"
    }
