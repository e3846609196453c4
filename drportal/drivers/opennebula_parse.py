"""From OpenNebula's documents to the values of ``drivers.base_cloud``. Pure; raises ValueError for what does not fit.

The schema is OpenNebula's XSD; a missing element is normal (light pools leave most of them out, versions differ), a
missing ID is not. Vector attributes (DISK, NIC) appear none, once or many times.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from sys import intern

from drportal.drivers.base_cloud import (
    CloudImage,
    Datastore,
    Document,
    Host,
    Network,
    PciDevice,
    Vm,
    VmDisk,
    VmNic,
)
from drportal.drivers.opennebula_states import (
    DATASTORE_TYPES,
    HOST_STATES,
    IMAGE_STATES,
    IMAGE_TYPES,
    vm_phase,
    word_of,
)

MIB = 2**20
MARKER = "DR_MARKER"
HOME_MARKER = "DR_HOME"

_SECRET = re.compile(r"<([A-Z0-9_]*(?:PASSW|SECRET|TOKEN|PRIVATE|START_SCRIPT)[A-Z0-9_]*)>.*?</\1>", re.S)


def masked(document: str) -> str:
    """The document for screens and records: contents of elements that hold secrets of guests are replaced."""
    return _SECRET.sub(r"<\1>(hidden)</\1>", document)


def document(text: object) -> ET.Element:
    """The parsed document. A document type declaration is refused: OpenNebula sends none, and entities live there."""
    if not isinstance(text, str) or not text.lstrip().startswith("<") or "<!DOCTYPE" in text:
        raise ValueError("the answer is not an OpenNebula document")
    try:
        return ET.fromstring(text)  # noqa: S314 - entity declarations need a DOCTYPE, refused above
    except ET.ParseError as exc:
        raise ValueError(f"the document can't be read: {exc}") from None


def _text(element: ET.Element, path: str, default: str = "") -> str:
    return (element.findtext(path) or default).strip()


def _optional(element: ET.Element, path: str) -> str | None:
    return _text(element, path) or None


def _int(element: ET.Element, path: str) -> int:
    found = element.findtext(path)
    if found is None:
        raise ValueError(f"{element.tag} has no {path}")
    return int(found)


def _int_or(element: ET.Element, path: str, default: int) -> int:
    try:
        return int(_text(element, path))
    except ValueError:
        return default


def _id_or_none(element: ET.Element, path: str) -> int | None:
    found = _int_or(element, path, -1)
    return found if found >= 0 else None


def _float_or(element: ET.Element, path: str, default: float) -> float:
    try:
        return float(_text(element, path))
    except ValueError:
        return default


def _attributes(element: ET.Element | None) -> dict[str, str]:
    """The plain attributes of a vector or a template; nested ones are left out."""
    if element is None:
        return {}
    # Thousands of documents have the same words: each is kept once.
    return {intern(child.tag): _once((child.text or "").strip()) for child in element if len(child) == 0}


def _once(word: str) -> str:
    return intern(word) if len(word) < 24 else word


def _ids(element: ET.Element, path: str) -> tuple[int, ...]:
    return tuple(int(found.text) for found in element.findall(path) if found.text)


def vms(pool: ET.Element) -> tuple[Vm, ...]:
    return tuple(map(vm, pool.findall("VM")))


def vm(element: ET.Element, text: str = "") -> Vm:
    """``text``: the element as it came, where the caller has it."""
    state, lcm_state = _int(element, "STATE"), _int(element, "LCM_STATE")
    word, phase = vm_phase(state, lcm_state)
    history = element.findall("HISTORY_RECORDS/HISTORY")
    vm_id = _int(element, "ID")
    return Vm(
        vm_id=vm_id,
        name=_text(element, "NAME"),
        state=state,
        lcm_state=lcm_state,
        phase=phase,
        state_word=word,
        locked=_locked(element),
        owner=_text(element, "UNAME"),
        group=_text(element, "GNAME"),
        cpu=_float_or(element, "TEMPLATE/CPU", 0.0),
        memory_mb=_int_or(element, "TEMPLATE/MEMORY", 0),
        disks=tuple(_disk(disk, vm_id) for disk in element.findall("TEMPLATE/DISK")),
        nics=tuple(map(_nic, element.findall("TEMPLATE/NIC"))),
        host=_optional(history[-1], "HOSTNAME") if history else None,
        tm_mad=_optional(history[-1], "TM_MAD") if history else None,
        marker=_marker(element, MARKER),
        home_marker=_marker(element, HOME_MARKER),
        error=_optional(element, "USER_TEMPLATE/ERROR") or _optional(element, "USER_TEMPLATE/SCHED_MESSAGE"),
        document=Document(text or ET.tostring(element, encoding="unicode")),
        uuid=(_optional(element, "TEMPLATE/OS/UUID") or "").lower(),
        labels=_labels(_text(element, "USER_TEMPLATE/LABELS")),
        devices=tuple(map(_device, element.findall("TEMPLATE/PCI"))),
    )


def _device(pci: ET.Element) -> PciDevice:
    kind = ":".join(filter(None, (_text(pci, part) for part in ("VENDOR", "DEVICE", "CLASS"))))
    address = _text(pci, "SHORT_ADDRESS") or _text(pci, "ADDRESS")
    return PciDevice(_int_or(pci, "PCI_ID", 0), " at ".join(filter(None, (kind, address))) or "PCI")


def _labels(text: str) -> tuple[str, ...]:
    """``web,prod/shop``: a label may lie under another."""
    return tuple(_once(word) for word in sorted({label.strip() for label in text.split(",")}) if word)


def _marker(element: ET.Element, name: str) -> str | None:
    # Attributes that oned does not know end up in USER_TEMPLATE; in TEMPLATE only where somebody moved them.
    return _optional(element, f"USER_TEMPLATE/{name}") or _optional(element, f"TEMPLATE/{name}")


def _locked(element: ET.Element) -> bool:
    return _int_or(element, "LOCK/LOCKED", 0) > 0


def _disk(disk: ET.Element, vm_id: int) -> VmDisk:
    disk_id = _int(disk, "DISK_ID")
    kind, source = _kind_and_source(disk, vm_id, disk_id)
    return VmDisk(
        disk_id=disk_id,
        kind=kind,
        source=source,
        image_id=_id_or_none(disk, "IMAGE_ID"),
        image_name=_text(disk, "IMAGE"),
        target=_optional(disk, "TARGET"),
        size_bytes=_int_or(disk, "SIZE", 0) * MIB,
    )


def _kind_and_source(disk: ET.Element, vm_id: int, disk_id: int) -> tuple[str, str | None]:
    """Which RBD image a disk runs on, by the naming of OpenNebula's Ceph drivers.

    persistent: SOURCE itself. Not persistent: a clone SOURCE-<vm>-<disk>. Volatile: POOL_NAME/one-sys-<vm>-<disk>.
    """
    type_word, disk_type = _text(disk, "TYPE").upper(), _text(disk, "DISK_TYPE").upper()
    source, on_rbd = _optional(disk, "SOURCE"), "RBD" in (type_word, disk_type)
    if "CDROM" in type_word or "CDROM" in disk_type:
        return "cdrom", source
    if _id_or_none(disk, "IMAGE_ID") is None and _optional(disk, "IMAGE") is None and source is None:
        pool = _optional(disk, "POOL_NAME")
        return "volatile", f"{pool}/one-sys-{vm_id}-{disk_id}" if on_rbd and pool else None
    if not on_rbd:
        return "other", source
    if _text(disk, "CLONE").upper() == "NO" and _text(disk, "PERSISTENT").upper() == "YES":
        return "persistent", source
    return "clone", f"{source}-{vm_id}-{disk_id}" if source else None


def _nic(nic: ET.Element) -> VmNic:
    return VmNic(
        nic_id=_int(nic, "NIC_ID"),
        network_id=_id_or_none(nic, "NETWORK_ID"),
        network=_text(nic, "NETWORK"),
        ip=_optional(nic, "IP"),
        mac=_optional(nic, "MAC"),
    )


def images(pool: ET.Element) -> tuple[CloudImage, ...]:
    return tuple(map(image, pool.findall("IMAGE")))


def image(element: ET.Element, text: str = "") -> CloudImage:
    """``text``: as for ``vm``."""
    return CloudImage(
        image_id=_int(element, "ID"),
        name=_text(element, "NAME"),
        owner=_text(element, "UNAME"),
        source=_text(element, "SOURCE"),
        state_word=word_of(_int(element, "STATE"), IMAGE_STATES),
        persistent=_int_or(element, "PERSISTENT", 0) == 1,
        type_word=word_of(_int(element, "TYPE"), IMAGE_TYPES),
        size_bytes=_int_or(element, "SIZE", 0) * MIB,
        datastore_id=_int(element, "DATASTORE_ID"),
        vm_ids=_ids(element, "VMS/ID"),
        locked=_locked(element),
        use_locked=_int_or(element, "LOCK/LOCKED", 0) == 1,
        attributes=_attributes(element.find("TEMPLATE")),
        document=Document(text or ET.tostring(element, encoding="unicode")),
    )


def networks(pool: ET.Element) -> tuple[Network, ...]:
    return tuple(map(network, pool.findall("VNET")))


def network(element: ET.Element) -> Network:
    return Network(
        network_id=_int(element, "ID"),
        name=_text(element, "NAME"),
        bridge=_optional(element, "BRIDGE"),
        ranges=tuple(found for found in map(_range, element.findall("AR_POOL/AR")) if found is not None),
        used_leases=_int_or(element, "USED_LEASES", 0),
        cluster_ids=_ids(element, "CLUSTERS/ID"),
    )


def _range(address_range: ET.Element) -> tuple[str, int] | None:
    """First address and number of addresses; None for ranges without IPv4 or IPv6 addresses (TYPE=ETHER)."""
    first = _optional(address_range, "IP") or _optional(address_range, "IP6")
    if first is None:
        return None
    return str(ipaddress.ip_address(first)), _int_or(address_range, "SIZE", 0)


def datastores(pool: ET.Element) -> tuple[Datastore, ...]:
    return tuple(
        Datastore(
            datastore_id=_int(element, "ID"),
            name=_text(element, "NAME"),
            type_word=word_of(_int(element, "TYPE"), DATASTORE_TYPES),
            tm_mad=_text(element, "TM_MAD"),
            ds_mad=_text(element, "DS_MAD"),
            pool=_optional(element, "TEMPLATE/POOL_NAME"),
            free_mb=_int_or(element, "FREE_MB", 0),
            enabled=_int_or(element, "STATE", 1) == 0,
            attributes=_attributes(element.find("TEMPLATE")),
        )
        for element in pool.findall("DATASTORE")
    )


def hosts(pool: ET.Element) -> tuple[Host, ...]:
    return tuple(
        Host(
            host_id=_int(element, "ID"),
            name=_text(element, "NAME"),
            state_word=word_of(_int(element, "STATE"), HOST_STATES),
            cpu_total=_int_or(element, "HOST_SHARE/MAX_CPU", 0),
            cpu_used=_int_or(element, "HOST_SHARE/CPU_USAGE", 0),
            memory_total_kb=_int_or(element, "HOST_SHARE/MAX_MEM", 0),
            memory_used_kb=_int_or(element, "HOST_SHARE/MEM_USAGE", 0),
        )
        for element in pool.findall("HOST")
    )
