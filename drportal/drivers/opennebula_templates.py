"""The definitions that the portal creates at the other side: an image record, a VM. Built as XML, from whitelists.

Built as XML because pyone's own conversion does not escape values: a quote in a description can add an attribute. From
whitelists because a copied DISK or NIC keeps the home site's Ceph monitors, secrets, image and network numbers, and
OpenNebula prefers an IMAGE_ID to everything else in a DISK: the VM would silently get an unrelated image over there.
Facts: OpenNebula's VM template reference; measured on 7.5.80.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping

from drportal.drivers.opennebula_parse import HOME_MARKER, MARKER, MIB, document

# Top level: what belongs to the machine itself. OS, CONTEXT, DISK, NIC and GRAPHICS are treated on their own.
_SCALARS = ("CPU", "VCPU", "MEMORY", "MEMORY_MAX", "VCPU_MAX", "MEMORY_RESIZE_MODE", "MEMORY_SLOTS")
_VECTORS = ("CPU_MODEL", "TOPOLOGY", "FEATURES", "INPUT", "VIDEO", "RAW", "TPM", "NIC_DEFAULT")
# Kernel and initrd are files of the home site's datastores; PORT of the console is given out anew by each front end.
_OS_DROPPED = ("KERNEL", "KERNEL_DS", "INITRD", "INITRD_DS")
_GRAPHICS_DROPPED = ("PORT",)
_DISK_KEPT = ("TARGET", "DEV_PREFIX", "DRIVER", "CACHE", "IO", "DISCARD", "READONLY", "SERIAL")
_NIC_KEPT = ("MODEL", "VIRTIO_QUEUES")
# The front end writes addresses, disk and device of the context anew; FILES name paths of the home site.
_CONTEXT_DROPPED = re.compile(r"(ETH\d+_.*|PCI\d+_.*|DISK_ID|TARGET|FILES|FILES_DS|VMID|ONEGATE_.*)")
# Of the user's own attributes: the server's remarks, rules naming the home site's hosts and datastores, our own marks.
_USER_DROPPED = re.compile(
    rf"(ERROR|SCHED_.*|AUTOMATIC_.*|SECURITY_GROUP_RULE|TEMPLATE_ID|VMID|SUBMIT_ON_HOLD|{MARKER}|{HOME_MARKER})"
)
# Words that mean something to OpenNebula. Someone's own attribute of such a name must not become a disk or a right.
_RESERVED = frozenset((*_SCALARS, *_VECTORS)) | {
    *("NAME", "OS", "CONTEXT", "GRAPHICS", "DISK", "NIC", "NIC_ALIAS", "PCI", "NUMA_NODE", "SNAPSHOT", "BACKUP_CONFIG"),
    *("VMGROUP", "TM_MAD_SYSTEM", "AS_UID", "AS_GID", "CREATED_BY", "EMULATOR", "DEPLOY_ID", "CLONING_TEMPLATE_ID"),
}
_PLAIN_TAG = re.compile(r"[A-Za-z0-9_]+")
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


class TemplateError(ValueError):
    """The definition can't be built safely. Nothing was sent."""


def image_template(*, name: str, source: str, size_bytes: int, type_word: str, dev_prefix: str, marker: str) -> str:
    """A record for an RBD image that is there already. ``size_bytes`` as ``rbd info`` says; OpenNebula counts MiB.

    Raises TemplateError: OpenNebula itself would accept a size of 0 or less and register a disk it can't describe.
    """
    if size_bytes <= 0:
        raise TemplateError(f"The size of {source} is {size_bytes} bytes: it can't be registered.")
    if type_word not in ("OS", "DATABLOCK"):
        raise TemplateError(f"An image of type {type_word!r} can't be registered on a mirrored RBD image.")
    root = ET.Element("TEMPLATE")
    _add_all(
        root,
        {
            "NAME": _checked_object_name(name),
            "TYPE": type_word,
            "PERSISTENT": "YES",
            "SOURCE": source,
            "FORMAT": "raw",
            "SIZE": str(-(-size_bytes // MIB)),
            "DEV_PREFIX": dev_prefix,
            MARKER: marker,
        },
    )
    return _written(root)


def vm_template(
    vm_xml: str,
    *,
    name: str,
    image_ids: Mapping[int, int],
    networks: Mapping[int | str, int],
    marker: str,
    home_marker: str,
) -> str:
    """The VM of ``vm_xml`` (a whole VM document of its home site) as a template for the other side.

    ``image_ids``: disk id at home -> image id at the target, one for every disk. ``networks``: network id at home -> at
    the target, one for every NIC; addresses are given out by the target's network. Raises TemplateError for a disk or a
    network without a counterpart: leaving one out would start a machine that is not the one protected.
    """
    try:
        vm = document(vm_xml)
    except ValueError as exc:
        raise TemplateError(f"The captured definition of {name} can't be used: {exc}.") from None
    body = vm.find("TEMPLATE")
    if vm.tag != "VM" or body is None:
        raise TemplateError(f"The captured definition of {name} is not a VM document.")
    disks = sorted(body.findall("DISK"), key=lambda disk: int(disk.findtext("DISK_ID") or 0))
    nics = sorted(body.findall("NIC"), key=lambda nic: int(nic.findtext("NIC_ID") or 0))

    root = ET.Element("TEMPLATE")
    _add(root, "NAME", _checked_object_name(name))
    for tag in _SCALARS:
        if found := body.findtext(tag):
            _add(root, tag, found)
    for tag in _VECTORS:
        for vector in body.findall(tag):
            _copy_vector(root, vector)
    _add_os(root, body.find("OS"), disks, nics)
    for graphics in body.findall("GRAPHICS"):
        _copy_vector(root, graphics, without=_GRAPHICS_DROPPED)
    for disk in disks:
        _add_disk(root, disk, image_ids)
    for nic in nics:
        _add_nic(root, nic, networks)
    _add_context(root, body.find("CONTEXT"), has_network=bool(nics))
    _add_user_attributes(root, vm.find("USER_TEMPLATE"))
    # Keeps the VM off system datastores that would copy its disks away from Ceph.
    _add_all(root, {"TM_MAD_SYSTEM": "ceph", MARKER: marker, HOME_MARKER: home_marker})
    return _written(root)


def networks_of(vm_xml: str) -> tuple[tuple[int, str], ...]:
    """Number and name, at home, of the network of each NIC of a captured definition. Raises TemplateError."""
    try:
        nics = document(vm_xml).findall("TEMPLATE/NIC")
        return tuple((int(nic.findtext("NETWORK_ID") or ""), nic.findtext("NETWORK") or "") for nic in nics)
    except ValueError as exc:
        raise TemplateError(f"The networks of the captured definition can't be read: {exc}.") from None


def _add_disk(root: ET.Element, disk: ET.Element, image_ids: Mapping[int, int]) -> None:
    disk_id = int(disk.findtext("DISK_ID") or 0)
    if disk_id not in image_ids:
        raise TemplateError(f"Disk {disk_id} has no image at the other side.")
    added = ET.SubElement(root, "DISK")
    _add(added, "IMAGE_ID", str(image_ids[disk_id]))
    _add_kept(added, disk, _DISK_KEPT)


def _add_nic(root: ET.Element, nic: ET.Element, networks: Mapping[int | str, int]) -> None:
    home, home_name = nic.findtext("NETWORK_ID") or "", nic.findtext("NETWORK") or ""
    keys: list[int | str] = [int(home)] if home.isdigit() else []
    for key in [*keys, home, home_name]:
        if key in networks:
            added = ET.SubElement(root, "NIC")
            _add(added, "NETWORK_ID", str(networks[key]))
            _add_kept(added, nic, _NIC_KEPT)
            return
    raise TemplateError(f"Network {home_name or home!r} has no counterpart at the other side.")


def _add_os(root: ET.Element, os: ET.Element | None, disks: list[ET.Element], nics: list[ET.Element]) -> None:
    """OS with its UUID (licences and machine ids hang on it). BOOT counts disks and NICs, which are numbered anew."""
    if os is None:
        return
    added = _copy_vector(root, os, without=_OS_DROPPED)
    boot = added.find("BOOT")
    if boot is None or not boot.text:
        return
    new_words = {f"disk{disk.findtext('DISK_ID')}": f"disk{place}" for place, disk in enumerate(disks)}
    new_words |= {f"nic{nic.findtext('NIC_ID')}": f"nic{place}" for place, nic in enumerate(nics)}
    boot.text = ",".join(new_words[word] for word in boot.text.replace(" ", "").split(",") if word in new_words)


def _add_context(root: ET.Element, context: ET.Element | None, *, has_network: bool) -> None:
    added = ET.SubElement(root, "CONTEXT")
    for child in context if context is not None else ():
        if not _CONTEXT_DROPPED.fullmatch(child.tag) and child.tag != "NETWORK" and child.text:
            _add(added, child.tag, child.text)
    # YES makes the front end write the addresses of *its* networks; without a NIC there is nothing to write.
    _add(added, "NETWORK", "YES" if has_network else "NO")


def _add_user_attributes(root: ET.Element, user: ET.Element | None) -> None:
    for child in user if user is not None else ():
        if child.tag.upper() in _RESERVED or _USER_DROPPED.fullmatch(child.tag.upper()):
            continue
        if len(child):
            _copy_vector(root, child)
        elif child.text:
            _add(root, child.tag, child.text)


def _copy_vector(root: ET.Element, vector: ET.Element, without: Iterable[str] = ()) -> ET.Element:
    added = ET.SubElement(root, vector.tag)
    for child in vector:
        if child.tag not in without and child.text:
            _add(added, child.tag, child.text)
    return added


def _add_kept(added: ET.Element, original: ET.Element, kept: Iterable[str]) -> None:
    for tag in kept:
        if found := original.findtext(tag):
            _add(added, tag, found)


def _add_all(root: ET.Element, attributes: Mapping[str, str]) -> None:
    for tag, text in attributes.items():
        _add(root, tag, text)


def _add(parent: ET.Element, tag: str, text: str) -> None:
    if not _TAG.fullmatch(tag):
        raise TemplateError(f"{tag!r} is not the name of an attribute.")
    if _UNPRINTABLE.search(text):
        raise TemplateError(f"The value of {tag} holds characters that XML can't carry.")
    ET.SubElement(parent, tag).text = text


def _checked_object_name(name: str) -> str:
    if not name.strip() or len(name) > 128 or any(mark in name for mark in '"/\n'):
        raise TemplateError(f"{name!r} can't be a name in OpenNebula: 1 to 128 characters, no quote and no slash.")
    return name


def _written(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")


def as_file(template: str) -> str:
    """A template in OpenNebula's own notation, as people keep it in files: NAME="value", vectors in brackets.

    Unchanged (XML, which ``oneimage create`` and ``onevm create`` take as well) where that notation can't carry it: in
    a value it knows ``\\"`` and no other escape, and it gives up at ``]]>``.
    """
    root = document(template)
    leaves = [leaf for child in root for leaf in (child if len(child) else (child,))]
    if not all(_fits_notation(leaf) for leaf in (*leaves, *root)):
        return template
    return "".join(_line(child) for child in root)


def _fits_notation(element: ET.Element) -> bool:
    text = element.text or ""
    carried = "]]>" not in text and '\\"' not in text and not text.endswith("\\")
    return carried and _PLAIN_TAG.fullmatch(element.tag) is not None


def _line(element: ET.Element) -> str:
    if not len(element):
        return f"{_assigned(element)}\n"
    return f"{element.tag}=[\n  " + ",\n  ".join(_assigned(leaf) for leaf in element) + " ]\n"


def _assigned(leaf: ET.Element) -> str:
    quoted = (leaf.text or "").replace('"', '\\"')
    return f'{leaf.tag}="{quoted}"'
