"""What can't be moved, saved or brought home as it is, and the remedy: disks that die with their VM, clones that hang
on a parent, mirroring that goes one way only. Each door and each gate says it in these words."""

from __future__ import annotations

from collections.abc import Iterable

from drportal.engine.facts import DiskFacts, RoleFacts, SideFacts

BOTH_WAYS = "rx-tx"

DISK_REMEDIES = {
    "clone": "Power the VM off, save the disk as an image (onevm disk-saveas), make that persistent (oneimage "
    "persistent), and attach it in its place.",
    "volatile": "Keep what matters on a persistent image, and detach the volatile disk (onevm disk-detach).",
    "cdrom": "Detach it (onevm disk-detach).",
    "other": "Move it to a persistent image of a mirrored Ceph datastore, or detach it (onevm disk-detach).",
}
MIRROR_IT = "Enable mirroring of it (rbd mirror image enable)."
ONE_WAY_REMEDY = (
    "Remove the peer that only sends or only receives, and import the other site's token for both directions (rbd "
    "mirror pool peer bootstrap import --direction rx-tx)."
)


def flatten(source: str) -> str:
    return f"Flatten it where it is primary (rbd flatten {source}); this takes as long as copying it."


def disk_trouble(disk: DiskFacts) -> str | None:
    if disk.kind != "persistent":
        return f"is {disk.kind}, not a persistent image"
    if not disk.source:
        return "has no known image behind it"
    if disk.parent:
        return f"({disk.source}) is a clone of {disk.parent}"
    return None if disk.mirrored else f"({disk.source}) is not mirrored"


def disk_remedy(disk: DiskFacts) -> str:
    if disk.kind != "persistent":
        return DISK_REMEDIES.get(disk.kind, DISK_REMEDIES["other"])
    return flatten(disk.source or "") if disk.parent else MIRROR_IT


def disks_remedy(disks: Iterable[DiskFacts]) -> str:
    """Of those that are unfit, each kind of remedy once; then the rest of the way."""
    named = dict.fromkeys(disk_remedy(disk) for disk in disks if disk_trouble(disk))
    return " ".join((*named, "Then discover again."))


def hangs_on(role: RoleFacts | None, source: str) -> str | None:
    """Of the image that counts, read just now."""
    if role is None or not role.parent:
        return None
    return f"{source} is a clone that was never flattened: without {role.parent} it cannot be read."


def one_way(sides: Iterable[tuple[str, SideFacts]]) -> str | None:
    """``sides``: each with its site's name. What is not known says nothing."""
    wrong = [f"{side.peer_direction} at {name}" for name, side in sides if side.peer_direction not in (None, BOTH_WAYS)]
    if not wrong:
        return None
    return f"Mirroring goes one way only (the peer is {' and '.join(wrong)}): there would be no way back."
