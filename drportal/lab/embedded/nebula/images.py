"""Image records: registration, use by VMs, and their XML. What happens to the RBD image itself is in image_calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .errors import INTERNAL, NebulaError
from .syntax import Template, cdata
from .users import PERMISSIONS_XML, Lock, User, ids_xml, owner_xml

INIT: Final = 0
READY: Final = 1
USED: Final = 2
DISABLED: Final = 3
LOCKED: Final = 4
ERROR: Final = 5
DELETE: Final = 7
USED_PERS: Final = 8

_STATE_NAMES: Final = {
    INIT: "INIT",
    READY: "READY",
    USED: "USED",
    DISABLED: "DISABLED",
    LOCKED: "LOCKED",
    ERROR: "ERROR",
    DELETE: "DELETE",
    USED_PERS: "USED",  # the server's texts make no difference between the two
}
TYPES: Final = {"OS": 0, "CDROM": 1, "DATABLOCK": 2, "KERNEL": 3, "RAMDISK": 4, "CONTEXT": 5}


@dataclass(slots=True)
class Image:
    id: int
    user: User
    name: str
    type: int
    disk_type: int
    persistent: bool
    regtime: int
    source: str
    path: str
    format: str
    size_mb: int
    datastore_id: int
    datastore: str
    template: Template
    state: int = READY
    prev_state: int = READY
    modtime: int = 0
    vms: set[int] = field(default_factory=set)
    lock: Lock | None = None

    @property
    def state_name(self) -> str:
        return _STATE_NAMES.get(self.state, str(self.state))

    def set_state(self, state: int, now: float) -> None:
        """Any change of state drops the lock, as in the server: a registered image taken by a VM is unlocked after."""
        if state != self.state:
            self.lock = None
        self.state = self.prev_state = state
        self.modtime = int(now)

    def acquire(self, vm_id: int, now: float) -> None:
        """An allocated VM, not only a running one, holds its images. Raises NebulaError without the disk prefix."""
        if self.persistent and self.state == USED_PERS:
            raise NebulaError(INTERNAL, f"Cannot acquire image {self.id}, it is persistent and already in use")
        if self.state not in (READY, USED) or (self.persistent and self.state == USED):
            raise NebulaError(INTERNAL, f"Cannot acquire image {self.id}, it is in state: {self.state_name}")
        self.vms.add(vm_id)
        self.set_state(USED_PERS if self.persistent else USED, now)

    def release(self, vm_id: int, now: float, *, failed: bool = False) -> None:
        """`failed`: the VM ended out of a failure, so nobody knows what is in a persistent image."""
        self.vms.discard(vm_id)
        if self.persistent and failed:
            self.set_state(ERROR, now)
        elif not self.vms and self.state in (USED, USED_PERS):
            self.set_state(READY, now)

    def refuse_in_state(self, prefix: str) -> NebulaError:
        return NebulaError(INTERNAL, f"{prefix}: Image cannot be in state {self.state_name}.")

    def xml(self) -> str:
        user = self.user
        return (
            f"<IMAGE><ID>{self.id}</ID>{owner_xml(user.id, user.gid, user.name, user.group, self.name)}"
            f"{self.lock.xml() if self.lock else ''}{PERMISSIONS_XML}<TYPE>{self.type}</TYPE>"
            f"<DISK_TYPE>{self.disk_type}</DISK_TYPE><PERSISTENT>{int(self.persistent)}</PERSISTENT>"
            f"<REGTIME>{self.regtime}</REGTIME><MODTIME>{self.modtime}</MODTIME><SOURCE>{cdata(self.source)}</SOURCE>"
            f"<PATH>{cdata(self.path)}</PATH><FORMAT>{cdata(self.format)}</FORMAT><FS>{cdata('')}</FS>"
            f"<SIZE>{self.size_mb}</SIZE><STATE>{self.state}</STATE><PREV_STATE>{self.prev_state}</PREV_STATE>"
            f"<RUNNING_VMS>{len(self.vms)}</RUNNING_VMS><CLONING_OPS>0</CLONING_OPS><CLONING_ID>-1</CLONING_ID>"
            f"<TARGET_SNAPSHOT>-1</TARGET_SNAPSHOT><DATASTORE_ID>{self.datastore_id}</DATASTORE_ID>"
            f"<DATASTORE>{self.datastore}</DATASTORE>{ids_xml('VMS', sorted(self.vms))}<CLONES></CLONES>"
            f"<APP_CLONES></APP_CLONES>{self.template.xml('TEMPLATE')}<SNAPSHOTS></SNAPSHOTS>"
            "<BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS></IMAGE>"
        )


def make_owned(image: Image, user_id: int, gid: int, user_name: str, group_name: str) -> None:
    image.user = User(user_id, gid, user_name, group_name, "")
