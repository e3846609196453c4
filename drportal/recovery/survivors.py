"""Which copies of a group count after a disaster, whatever became of the run, and which of its VMs were left behind.

By the portal's own records first (``made_primary``), by what was observed where they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.inventory.facts import side_from_json
from drportal.inventory.models import MirroredImage, Site
from drportal.recovery.made_primary import MadePrimary, forced_by, handed_over_at, made_primary
from drportal.recovery.models import GroupMember, ProtectionGroup, Run
from drportal.recovery.plan_copy import LeftAlone

MOVES = (RunKind.PLANNED_FAILOVER, RunKind.FAILBACK, RunKind.WAY_BACK)
CUT_SHORT = (RunState.ABORTED, RunState.FAILED, RunState.SUCCEEDED_WITH_EXCEPTIONS)


@dataclass(frozen=True, slots=True)
class Share:
    """Of a group's VMs those whose copies at one site count, and the others, each with the reason and the way on."""

    vm_ids: frozenset[int]
    left_alone: tuple[LeftAlone, ...]


def peer_of(group: ProtectionGroup, site: Site) -> Site:
    return group.pair.b if site.pk == group.pair.a_id else group.pair.a


def survivor(group: ProtectionGroup) -> Site:
    """Where the forced copies are; else where the group is active. A run that was cut short may not have said so."""
    images = MirroredImage.objects.filter(disks__vm__membership__group=group).distinct()
    forced = {made.site_id for made in made_primary(_keys(images)).values() if made.forced}
    if len(forced) == 1 and group.active_site_id not in forced:
        return peer_of(group, group.active_site)
    return group.active_site


def cut_short(group: ProtectionGroup) -> Run | None:
    """The disaster failover that moved the group last and may have left some of it behind: it can be asked for again,
    the same way round."""
    last = _last_move(group)
    if last is None or last.kind != RunKind.DISASTER_FAILOVER or last.state not in CUT_SHORT:
        return None
    return last if forced_by(last.pk) else None


def torn(group: ProtectionGroup) -> bool:
    """Whether a move that was to take the group away was cut short: VMs may be off and copies demoted where it still
    counts as being. Then what is lost next may be either site."""
    last = _last_move(group)
    cut = last is not None and last.kind in MOVES and last.state in CUT_SHORT
    if cut and last is not None and last.source_site_id == group.active_site_id:
        return True
    images = MirroredImage.objects.filter(disks__vm__membership__group=group).distinct()
    return bool(handed_over_at(group.active_site, _keys(images)))


def _last_move(group: ProtectionGroup) -> Run | None:
    moves = Run.objects.filter(group=group, started_at__isnull=False).exclude(kind=RunKind.FENCE.value)
    return moves.order_by("-pk").first()


def share_of(group: ProtectionGroup, site: Site) -> Share:
    """The VMs of which every copy at ``site`` counts, or may; the others are left alone."""
    other = peer_of(group, site)
    members = GroupMember.objects.filter(group=group).select_related("vm").prefetch_related("vm__disks__image__pair")
    images = {member.vm_id: [disk.image for disk in member.vm.disks.all() if disk.image] for member in members}
    made = made_primary(_keys(image for some in images.values() for image in some))
    taking_part, left = set(), []
    for member in members:
        counts = {image: _counts(image, made.get(str(image.pk)), site) for image in images[member.vm_id]}
        if False not in counts.values():
            taking_part.add(member.vm_id)
        else:
            left.append(_left(member.vm.name, counts, site, other))
    return Share(frozenset(taking_part), tuple(left))


def _keys(images: Iterable[MirroredImage]) -> list[str]:
    return [str(image.pk) for image in images]


def _counts(image: MirroredImage, made: MadePrimary | None, site: Site) -> bool | None:
    """Whether the copy at the site is the one that counts; None: cannot tell, the readiness check will."""
    if made is not None and made.sure and (made.forced or made.site_id == site.pk):
        return made.site_id == site.pk
    role = side_from_json(image.side_a if image.pair.a_id == site.pk else image.side_b).role
    return role.primary if role is not None else None


def _left(name: str, counts: dict[MirroredImage, bool | None], site: Site, other: Site) -> LeftAlone:
    there = [f"{image}" for image, here in counts.items() if here is False]
    here = [f"{image}" for image, is_here in counts.items() if is_here is not False]
    if not here:
        return LeftAlone(
            name,
            f"It is not primary at {site.name}: it was not moved there, and what is at {other.name} is what counts.",
            f"Nothing of it is touched: it can run at {other.name} as it is. The plan moves it again once the others "
            f"are there too.",
        )
    by_hand = "; ".join(f"rbd mirror image demote {image}, then rbd mirror image resync {image}" for image in here)
    return LeftAlone(
        name,
        f"It is split: {', '.join(here)} counts at {site.name}, {', '.join(there)} at {other.name}.",
        f"Nothing of it is touched. It never ran at {site.name} with all its disks, so {other.name} should have it: at "
        f"{site.name}, once no VM there uses it: {by_hand}.",
    )
