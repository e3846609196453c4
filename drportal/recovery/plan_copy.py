"""What a run was built from, kept in its row: the run goes on with this even when the plan, or the inventory, changes
meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from drportal.engine.facts import DiskFacts
from drportal.engine.fence import FenceRung
from drportal.engine.plans import PlanInput, PlannedVm
from drportal.engine.salvage import SalvageChoice, SalvageWay

FORMAT = 1


class UnreadablePlanCopy(ValueError):
    """The run was made by another version of the portal, or its row was damaged. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class ImageCopy:
    """A mirrored image of a VM, and what its record in OpenNebula needs. ``key`` is the image's row id as text."""

    key: str
    pool: str
    name: str
    mode: str
    global_id: str
    size_bytes: int
    disk_id: int
    cloud_name: str
    type_word: str
    dev_prefix: str

    @property
    def source(self) -> str:
        return f"{self.pool}/{self.name}"


@dataclass(frozen=True, slots=True)
class VmCopy:
    """A VM by its home row (``key``).

    ``marker`` finds the copy that the portal makes at the other site; it stays the same over runs.
    """

    key: str
    name: str
    priority: int
    home_one_id: int
    marker: str
    home_marker: str
    definition_id: int
    definition_number: int
    definition_sha256: str
    captured_at: dt.datetime
    images: tuple[ImageCopy, ...]
    disks: tuple[DiskFacts, ...]


class LockedThere(NamedTuple):
    """What a fence locked and disabled in OpenNebula for a VM, by number, and nothing has undone since."""

    vms: tuple[int, ...] = ()
    images: tuple[int, ...] = ()
    hosts: tuple[int, ...] = ()


class LeftAlone(NamedTuple):
    """A VM of the group that a run does not touch, why, and what can be done about it."""

    name: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PlanCopy:
    """``networks``: network id at home -> at the peer.

    ``copy_networks``/``image_datastore_id`` are about the peer site.
    """

    home_site: str
    source_site: str
    target_site: str
    vms: tuple[VmCopy, ...]
    networks: Mapping[str, int]
    image_datastore_id: int | None
    demoted_by_parent: frozenset[str] = frozenset()
    promote_sent_by_parent: frozenset[str] = frozenset()
    salvage_dir: str = ""
    """At the source site, for what a reprotect would discard; empty: nothing is saved."""

    discard_reason: str = ""
    """Where nothing is saved: why it may be discarded."""
    salvage: Mapping[str, SalvageChoice] = field(default_factory=dict)
    """Image key -> what was chosen for it and not for all."""
    left_alone: tuple[LeftAlone, ...] = ()
    fence_rung: int = FenceRung.DEMOTED.value
    fence_reached: int = FenceRung.NONE.value
    """Of a reprotect: the rung that is reached there once its own steps have powered off and demoted."""
    deviation: str = ""
    """Where that is below what the plan wants: why it goes on, by ``deviation_by``."""
    deviation_by: str = ""
    shut_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Image key -> addresses that are shut out of the source site's Ceph, and not let in again yet."""
    locked: Mapping[str, LockedThere] = field(default_factory=dict)
    """VM key -> what of it is locked in the source site's OpenNebula, and not unlocked yet."""

    def salvage_of(self, key: str) -> SalvageChoice | None:
        """None: nobody has said what becomes of it."""
        if key in self.salvage:
            return self.salvage[key]
        if self.salvage_dir:
            return SalvageChoice(SalvageWay.EXPORT)
        return SalvageChoice(SalvageWay.WAIVE, self.discard_reason) if self.discard_reason else None

    def salvages(self) -> dict[str, SalvageChoice]:
        found = {image.key: self.salvage_of(image.key) for image in self.images()}
        return {key: choice for key, choice in found.items() if choice is not None}

    def vm(self, key: str) -> VmCopy:
        return next(vm for vm in self.vms if vm.key == key)

    def image(self, key: str) -> ImageCopy:
        return next(image for vm in self.vms for image in vm.images if image.key == key)

    def images(self) -> tuple[ImageCopy, ...]:
        return tuple(image for vm in self.vms for image in vm.images)

    def plan_input(
        self,
        demoted: frozenset[str] = frozenset(),
        promoted: frozenset[str] = frozenset(),
        lost_sight_of: frozenset[str] = frozenset(),
        following: frozenset[str] = frozenset(),
    ) -> PlanInput:
        vms = tuple(PlannedVm(vm.key, vm.name, vm.priority, tuple(image.key for image in vm.images)) for vm in self.vms)
        return PlanInput(
            vms,
            self.source_site,
            self.target_site,
            demoted,
            promoted,
            salvage={key: choice.way for key, choice in self.salvages().items()},
            fence_rung=FenceRung(self.fence_rung),
            lost_sight_of=lost_sight_of,
            following=following,
            shut_out=frozenset(self.shut_out),
            locked=frozenset(self.locked),
        )


def to_json(copy: PlanCopy) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "home_site": copy.home_site,
        "source_site": copy.source_site,
        "target_site": copy.target_site,
        "vms": [_vm_json(vm) for vm in copy.vms],
        "networks": dict(copy.networks),
        "image_datastore_id": copy.image_datastore_id,
        "demoted_by_parent": sorted(copy.demoted_by_parent),
        "promote_sent_by_parent": sorted(copy.promote_sent_by_parent),
        "salvage_dir": copy.salvage_dir,
        "discard_reason": copy.discard_reason,
        "salvage": {key: [choice.way.value, choice.reason] for key, choice in copy.salvage.items()},
        "fence_rung": copy.fence_rung,
        "fence_reached": copy.fence_reached,
        "deviation": copy.deviation,
        "deviation_by": copy.deviation_by,
        "shut_out": {key: list(addresses) for key, addresses in copy.shut_out.items()},
        "locked": {key: [list(numbers) for numbers in there] for key, there in copy.locked.items()},
        "left_alone": [list(one) for one in copy.left_alone],
    }


def from_json(data: Mapping[str, Any]) -> PlanCopy:
    """Raises UnreadablePlanCopy."""
    if data.get("format") != FORMAT:
        raise UnreadablePlanCopy(
            f"the run's copy of its plan has format {data.get('format')!r}, and this portal reads format {FORMAT}"
        )
    try:
        return PlanCopy(
            home_site=data["home_site"],
            source_site=data["source_site"],
            target_site=data["target_site"],
            vms=tuple(_vm(vm) for vm in data["vms"]),
            networks={str(home): int(peer) for home, peer in data["networks"].items()},
            image_datastore_id=data["image_datastore_id"],
            demoted_by_parent=frozenset(data["demoted_by_parent"]),
            promote_sent_by_parent=frozenset(data["promote_sent_by_parent"]),
            salvage_dir=str(data.get("salvage_dir", "")),
            discard_reason=str(data.get("discard_reason", "")),
            salvage={key: SalvageChoice(SalvageWay(way), why) for key, (way, why) in data.get("salvage", {}).items()},
            fence_rung=FenceRung(data.get("fence_rung", FenceRung.DEMOTED)).value,
            fence_reached=FenceRung(data.get("fence_reached", FenceRung.DEMOTED)).value,
            deviation=str(data.get("deviation", "")),
            deviation_by=str(data.get("deviation_by", "")),
            shut_out={key: tuple(addresses) for key, addresses in data.get("shut_out", {}).items()},
            locked={key: LockedThere(*map(tuple, there)) for key, there in data.get("locked", {}).items()},
            left_alone=tuple(LeftAlone(*one) for one in data.get("left_alone", [])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadablePlanCopy(
            f"the run's copy of its plan cannot be read ({type(error).__name__}: {error})"
        ) from None


def _vm_json(vm: VmCopy) -> dict[str, Any]:
    fields = {name: getattr(vm, name) for name in VmCopy.__slots__ if name not in ("images", "disks", "captured_at")}
    return {
        **fields,
        "captured_at": vm.captured_at.isoformat(),
        "images": [{name: getattr(image, name) for name in ImageCopy.__slots__} for image in vm.images],
        "disks": [{name: getattr(disk, name) for name in DiskFacts.__slots__} for disk in vm.disks],
    }


def _vm(data: Mapping[str, Any]) -> VmCopy:
    values = {
        **data,
        "captured_at": dt.datetime.fromisoformat(data["captured_at"]),
        "images": tuple(ImageCopy(**image) for image in data["images"]),
        "disks": tuple(DiskFacts(**disk) for disk in data["disks"]),
    }
    return VmCopy(**values)
