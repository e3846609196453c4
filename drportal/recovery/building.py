"""From a plan's rows to what a run is built from: its direction, its copy of the plan, its phrase."""

from __future__ import annotations

from django.db.models import Q

from drportal.engine.facts import DiskFacts
from drportal.engine.plans import RunKind
from drportal.engine.states import ACTIVE_RUN
from drportal.engine.verdicts import VerdictCode
from drportal.errors import Conflict
from drportal.inventory.definitions import home_marker
from drportal.inventory.facts import side_from_json
from drportal.inventory.images import contested
from drportal.inventory.models import CephThrough, MirroredImage, Site, VirtualMachine, VmDisk
from drportal.recovery import quarantine
from drportal.recovery.fences import locked_at, shut_out_at
from drportal.recovery.giving_way import gives_way, who_holds
from drportal.recovery.glass import locked_by, locked_words
from drportal.recovery.models import GroupMember, ProtectionGroup, RecoveryPlan, Run
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, VmCopy
from drportal.recovery.survivors import Share, peer_of, share_of, survivor

STARTABLE = (RunKind.PLANNED_FAILOVER, RunKind.FAILBACK, RunKind.FENCE, RunKind.REPROTECT)
AT_RETURNED = (RunKind.FENCE, RunKind.REPROTECT)  # they act at a site that came back, and at no other
# What a copy looks like at a site that came back after a forced promotion.
CAME_BACK = (VerdictCode.TWO_PRIMARIES.value, VerdictCode.DIVERGED.value)


def peer_site(group: ProtectionGroup) -> Site:
    return group.pair.b if group.home_site_id == group.pair.a_id else group.pair.a


def why_not(group: ProtectionGroup, kind: RunKind) -> str:
    """Why a run of this kind cannot be asked for now; empty when it can."""
    active = active_run(group)
    if active is not None and not gives_way(active, kind):
        return who_holds(active)
    locking = locked_by(group)
    if locking is not None and kind is not RunKind.FENCE:
        return locked_words(locking)
    at_home = group.active_site_id == group.home_site_id
    if kind is RunKind.PLANNED_FAILOVER and not at_home:
        return f"The group runs at {group.active_site.name} already; a failback brings it home."
    if kind is RunKind.FAILBACK and at_home:
        return f"The group is at home ({group.home_site.name})."
    if kind in AT_RETURNED:
        return _why_not_at_returned(group, kind)
    share = share_of(group, group.active_site) if kind is RunKind.FAILBACK else None
    target = peer_of(group, group.active_site)
    if suspect := quarantine.why_not(group, kind, target, share.vm_ids if share else None):
        return suspect
    if came_back(group, share):
        back = peer_of(group, survivor(group))
        return f"{back.name} came back with copies of its own; they are made anew first (Reprotect)."
    if kind is RunKind.WAY_BACK:
        return "A way back is offered on the page of a cancelled run."
    return ""


def active_run(group: ProtectionGroup) -> Run | None:
    """The one that holds the group; not one that gives way."""
    states = [state.value for state in ACTIVE_RUN]
    return Run.objects.filter(group=group, state__in=states, gives_way_to=None).first()


def came_back(group: ProtectionGroup, share: Share | None = None) -> bool:
    """``share``: count only the images of its VMs."""
    back = Q(verdict__in=CAME_BACK) | contested()
    rows = MirroredImage.objects.filter(back, disks__vm__membership__group=group, gone_at=None)
    return rows.exists() and (share is None or rows.filter(disks__vm__in=share.vm_ids).exists())


def runs_at_home(group: ProtectionGroup) -> bool:
    """Whether a VM of a group that is away was last seen to run at home all the same. Nothing goes home then."""
    if group.active_site_id == group.home_site_id or not group.home_site.opennebula_reachable:
        return False
    at_home = VirtualMachine.objects.filter(membership__group=group, site=group.home_site, gone_at=None)
    return at_home.filter(phase="running").exists()


def _why_not_at_returned(group: ProtectionGroup, kind: RunKind) -> str:
    suspect = quarantine.returned(group) is not None
    if kind is RunKind.FENCE and runs_at_home(group):
        return ""
    left = kind is RunKind.REPROTECT and bool(locked_at(peer_of(group, survivor(group)), group))
    if not suspect and not left and not came_back(group):
        waiting = next(iter(quarantine.open_quarantines(group)), None)
        if waiting is not None:
            return f"{waiting.site.name} has not been heard of again yet."
        needs = "has to be fenced" if kind is RunKind.FENCE else "has to be made anew"
        return f"No copy of the group {needs}."
    share = share_of(group, survivor(group))
    if ((suspect or left) and share.vm_ids) or came_back(group, share):
        return ""
    return " ".join(f"{one.name}: {one.sentence} {one.remedy}" for one in share.left_alone)


def direction(group: ProtectionGroup, kind: RunKind) -> tuple[Site, Site]:
    """(source, target) of a run. Raises Conflict where the kind makes no sense from where the group is."""
    if kind not in STARTABLE:
        raise Conflict(
            "A way back is asked for on the page of the run that it undoes, a disaster failover at its own door. "
            "Nothing was started."
        )
    if kind in AT_RETURNED:
        target = survivor(group)
        return peer_of(group, target), target
    peer = peer_site(group)
    source, target = (group.home_site, peer) if kind is RunKind.PLANNED_FAILOVER else (peer, group.home_site)
    if group.active_site_id != source.pk:
        raise Conflict(f"{why_not(group, kind)} Nothing was started.", code="wrong_direction")
    return source, target


def phrase(kind: RunKind, group: ProtectionGroup, target: Site) -> str:
    """What a person types to show that they know what they start."""
    if kind is RunKind.DISASTER_FAILOVER:
        return f"force {group.name} to {target.slug}"
    if kind is RunKind.FENCE:
        return f"fence {group.name} at {peer_of(group, target).slug}"
    if kind is RunKind.REPROTECT:
        return f"discard {group.name} at {peer_of(group, target).slug}"
    verb = "take" if kind is RunKind.WAY_BACK else "move"
    back = " back" if kind is RunKind.WAY_BACK else ""
    return f"{verb} {group.name}{back} to {target.slug}"


def copy_of_plan(plan: RecoveryPlan, source: Site, target: Site, kind: RunKind | None = None) -> PlanCopy:
    """Of a way home (``kind``) only with those that are away: a disaster may have left some behind.

    Raises Conflict naming the VM that cannot be moved and why.
    """
    share = _share(plan.group, source, target, kind)
    members = GroupMember.objects.filter(group=plan.group).select_related("vm__site").order_by("priority", "vm__name")
    return PlanCopy(
        home_site=plan.group.home_site.slug,
        source_site=source.slug,
        target_site=target.slug,
        vms=tuple(_vm(member) for member in members if share is None or member.vm_id in share.vm_ids),
        left_alone=share.left_alone if share is not None else (),
        networks={str(home): int(peer) for home, peer in plan.network_map.items()},
        image_datastore_id=plan.image_datastore_id,
        fence_rung=plan.fence_rung,
        shut_out=shut_out_at(source, plan.group) if kind is RunKind.REPROTECT else {},
        locked=locked_at(source, plan.group) if kind is RunKind.REPROTECT else {},
        salvage_dir="" if source.ceph_through == CephThrough.RBD else source.salvage_dir,
    )


def _share(group: ProtectionGroup, source: Site, target: Site, kind: RunKind | None) -> Share | None:
    if kind not in (*AT_RETURNED, RunKind.FAILBACK):
        return None
    share = share_of(group, target if kind in AT_RETURNED else source)
    if not share.vm_ids:
        one = share.left_alone[0]
        raise Conflict(f"No VM takes part. {one.name}: {one.sentence} {one.remedy}", code="left_alone")
    return share


def _vm(member: GroupMember) -> VmCopy:
    vm = member.vm
    definition = vm.definitions.order_by("-number").first()
    if definition is None:
        raise Conflict(_no_definition(vm), code="no_definition")
    disks = list(vm.disks.select_related("image"))
    images = tuple(_image(vm, disk, definition.images.get(str(disk.disk_id), {})) for disk in disks if disk.image_id)
    return VmCopy(
        key=str(vm.pk),
        name=vm.name,
        priority=member.priority,
        home_one_id=vm.one_id,
        marker=copy_marker(vm),
        home_marker=home_marker(vm.site.slug, vm.one_id),
        definition_id=definition.pk,
        definition_number=definition.number,
        definition_sha256=definition.sha256,
        captured_at=definition.captured_at,
        images=images,
        disks=tuple(_disk(vm, disk) for disk in disks),
    )


def _no_definition(vm: VirtualMachine) -> str:
    if vm.gone_at is None and vm.phase != "gone":
        return f"The definition of {vm.name} was never captured. Run a discovery."
    return (
        f"{vm.name} is gone at {vm.site.name}, and its definition was never captured: it cannot be made anew there. "
        "Make it there by hand (onevm create, from the definition of its copy at the other site), run a discovery, and "
        f"put the new VM into the group in place of {vm.name}."
    )


def copy_marker(vm: VirtualMachine) -> str:
    """What finds the portal's copy of a VM at the other site.

    The same at each run, so that a retry finds its own earlier object.
    """
    return f"drportal-copy-of-{home_marker(vm.site.slug, vm.one_id)}"


def _image(vm: VirtualMachine, disk: VmDisk, record: dict[str, object]) -> ImageCopy:
    image = disk.image
    assert image is not None
    if not record or not image.global_id or image.size_bytes is None:
        raise Conflict(
            f"Disk {disk.disk_id} of {vm.name} ({image}) is not known well enough: no image record, no "
            "mirroring id or no size. "
            "Run a discovery.",
            code="disk_unknown",
        )
    return ImageCopy(
        key=str(image.pk),
        pool=image.pool,
        name=image.name,
        mode=image.mode,
        global_id=image.global_id,
        size_bytes=image.size_bytes,
        disk_id=disk.disk_id,
        cloud_name=str(record["name"]),
        type_word=str(record["type_word"]),
        dev_prefix=str(record.get("dev_prefix") or "vd"),
    )


def _disk(vm: VirtualMachine, disk: VmDisk) -> DiskFacts:
    """The clone's parent is taken from the home side's last reading; the exact role is read again by the gates."""
    parent = None
    if disk.image is not None:
        kept = disk.image.side_a if disk.image.pair.a_id == vm.site_id else disk.image.side_b
        role = side_from_json(kept).role
        parent = role.parent if role else None
    mirrored = disk.image is not None and bool(disk.image.global_id)
    return DiskFacts(disk_id=disk.disk_id, kind=disk.kind, source=disk.source or None, mirrored=mirrored, parent=parent)
