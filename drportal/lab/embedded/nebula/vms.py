"""Virtual machines: states, history, and the two XML bodies (full, and the short one of one.vmpool.info)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .syntax import Template, Vector, cdata, plain
from .users import PERMISSIONS_XML, Lock, User, owner_xml

PENDING: Final = 1
HOLD: Final = 2
ACTIVE: Final = 3
STOPPED: Final = 4
SUSPENDED: Final = 5
DONE: Final = 6
POWEROFF: Final = 8
UNDEPLOYED: Final = 9

LCM_INIT: Final = 0
PROLOG: Final = 1
BOOT: Final = 2
RUNNING: Final = 3
SAVE_STOP: Final = 5
SAVE_SUSPEND: Final = 6
EPILOG_STOP: Final = 10
EPILOG: Final = 11
SHUTDOWN: Final = 12
UNKNOWN: Final = 16
SHUTDOWN_POWEROFF: Final = 18
BOOT_UNKNOWN: Final = 19
BOOT_POWEROFF: Final = 20
BOOT_SUSPENDED: Final = 21
CLEANUP_DELETE: Final = 23
SHUTDOWN_UNDEPLOY: Final = 29
EPILOG_UNDEPLOY: Final = 30
BOOT_FAILURE: Final = 36
PROLOG_FAILURE: Final = 39
EPILOG_FAILURE: Final = 40

FAILURES: Final = frozenset({BOOT_FAILURE, PROLOG_FAILURE, EPILOG_FAILURE})

_STATE_NAMES: Final = {
    0: "INIT",
    PENDING: "PENDING",
    HOLD: "HOLD",
    STOPPED: "STOPPED",
    SUSPENDED: "SUSPENDED",
    DONE: "DONE",
    POWEROFF: "POWEROFF",
    UNDEPLOYED: "UNDEPLOYED",
}
_LCM_NAMES: Final = {
    LCM_INIT: "LCM_INIT",
    PROLOG: "PROLOG",
    BOOT: "BOOT",
    RUNNING: "RUNNING",
    SAVE_STOP: "SAVE_STOP",
    SAVE_SUSPEND: "SAVE_SUSPEND",
    EPILOG_STOP: "EPILOG_STOP",
    EPILOG: "EPILOG",
    SHUTDOWN: "SHUTDOWN",
    UNKNOWN: "UNKNOWN",
    SHUTDOWN_POWEROFF: "SHUTDOWN_POWEROFF",
    BOOT_UNKNOWN: "BOOT_UNKNOWN",
    BOOT_POWEROFF: "BOOT_POWEROFF",
    BOOT_SUSPENDED: "BOOT_SUSPENDED",
    CLEANUP_DELETE: "CLEANUP_DELETE",
    SHUTDOWN_UNDEPLOY: "SHUTDOWN_UNDEPLOY",
    EPILOG_UNDEPLOY: "EPILOG_UNDEPLOY",
    BOOT_FAILURE: "BOOT_FAILURE",
    PROLOG_FAILURE: "PROLOG_FAILURE",
    EPILOG_FAILURE: "EPILOG_FAILURE",
}

# History ACTION codes. OpenNebula: VMActions.h; 9, 11, 19, 20 and 27 were seen in answers.
ACTION_CODES: Final = {
    "undeploy": 5,
    "undeploy-hard": 6,
    "hold": 7,
    "release": 8,
    "stop": 9,
    "suspend": 10,
    "resume": 11,
    "poweroff": 19,
    "poweroff-hard": 20,
    "terminate": 27,
    "terminate-hard": 28,
}

_LIGHT_DISK: Final = [
    "DISK_ID",
    "DATASTORE",
    "DATASTORE_ID",
    "IMAGE",
    "IMAGE_ID",
    "SIZE",
    "TYPE",
    "CLONE",
    "CLONE_TARGET",
    "LN_TARGET",
    "DISK_SNAPSHOT_TOTAL_SIZE",
]
_LIGHT_NIC: Final = ["IP", "MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS"]
_LIGHT_USER: Final = ("ERROR", "LABELS", "SCHED_DS_REQUIREMENTS", "SCHED_MESSAGE", "SCHED_REQUIREMENTS")


@dataclass(slots=True)
class History:
    """One stay of a VM at a host; the times are POSIX seconds, 0 for not yet."""

    vm_id: int
    seq: int
    host: str
    host_id: int
    ds_id: int
    stime: int
    tm_mad: str = "ceph"
    etime: int = 0
    pstime: int = 0
    petime: int = 0
    rstime: int = 0
    retime: int = 0
    estime: int = 0
    eetime: int = 0
    action: int = 0
    uid: int = -1
    gid: int = -1
    request_id: int = -1

    def set_action(self, action: int, uid: int, gid: int, request_id: int) -> None:
        self.action, self.uid, self.gid, self.request_id = action, uid, gid, request_id

    def clear_action(self) -> None:
        self.set_action(0, -1, -1, -1)

    def xml(self) -> str:
        return (
            f"<HISTORY><OID>{self.vm_id}</OID><SEQ>{self.seq}</SEQ><HOSTNAME>{plain(self.host)}</HOSTNAME>"
            f"<HID>{self.host_id}</HID><CID>0</CID><STIME>{self.stime}</STIME><ETIME>{self.etime}</ETIME>"
            f"<VM_MAD>{cdata('kvm')}</VM_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD><DS_ID>{self.ds_id}</DS_ID>"
            f"<PLAN_ID>-1</PLAN_ID><ACTION_ID>0</ACTION_ID><PSTIME>{self.pstime}</PSTIME><PETIME>{self.petime}</PETIME>"
            f"<RSTIME>{self.rstime}</RSTIME><RETIME>{self.retime}</RETIME><ESTIME>{self.estime}</ESTIME>"
            f"<EETIME>{self.eetime}</EETIME><ACTION>{self.action}</ACTION><UID>{self.uid}</UID><GID>{self.gid}</GID>"
            f"<REQUEST_ID>{self.request_id}</REQUEST_ID></HISTORY>"
        )

    def light_xml(self) -> str:
        return (
            f"<HISTORY><OID>{self.vm_id}</OID><SEQ>{self.seq}</SEQ><HOSTNAME>{cdata(self.host)}</HOSTNAME>"
            f"<HID>{self.host_id}</HID><CID>0</CID><DS_ID>{self.ds_id}</DS_ID><VM_MAD>{cdata('kvm')}</VM_MAD>"
            f"<TM_MAD>{cdata(self.tm_mad)}</TM_MAD><ACTION>{cdata(str(self.action))}</ACTION></HISTORY>"
        )


@dataclass(slots=True)
class VirtualMachine:
    id: int
    user: User
    name: str
    template: Template
    user_template: Template
    stime: int
    state: int = PENDING
    lcm_state: int = LCM_INIT
    etime: int = 0
    deploy_id: str = ""
    last_poll: int = 0
    history: list[History] = field(default_factory=list)
    lock: Lock | None = None
    _full: str = ""
    _light: str = ""
    _changes: set[int] = field(default_factory=set)

    @property
    def state_name(self) -> str:
        if self.state == ACTIVE:
            return _LCM_NAMES.get(self.lcm_state, str(self.lcm_state))
        return _STATE_NAMES.get(self.state, str(self.state))

    @property
    def client(self) -> str:
        """The name under which the hypervisor opens the disks."""
        return f"vm-{self.id}"

    @property
    def cpu(self) -> int:
        """Hundredths of a core."""
        return round(float(self.template.text("CPU", "0")) * 100)

    @property
    def memory_kb(self) -> int:
        return int(self.template.text("MEMORY", "0")) * 1024

    @property
    def host_id(self) -> int | None:
        """Where its capacity is taken; PENDING, HOLD, STOPPED, UNDEPLOYED and DONE take none."""
        if self.history and self.state in (ACTIVE, SUSPENDED, POWEROFF):
            return self.history[-1].host_id
        return None

    def changed(self) -> None:
        """Call after any change: the XML bodies are kept, because whole pools are asked for all the time."""
        self._full = self._light = ""
        self._changes.add(self.id)

    def note_changes_in(self, changes: set[int]) -> None:
        """From now on the VM's number is put in there at each change."""
        self._changes = changes
        self._changes.add(self.id)

    def enter(self, state: int, lcm_state: int = LCM_INIT) -> None:
        self.state, self.lcm_state = state, lcm_state
        self.changed()

    def rbd_images(self) -> list[tuple[str, Vector]]:
        """(RBD image, DISK) of every disk. Persistent: SOURCE; clone: SOURCE-VM-DISK; volatile: one-sys-VM-DISK."""
        found: list[tuple[str, Vector]] = []
        for disk in self.template.vectors("DISK"):
            if not disk.get("IMAGE_ID"):
                found.append((f"{disk.get('POOL_NAME', 'one')}/one-sys-{self.id}-{disk['DISK_ID']}", disk))
            elif disk.get("CLONE") == "YES":
                found.append((f"{disk['SOURCE']}-{self.id}-{disk['DISK_ID']}", disk))
            else:
                found.append((disk["SOURCE"], disk))
        return found

    def xml(self) -> str:
        if not self._full:
            self._full = self._full_xml()
        return self._full

    def light_xml(self) -> str:
        if not self._light:
            self._light = self._light_xml()
        return self._light

    def _head(self, permissions: str, previous: str) -> str:
        user = self.user
        return (
            f"<VM><ID>{self.id}</ID>{owner_xml(user.id, user.gid, user.name, user.group, self.name)}{permissions}"
            f"<LAST_POLL>{self.last_poll}</LAST_POLL><STATE>{self.state}</STATE><LCM_STATE>{self.lcm_state}</LCM_STATE>"
            f"{previous}<RESCHED>0</RESCHED><STIME>{self.stime}</STIME><ETIME>{self.etime}</ETIME>"
            f"<DEPLOY_ID>{plain(self.deploy_id)}</DEPLOY_ID>{self.lock.xml() if self.lock else ''}"
        )

    def _full_xml(self) -> str:
        previous = f"<PREV_STATE>{self.state}</PREV_STATE><PREV_LCM_STATE>{self.lcm_state}</PREV_LCM_STATE>"
        monitoring = ""
        if self.last_poll:
            values = {"CPU": "0", "ID": str(self.id), "MEMORY": str(self.memory_kb), "TIMESTAMP": str(self.last_poll)}
            monitoring = "".join(f"<{name}>{cdata(value)}</{name}>" for name, value in values.items())
        history = "".join(record.xml() for record in self.history)
        return (
            f"{self._head(PERMISSIONS_XML, previous)}<MONITORING>{monitoring}</MONITORING>"
            f"<SCHED_ACTIONS></SCHED_ACTIONS>{self.template.xml('TEMPLATE')}{self.user_template.xml('USER_TEMPLATE')}"
            + (f"<HISTORY_RECORDS>{history}</HISTORY_RECORDS>" if history else "<HISTORY_RECORDS/>")
            + "<BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS></VM>"
        )

    def _light_xml(self) -> str:
        template = self.template
        parts = [f"<{name}>{template.text(name)}</{name}>" for name in ("CPU", "MEMORY", "VCPU")]
        parts += [_vector_xml("DISK", disk, _LIGHT_DISK) for disk in template.vectors("DISK")]
        parts += [_vector_xml("NIC", nic, _LIGHT_NIC) for nic in template.vectors("NIC")]
        parts += [_vector_xml("GRAPHICS", item, sorted(item)) for item in template.vectors("GRAPHICS")]
        user = Template((name, value) for name, value in self.user_template.items() if name in _LIGHT_USER)
        history = self.history[-1].light_xml() if self.history else ""
        return f"{self._head('', '')}<TEMPLATE>{''.join(parts)}</TEMPLATE><MONITORING/>{user.xml('USER_TEMPLATE')}" + (
            f"<HISTORY_RECORDS>{history}</HISTORY_RECORDS></VM>" if history else "<HISTORY_RECORDS/></VM>"
        )


def _vector_xml(tag: str, vector: Vector, names: list[str]) -> str:
    return f"<{tag}>" + "".join(f"<{name}>{cdata(vector.get(name, ''))}</{name}>" for name in names) + f"</{tag}>"
