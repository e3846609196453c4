"""Whether a VM can be in a protection group, and if not, why."""

from __future__ import annotations

from drportal.inventory.facts import side_from_json
from drportal.inventory.models import VirtualMachine, VmDisk

KIND_REASONS = {
    "clone": "Disk {0} is not persistent: it runs on a clone that ends with the VM.",
    "volatile": "Disk {0} is volatile: it ends with the VM.",
    "cdrom": "Disk {0} is a CD-ROM, which is not mirrored. Detach it.",
    "other": "Disk {0} is not on Ceph.",
}


def reasons_against(vm: VirtualMachine, disks: list[VmDisk]) -> list[str]:
    """Why the VM cannot be protected, a sentence each; empty when it can."""
    if vm.gone_at is not None:
        return ["The VM is gone."]
    if vm.home_of is not None:
        return [f"It is the copy of a VM of {vm.home_of.site.name}; that one is protected."]
    reasons = [] if disks else ["It has no disk."]
    for disk in disks:
        reasons += [reason] if (reason := _disk_reason(disk)) else []
    if not vm.definitions.all():
        reasons.append("Its definition has not been captured yet.")
    return reasons


def _disk_reason(disk: VmDisk) -> str | None:
    if disk.kind != "persistent":
        return KIND_REASONS.get(disk.kind, "Disk {0} is of a kind that can't be moved.").format(disk.disk_id)
    if disk.image is None:
        return f"Disk {disk.disk_id} ({disk.source}) is not in a mirrored pool of this pair."
    if not disk.image.global_id:
        return f"Disk {disk.disk_id} ({disk.source}) is not mirrored."
    sides = (side_from_json(disk.image.side_a), side_from_json(disk.image.side_b))
    parent = next((side.role.parent for side in sides if side.role and side.role.parent), None)
    if parent:
        return f"Disk {disk.disk_id} ({disk.source}) still hangs on {parent}. Flatten it."
    return None
