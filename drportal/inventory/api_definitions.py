"""Captured definitions over HTTP: their versions, what differs between two, and the files that the published procedure
asks for. Secrets of guests are hidden.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import xml.etree.ElementTree as ET
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from drportal.api import needs
from drportal.drivers.opennebula_parse import document, masked
from drportal.errors import NotFound
from drportal.inventory.models import CapturedDefinition, VirtualMachine
from drportal.inventory.target_files import TargetFiles, target_files
from drportal.roles import Permission

router = Router()
DIFF_LINES = 5000


class Version(Schema):
    """``captured_at`` to ``seen_at``: it was so. ``disks``: those of which there is an image file."""

    number: int
    captured_at: dt.datetime
    seen_at: dt.datetime
    sha256: str
    disks: list[int]

    @staticmethod
    def resolve_disks(row: CapturedDefinition) -> list[int]:
        return sorted(int(disk_id) for disk_id in row.images)


class Versions(Schema):
    items: list[Version]


class DefinitionDiff(Schema):
    """Unified, empty where nothing but figures differs. ``cut``: there is more than is shown."""

    before: int
    after: int
    lines: list[str]
    cut: bool


@router.get("/vms/{vm_id}/definitions", auth=needs(Permission.VIEW), response=Versions)
def vm_definition_list(request: HttpRequest, vm_id: int) -> Any:
    """Every version that was captured, newest first."""
    rows = CapturedDefinition.objects.filter(vm=the_vm(vm_id)).order_by("-number").defer("vm_xml")
    if not rows:
        raise NotFound("No definition of this VM has been captured (yet).")
    return {"items": list(rows)}


@router.get(
    "/vms/{vm_id}/definitions/{int:before}/diff/{int:after}", auth=needs(Permission.VIEW), response=DefinitionDiff
)
def vm_definition_diff(request: HttpRequest, vm_id: int, before: int, after: int) -> Any:
    """What differs between two versions."""
    vm = the_vm(vm_id)
    old, new = (as_text(the_version(vm, number)) for number in (before, after))
    lines = list(difflib.unified_diff(old, new, f"definition {before}", f"definition {after}", lineterm=""))
    return {"before": before, "after": after, "lines": lines[:DIFF_LINES], "cut": len(lines) > DIFF_LINES}


@router.get("/vms/{vm_id}/definitions/{number}/files", auth=needs(Permission.VIEW), response=TargetFiles)
def vm_definition_files(request: HttpRequest, vm_id: int, number: int) -> Any:
    """The image files (oneimage create) and the VM template (onevm create) of a version, for the other side."""
    vm = the_vm(vm_id)
    return target_files(vm, the_version(vm, number))


@router.get(
    "/vms/{vm_id}/definitions/{number}/files/{name}",
    auth=needs(Permission.VIEW),
    response={200: None},
    openapi_extra={"responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}},
)
def vm_definition_file(request: HttpRequest, vm_id: int, number: int, name: str) -> HttpResponse:
    """One of those files to keep: ``vm-template`` or ``image-<disk>``."""
    vm = the_vm(vm_id)
    files = target_files(vm, the_version(vm, number))
    texts = {f"image-{file.disk_id}": file.text for file in files.image_files}
    if files.vm_template is not None:
        texts["vm-template"] = files.vm_template
    if name not in texts:
        raise NotFound(f"There is no file “{name}” of this definition. {files.why_not or ''}".strip())
    response = HttpResponse(texts[name], content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{vm.site.slug}-{vm.one_id}-{number}-{name}.txt"'
    return response


def the_vm(vm_id: int) -> VirtualMachine:
    vm = VirtualMachine.objects.select_related("site", "membership__group__plan").filter(pk=vm_id).first()
    if vm is None:
        raise NotFound("This VM is not known (any more).")
    return vm


def the_version(vm: VirtualMachine, number: int) -> CapturedDefinition:
    row = CapturedDefinition.objects.filter(vm=vm, number=number).first()
    if row is None:
        raise NotFound(f"Definition {number} of this VM is not kept.")
    return row


def as_text(kept: CapturedDefinition) -> list[str]:
    """The definition as lines that can be compared: the VM's document indented, then its images."""
    root = document(masked(kept.vm_xml))
    ET.indent(root)
    images = {disk: {key: value for key, value in image.items() if key != "xml"} for disk, image in kept.images.items()}
    told = json.dumps(images, indent=1, sort_keys=True)
    return [*ET.tostring(root, encoding="unicode").splitlines(), "images:", *told.splitlines()]
