"""What a disaster failover can't save, or can't bring home, said at its door and on the approver's page."""

from __future__ import annotations

from typing import Any

from drportal.engine.facts import SideFacts
from drportal.engine.gates import g_one
from drportal.engine.unfit import ONE_WAY_REMEDY, one_way
from drportal.inventory.models import Site
from drportal.recovery.plan_copy import PlanCopy


def fit_images(copy: PlanCopy) -> frozenset[str]:
    """Keys of the images whose VM can be saved: G-ONE refuses each of the others, by itself."""
    return frozenset(image.key for vm in copy.vms if g_one(vm.disks).met for image in vm.images)


def notes(copy: PlanCopy, content: dict[str, Any], source: Site, target: Site) -> tuple[str, ...]:
    """``content``: the evidence. A VM that is refused, with the remedy; and where there will be no way back: that
    forbids nothing, because what has a whole copy is better saved than lost."""
    found = []
    for vm in copy.vms:
        gate = g_one(vm.disks)
        if not gate.met:
            found.append(f"{vm.name} is refused, the others go on: {gate.sentence} {gate.remedy or ''}".strip())
    pools = {image.pool: content["images"].get(image.key, {}) for image in copy.images()}
    for pool, image in sorted(pools.items()):
        heard = image.get("last_heard_there") or {}
        sides = ((target.name, _side(image.get("peer_direction"))), (source.name, _side(heard.get("peer_direction"))))
        if wrong := one_way(sides):
            found.append(f"Pool {pool}: {wrong} Reprotect is refused until that is mended. {ONE_WAY_REMEDY}")
    return tuple(found)


def _side(direction: object) -> SideFacts:
    return SideFacts(reachable=None, peer_direction=direction if isinstance(direction, str) else None)
