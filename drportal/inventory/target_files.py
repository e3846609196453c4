"""What would be created at the other side from a captured definition, as files for people. Nothing is sent."""

from __future__ import annotations

from xml.sax.saxutils import escape

from ninja import Schema

from drportal.drivers.opennebula_parse import masked
from drportal.drivers.opennebula_templates import TemplateError, as_file, image_template, vm_template
from drportal.inventory.definitions import home_marker
from drportal.inventory.models import CapturedDefinition, VirtualMachine

MARKER = "set-when-the-run-begins"
HIDDEN = "# Where it says (hidden), a secret of the guest is to be put in: the portal shows none.\n"


class ImageFile(Schema):
    disk_id: int
    text: str


class TargetFiles(Schema):
    """``vm_template`` is null where it can't be built yet; ``why_not`` says why."""

    image_files: list[ImageFile]
    vm_template: str | None
    why_not: str | None


def target_files(vm: VirtualMachine, kept: CapturedDefinition) -> TargetFiles:
    """With the network mapping of the VM's plan.

    The numbers of images are given at the other side, so disks are named by what the image files register: whoever
    registers them creates the VM too. (The portal itself never goes by a name.)
    """
    try:
        images = [ImageFile(disk_id=int(disk), text=_image_file(image)) for disk, image in kept.images.items()]
    except TemplateError as error:
        return TargetFiles(image_files=[], vm_template=None, why_not=str(error))
    membership = getattr(vm, "membership", None)
    plan = getattr(membership.group, "plan", None) if membership else None
    try:
        text = vm_template(
            kept.vm_xml,
            name=vm.name,
            image_ids={file.disk_id: -1 - file.disk_id for file in images},
            networks=plan.network_map if plan else {},
            marker=MARKER,
            home_marker=home_marker(vm.site.slug, vm.one_id),
        )
    except TemplateError as error:
        hint = "" if plan else " The VM is in no recovery plan, which is where networks are mapped."
        return TargetFiles(image_files=images, vm_template=None, why_not=f"{error}{hint}")
    for file in images:
        name = escape(str(kept.images[str(file.disk_id)]["name"]))
        text = text.replace(f"<IMAGE_ID>{-1 - file.disk_id}</IMAGE_ID>", f"<IMAGE>{name}</IMAGE>")
    shown = as_file(masked(text))
    if masked(text) != text and not shown.startswith("<"):  # XML begins with its first sign
        shown = HIDDEN + shown
    return TargetFiles(image_files=images, vm_template=shown, why_not=None)


def _image_file(image: dict[str, object]) -> str:
    return as_file(
        image_template(
            name=str(image["name"]),
            source=str(image["source"]),
            size_bytes=int(str(image["size_bytes"])),
            type_word=str(image["type_word"]),
            dev_prefix=str(image["dev_prefix"]),
            marker=MARKER,
        )
    )
