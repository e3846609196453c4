"""What the rest of the portal may ask of a site's OpenNebula, and the values it gets back (Ceph: ``base.py``)."""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass
from typing import Protocol

from drportal.drivers.base import Answer


class Document:
    """A document, kept small: thousands of them are remembered, each much like the first of its kind."""

    __slots__ = ("_like", "_packed")

    def __init__(self, text: str) -> None:
        data = text.encode()
        self._like = _FIRST.setdefault(text[:_KIND], data[-_MOST_LIKE:])
        packing = zlib.compressobj(1, zdict=self._like)
        self._packed = packing.compress(data) + packing.flush()

    @property
    def text(self) -> str:
        return zlib.decompressobj(zdict=self._like).decompress(self._packed).decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and self._packed == other._packed

    def __hash__(self) -> int:
        return hash(self._packed)


_KIND, _MOST_LIKE = 4, 1 << 15  # characters that tell the kind ("<VM>"); bytes that zlib looks back
_FIRST: dict[str, bytes] = {}


class VmPhase(enum.StrEnum):
    """What a VM's (STATE, LCM_STATE) pair means for a recovery.

    ``MOVING`` is any transient pair; ``STUCK`` any *_FAILURE or UNKNOWN.
    """

    RUNNING = "running"
    OFF = "off"
    UNDEPLOYED = "undeployed"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    HOLD = "hold"
    PENDING = "pending"
    MOVING = "moving"
    STUCK = "stuck"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class VmDisk:
    """One disk of a VM.

    ``source`` is ``pool/image`` for a persistent RBD disk, else what the disk runs on, or None; ``kind`` says which:
    ``persistent``, ``clone`` (non-persistent, runs on a copy), ``volatile``, ``cdrom`` or ``other`` (not on Ceph).
    """

    disk_id: int
    kind: str
    source: str | None
    image_id: int | None
    image_name: str
    target: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VmNic:
    nic_id: int
    network_id: int | None
    network: str
    ip: str | None
    mac: str | None


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A device of its host that a VM has for itself; ``what``: kind and address, for people."""

    pci_id: int
    what: str


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM as OpenNebula tells it.

    ``document``: all of it; ``marker``: our DR_MARKER; ``error``: the server's word; ``uuid``: OS/UUID, if set;
    ``labels``: those that everybody sees.
    """

    vm_id: int
    name: str
    state: int
    lcm_state: int
    phase: VmPhase
    state_word: str
    locked: bool
    owner: str
    group: str
    cpu: float
    memory_mb: int
    disks: tuple[VmDisk, ...]
    nics: tuple[VmNic, ...]
    host: str | None
    tm_mad: str | None
    marker: str | None
    home_marker: str | None
    error: str | None
    document: Document
    uuid: str = ""
    labels: tuple[str, ...] = ()
    devices: tuple[PciDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class CloudImage:
    """An image record. ``state_word``: READY, USED_PERS, ERROR …; ``marker`` our DR_MARKER attribute.

    ``use_locked``: ``locked`` at the level at which no VM can take it (``oneimage lock`` without more).
    """

    image_id: int
    name: str
    owner: str
    source: str
    state_word: str
    persistent: bool
    type_word: str
    size_bytes: int
    datastore_id: int
    vm_ids: tuple[int, ...]
    locked: bool
    use_locked: bool
    attributes: dict[str, str]
    document: Document


@dataclass(frozen=True, slots=True)
class Network:
    network_id: int
    name: str
    bridge: str | None
    ranges: tuple[tuple[str, int], ...]
    used_leases: int
    cluster_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Datastore:
    datastore_id: int
    name: str
    type_word: str
    tm_mad: str
    ds_mad: str
    pool: str | None
    free_mb: int
    enabled: bool
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Host:
    host_id: int
    name: str
    state_word: str
    cpu_total: int
    cpu_used: int
    memory_total_kb: int
    memory_used_kb: int


@dataclass(frozen=True, slots=True)
class CloudReading:
    """Everything the inventory wants of one front end, read with one call per pool."""

    version: str
    vms: tuple[Vm, ...]
    images: tuple[CloudImage, ...]
    networks: tuple[Network, ...]
    datastores: tuple[Datastore, ...]
    hosts: tuple[Host, ...]
    answers: tuple[Answer, ...]


class CloudFence(Protocol):
    """What keeps everybody, administrators included, from starting a VM by mistake. ``kind``: ``vm`` or ``image``."""

    async def lock(self, kind: str, number: int) -> Answer: ...
    async def unlock(self, kind: str, number: int) -> Answer: ...
    async def host_on(self, host_id: int, on: bool) -> Answer: ...


class CloudSite(CloudFence, Protocol):
    """OpenNebula at one site.

    Reads raise Unreachable, Refused; acts also OutcomeUnknown (the answer was lost: look for the marker).
    """

    async def version(self) -> tuple[str, Answer]: ...
    async def everything(self) -> CloudReading: ...
    async def vm(self, vm_id: int) -> tuple[Vm, Answer]: ...
    async def find_vms(self, marker: str) -> tuple[tuple[Vm, ...], Answer]: ...
    async def find_images(self, source: str) -> tuple[tuple[CloudImage, ...], Answer]: ...
    async def vm_action(self, vm_id: int, action: str) -> Answer: ...
    async def vm_allocate(self, template_xml: str) -> tuple[int, Answer]: ...
    async def image_allocate(self, template_xml: str, datastore_id: int) -> tuple[int, Answer]: ...
    async def image_enable(self, image_id: int) -> Answer: ...
