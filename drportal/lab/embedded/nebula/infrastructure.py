"""What a site is made of: datastores, hosts, its cluster and its zone, and their XML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .syntax import Template, cdata, plain
from .users import PERMISSIONS_SHARED_XML, ids_xml, owner_xml

IMAGE_DS: Final = 0
SYSTEM_DS: Final = 1
FILE_DS: Final = 2
HOST_MONITORED: Final = 2
HOST_ERROR: Final = 3
HOST_DISABLED: Final = 4
HOST_OFFLINE: Final = 8

_DISK_TYPES: Final = {"FILE": 0, "CDROM": 1, "BLOCK": 2, "RBD": 3}


@dataclass(slots=True)
class Datastore:
    id: int
    name: str
    type: int
    ds_mad: str
    tm_mad: str
    template: Template
    total_mb: int
    free_mb: int
    state: int = 0
    images: list[int] = field(default_factory=list)

    @property
    def disk_type(self) -> int:
        return _DISK_TYPES.get(self.template.text("DISK_TYPE"), 0)

    def xml(self) -> str:
        images = sorted(self.images)
        return (
            f"<DATASTORE><ID>{self.id}</ID>{owner_xml(0, 0, 'oneadmin', 'oneadmin', self.name)}{PERMISSIONS_SHARED_XML}"
            f"<DS_MAD>{cdata(self.ds_mad)}</DS_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
            f"<BASE_PATH>{cdata(f'/var/lib/one//datastores/{self.id}')}</BASE_PATH><TYPE>{self.type}</TYPE>"
            f"<DISK_TYPE>{self.disk_type}</DISK_TYPE><STATE>{self.state}</STATE><CLUSTERS><ID>0</ID></CLUSTERS>"
            f"<TOTAL_MB>{self.total_mb}</TOTAL_MB><FREE_MB>{self.free_mb}</FREE_MB>"
            f"<USED_MB>{self.total_mb - self.free_mb}</USED_MB>{ids_xml('IMAGES', images)}"
            f"{self.template.xml('TEMPLATE')}</DATASTORE>"
        )


@dataclass(slots=True)
class Host:
    id: int
    name: str
    max_cpu: int  # hundredths of a core
    max_mem_kb: int
    state: int = HOST_MONITORED

    def xml(self, vms: list[int], cpu: int, mem_kb: int, now: float) -> str:
        """`vms`, `cpu` and `mem_kb`: what is placed here."""
        template = Template(
            [
                ("ARCH", "x86_64"),
                ("HOSTNAME", self.name),
                ("HYPERVISOR", "kvm"),
                ("IM_MAD", "kvm"),
                ("RESERVED_CPU", ""),
                ("RESERVED_MEM", ""),
                ("TOTALCPU", str(self.max_cpu)),
                ("TOTALMEMORY", str(self.max_mem_kb)),
                ("VM_MAD", "kvm"),
            ]
        )
        return (
            f"<HOST><ID>{self.id}</ID><NAME>{plain(self.name)}</NAME><STATE>{self.state}</STATE>"
            f"<PREV_STATE>{self.state}</PREV_STATE><IM_MAD>{cdata('kvm')}</IM_MAD><VM_MAD>{cdata('kvm')}</VM_MAD>"
            "<CLUSTER_ID>0</CLUSTER_ID><CLUSTER>default</CLUSTER>"
            f"<HOST_SHARE><MEM_USAGE>{mem_kb}</MEM_USAGE><CPU_USAGE>{cpu}</CPU_USAGE>"
            f"<TOTAL_MEM>{self.max_mem_kb}</TOTAL_MEM><TOTAL_CPU>{self.max_cpu}</TOTAL_CPU>"
            f"<MAX_MEM>{self.max_mem_kb}</MAX_MEM><MAX_CPU>{self.max_cpu}</MAX_CPU><RUNNING_VMS>{len(vms)}</RUNNING_VMS>"
            f"<VMS_THREAD>1</VMS_THREAD><DATASTORES><DISK_USAGE>{cdata('0')}</DISK_USAGE>"
            f"<FREE_DISK>{cdata('204800')}</FREE_DISK><MAX_DISK>{cdata('204800')}</MAX_DISK>"
            f"<USED_DISK>{cdata('0')}</USED_DISK></DATASTORES><PCI_DEVICES></PCI_DEVICES><NUMA_NODES></NUMA_NODES>"
            f"</HOST_SHARE>{ids_xml('VMS', vms)}{template.xml('TEMPLATE')}{self._monitoring(cpu, mem_kb, now)}</HOST>"
        )

    def _monitoring(self, cpu: int, mem_kb: int, now: float) -> str:
        return (
            f"<MONITORING><TIMESTAMP>{int(now)}</TIMESTAMP><ID>{self.id}</ID><CAPACITY>"
            f"<FREE_CPU>{cdata(str(self.max_cpu - cpu))}</FREE_CPU>"
            f"<FREE_MEMORY>{cdata(str(self.max_mem_kb - mem_kb))}</FREE_MEMORY><USED_CPU>{cdata(str(cpu))}</USED_CPU>"
            f"<USED_MEMORY>{cdata(str(mem_kb))}</USED_MEMORY></CAPACITY><SYSTEM><NETRX>{cdata('0')}</NETRX>"
            f"<NETTX>{cdata('0')}</NETTX></SYSTEM></MONITORING>"
        )


def cluster_pool_xml(hosts: list[int], datastores: list[int], networks: list[int]) -> str:
    template = Template([("RESERVED_CPU", ""), ("RESERVED_MEM", "")])
    return (
        "<CLUSTER_POOL><CLUSTER><ID>0</ID><NAME>default</NAME>"
        f"{ids_xml('HOSTS', hosts)}{ids_xml('DATASTORES', datastores)}{ids_xml('VNETS', networks)}"
        f"{template.xml('TEMPLATE')}</CLUSTER></CLUSTER_POOL>"
    )


def zone_pool_xml(endpoint: str) -> str:
    return (
        "<ZONE_POOL><ZONE><ID>0</ID><NAME>OpenNebula</NAME><STATE>0</STATE><TEMPLATE>"
        f"<ENDPOINT>{cdata(endpoint)}</ENDPOINT></TEMPLATE><SERVER_POOL></SERVER_POOL></ZONE></ZONE_POOL>"
    )


def default_datastores(letter: str, pool: str, secret: str, hosts: list[str]) -> list[Datastore]:
    """What every installation has (0, 1, 2) and the two Ceph ones (100 images, 101 system)."""
    ceph: list[tuple[str, str]] = [
        ("ALLOW_ORPHANS", "mixed"),
        ("BRIDGE_LIST", " ".join(hosts)),
        ("CEPH_HOST", f"mon-{letter}1:6789 mon-{letter}2:6789"),
        ("CEPH_SECRET", secret),
        ("CEPH_USER", "libvirt"),
        ("DISK_TYPE", "RBD"),
        ("PERSISTENT_SNAPSHOTS", "YES"),
        ("POOL_NAME", pool),
        ("RESTRICTED_DIRS", "/"),
        ("SAFE_DIRS", "/var/tmp"),
        ("TM_MAD", "ceph"),
    ]
    images = [("CLONE_TARGET", "SELF"), ("CLONE_TARGET_SSH", "SYSTEM"), ("DISK_TYPE_SSH", "FILE"), ("DRIVER", "raw")]
    images += [("DS_MAD", "ceph"), ("LN_TARGET", "NONE"), ("LN_TARGET_SSH", "SYSTEM"), ("TM_MAD_SYSTEM", "ssh")]
    system = [("DS_LIVE_MIGRATE", "NO"), ("DS_MIGRATE", "NO"), ("DS_MIGRATE_SNAP", "NO"), ("SHARED", "YES")]
    local = [*_DIRS, ("DISK_TYPE", "FILE")]
    local_images = [("CLONE_TARGET", "SYSTEM"), ("DS_MAD", "fs"), ("LN_TARGET", "SYSTEM")]
    local_system = [(name, "YES") for name, _ in system[:3]] + [("SHARED", "NO")]
    free_mb, total_mb = 10_240_000, 10_485_760
    return [
        Datastore(0, "system", SYSTEM_DS, "-", "local", _typed("SYSTEM_DS", local + local_system), 0, 0),
        Datastore(1, "default", IMAGE_DS, "fs", "local", _typed("IMAGE_DS", local + local_images), 258_020, 74_126),
        Datastore(2, "files", FILE_DS, "fs", "local", _typed("FILE_DS", _DIRS + local_images), 258_020, 74_126),
        Datastore(100, "ceph_images", IMAGE_DS, "ceph", "ceph", _typed("IMAGE_DS", ceph + images), total_mb, free_mb),
        Datastore(101, "ceph_system", SYSTEM_DS, "-", "ceph", _typed("SYSTEM_DS", ceph + system), total_mb, free_mb),
    ]


_DIRS: Final[list[tuple[str, str]]] = [
    ("ALLOW_ORPHANS", "FORMAT"),
    ("PERSISTENT_SNAPSHOTS", "YES"),
    ("RESTRICTED_DIRS", "/"),
    ("SAFE_DIRS", "/var/tmp"),
    ("TM_MAD", "local"),
]


def _typed(kind: str, pairs: list[tuple[str, str]]) -> Template:
    return Template([*pairs, ("TYPE", kind)])
