"""What is chosen for the writes that only a returned site has: checked when a reprotect is asked for.

For all images one way, and for some another: saved to a file, kept as a copy under a new name, or waived with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.errors import Invalid
from drportal.inventory.models import CephThrough, Site
from drportal.recovery.plan_copy import PlanCopy


@dataclass(frozen=True, slots=True)
class Wish:
    """``way``: for all images; None: saved where there is a place for it, else waived. ``images``: image key -> another
    choice for it; a waiver without a reason of its own has the one for all."""

    way: SalvageWay | None = None
    images: Mapping[str, SalvageChoice] = field(default_factory=dict)


NO_WISH = Wish()


def with_choices(copy: PlanCopy, source: Site, wish: Wish, discard_reason: str) -> PlanCopy:
    """Raises Invalid (no_discard_reason, salvage_impossible, unknown_image)."""
    if unknown := sorted(set(wish.images) - {image.key for image in copy.images()}):
        raise Invalid(f"Image {unknown[0]} does not take part in this run. Nothing was started.", code="unknown_image")
    way = wish.way or (SalvageWay.EXPORT if copy.salvage_dir else SalvageWay.WAIVE)
    chosen = {image.key: wish.images.get(image.key, SalvageChoice(way)) for image in copy.images()}
    for key, choice in chosen.items():
        if why := why_not_way(choice.way, copy, source):
            raise Invalid(f"{why} Nothing was started.", code="salvage_impossible")
        if choice.way is SalvageWay.WAIVE:
            chosen[key] = SalvageChoice(choice.way, choice.reason.strip() or discard_reason)
            if not chosen[key].reason:
                raise Invalid(_say_why(copy, source, copy.image(key).source), code="no_discard_reason")
    waives = any(choice.way is SalvageWay.WAIVE for choice in chosen.values())
    if wish == NO_WISH:
        return replace(copy, discard_reason="" if copy.salvage_dir else discard_reason)
    return replace(copy, salvage=chosen, discard_reason=discard_reason if waives else "")


def _say_why(copy: PlanCopy, source: Site, image: str) -> str:
    if copy.salvage_dir:
        return f"Say why what {source.name} wrote into {image} by itself may be discarded. Nothing was started."
    return (
        f"{source.name} has no place to save what it wrote after contact was lost. Name one on its page, choose to "
        "keep a copy under a new name, or say why it may be discarded. Nothing was started."
    )


def why_not_way(way: SalvageWay, copy: PlanCopy, source: Site) -> str:
    """Empty where it can be chosen."""
    if way is SalvageWay.EXPORT and not copy.salvage_dir:
        return f"{source.name} names no directory for salvage. Name one on its page, or choose another way."
    if way is SalvageWay.COPY and source.ceph_through == CephThrough.RBD:
        return f"{source.name} is reached through the rbd client alone, which keeps no copies. Choose another way."
    return ""


def for_the_trail(copy: PlanCopy) -> dict[str, object]:
    """One way for all; or ``images``, each with its own."""
    told = {image.source: _told(copy.salvage_of(image.key), copy) for image in copy.images()}
    ways = [way for way in told.values() if way is not None]
    if all(way == ways[0] for way in ways):
        return ways[0]
    return {"choice": "per image", "images": told}


def _told(choice: SalvageChoice | None, copy: PlanCopy) -> dict[str, object] | None:
    if choice is None:
        return None
    if choice.way is SalvageWay.EXPORT:
        return {"choice": "save", "to": copy.salvage_dir}
    if choice.way is SalvageWay.COPY:
        return {"choice": "copy"}
    return {"choice": "discard", "reason": choice.reason}
