"""A VM's whole definition, kept by the portal, so that the other site can be served when this one is dark."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from drportal.drivers.base_cloud import CloudImage, Vm
from drportal.drivers.opennebula_parse import document
from drportal.inventory.models import CapturedDefinition, Site, VirtualMachine

# What the front end writes into a definition by itself, and what changes with each start: not the owner's will.
_VOLATILE = re.compile(r"ERROR|SCHED_MESSAGE|AUTOMATIC_.*|VMID|PORT|DISK_SNAPSHOT_TOTAL_SIZE|CREATED_BY")
_MONITORING = re.compile(r"<MONITORING>.*?</MONITORING>|<LAST_POLL>\d*</LAST_POLL>", re.DOTALL)
_HOME = re.compile(r"([a-z0-9-]{1,50})/(\d{1,9})")


def home_marker(site_slug: str, one_id: int) -> str:
    """What a copy's DR_HOME attribute says: whose copy it is."""
    return f"{site_slug}/{one_id}"


def home_vm(marker: str | None, sites: Mapping[str, Site]) -> VirtualMachine | None:
    """The VM that a copy's DR_HOME names, if it is known. ``sites``: by slug."""
    found = _HOME.fullmatch(marker or "")
    if found is None or found[1] not in sites:
        return None
    return VirtualMachine.objects.filter(site=sites[found[1]], one_id=int(found[2])).first()


def disk_images(vm: Vm, images: Mapping[int, CloudImage]) -> dict[str, Any]:
    """Disk id (as text) -> what the image record of that disk says, for disks that have one."""
    return {
        str(disk.disk_id): {
            "image_id": image.image_id,
            "name": image.name,
            "source": image.source,
            "type_word": image.type_word,
            "size_bytes": image.size_bytes,
            "dev_prefix": image.attributes.get("DEV_PREFIX", ""),
            "xml": image.document.text,
        }
        for disk in vm.disks
        if disk.image_id is not None and (image := images.get(disk.image_id)) is not None
    }


def definition_hash(vm: Vm, images: Mapping[int, CloudImage]) -> str:
    """SHA-256 over what matters: the templates without what the front end writes itself, and each disk's image."""
    root = document(vm.document.text)
    kept: dict[str, Any] = {
        "name": vm.name,
        "owner": [vm.owner, vm.group],
        "template": _essence(root.find("TEMPLATE")),
        "user_template": _essence(root.find("USER_TEMPLATE")),
        "images": {
            disk: {key: value for key, value in image.items() if key != "xml"}
            for disk, image in disk_images(vm, images).items()
        },
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _essence(element: ET.Element | None) -> list[Any]:
    """The element's content without volatile parts, in an order that does not depend on the document's."""
    if element is None:
        return []
    parts = [
        [child.tag, _essence(child) if len(child) else (child.text or "").strip()]
        for child in element
        if not _VOLATILE.fullmatch(child.tag)
    ]
    return sorted(parts, key=json.dumps)


def documents_digest(vm: Vm, images: Mapping[int, CloudImage]) -> str:
    """Of the raw documents that a definition is made of, without figures of monitoring: equal means nothing is new."""
    digest = hashlib.sha256(_MONITORING.sub("", vm.document.text).encode())
    for disk in vm.disks:
        image = images.get(disk.image_id) if disk.image_id is not None else None
        digest.update((image.document.text if image else "-").encode())
    return digest.hexdigest()


def capture(row: VirtualMachine, vm: Vm, images: Mapping[int, CloudImage], seen_at: dt.datetime) -> tuple[int, bool]:
    """Keep the definition if it is news; else note that it is still true. Its row's id, and whether it is new."""
    sha256 = definition_hash(vm, images)
    newest = row.definitions.order_by("-number").only("pk", "vm_id", "number", "sha256").first()
    if newest is not None and newest.sha256 == sha256:
        CapturedDefinition.objects.filter(pk=newest.pk).update(seen_at=seen_at)
        return newest.pk, False
    kept = CapturedDefinition.objects.create(
        vm=row,
        number=newest.number + 1 if newest else 1,
        vm_xml=vm.document.text,
        images=disk_images(vm, images),
        sha256=sha256,
        captured_at=seen_at,
        seen_at=seen_at,
    )
    return kept.pk, True
