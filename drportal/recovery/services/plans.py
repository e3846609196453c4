"""Plans and their groups: made together, changed together, one version for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction

from drportal.audit.record import record
from drportal.engine.fence import PLANNABLE, RUNG_WORDS, FenceRung
from drportal.errors import Conflict, Invalid, NotFound, StaleVersion
from drportal.events import publish
from drportal.inventory.bulk import batches
from drportal.inventory.models import Network, Site, SitePair, VirtualMachine, VmDisk
from drportal.people.grants import grants_end_with
from drportal.recovery import building, glass
from drportal.recovery.models import GroupMember, ProtectionGroup, RecoveryPlan


@dataclass(frozen=True, slots=True)
class PlanFields:
    """``members``: (home VM's row id, priority 1-5).

    ``network_map``: home network's id -> peer network's id (OpenNebula's ids).
    """

    name: str
    group_name: str
    pair_id: int
    home_site: str
    members: Sequence[tuple[int, int]]
    network_map: Mapping[str, int] = field(default_factory=dict)
    image_datastore_id: int | None = None
    fence_rung: int = FenceRung.DEMOTED.value


def plan_get(plan_id: int) -> RecoveryPlan:
    plans = RecoveryPlan.objects.select_related(
        "group__pair__a", "group__pair__b", "group__home_site", "group__active_site"
    )
    plan = plans.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no plan {plan_id} (any more).")
    return plan


def plan_create(*, fields: PlanFields, actor: str) -> RecoveryPlan:
    """A plan and its group.

    Raises Invalid for members that cannot be in it, Conflict for names or VMs that are taken.
    """
    pair, home = _pair(fields), _home(fields)
    _check(fields, pair, home)
    try:
        with transaction.atomic():
            group = ProtectionGroup.objects.create(name=fields.group_name, pair=pair, home_site=home, active_site=home)
            plan = RecoveryPlan.objects.create(
                group=group,
                name=fields.name,
                network_map=dict(fields.network_map),
                image_datastore_id=fields.image_datastore_id,
                fence_rung=fields.fence_rung,
            )
            _set_members(group, fields)
            record("plan.create", plan.name, _payload(fields), actor=actor)
            publish("overview")
    except IntegrityError:
        raise _taken(fields, None) from None
    return plan_get(plan.pk)


def plan_change(*, plan_id: int, version: int, fields: PlanFields, actor: str) -> RecoveryPlan:
    """Raises StaleVersion, Conflict while a run is active, Invalid."""
    pair, home = _pair(fields), _home(fields)
    _check(fields, pair, home)
    try:
        with transaction.atomic():
            plan = _locked(plan_id, version)
            group = plan.group
            if group.pair_id != pair.pk or group.home_site_id != home.pk:
                raise Invalid(
                    "The pair and the home site of a group do not change. Nothing was changed. Make a new plan."
                )
            ProtectionGroup.objects.filter(pk=group.pk).update(name=fields.group_name)
            plan.name, plan.network_map = fields.name, dict(fields.network_map)
            plan.image_datastore_id, plan.version = fields.image_datastore_id, plan.version + 1
            plan.fence_rung = fields.fence_rung
            plan.save()
            group.members.all().delete()
            _set_members(group, fields)
            record("plan.change", plan.name, {**_payload(fields), "version": plan.version}, actor=actor)
            publish(f"plan:{plan.pk}", plan.version)
            publish("overview")
    except IntegrityError:
        raise _taken(fields, plan_id) from None
    return plan_get(plan_id)


def plan_delete(*, plan_id: int, version: int, actor: str) -> None:
    """Only a plan that never ran: the record of a run needs its plan."""
    with transaction.atomic():
        plan = _locked(plan_id, version)
        if plan.runs.exists():
            raise Conflict(f"{plan.name} has runs; it stays as their record. Nothing was changed.", code="in_use")
        record("plan.delete", plan.name, {"version": plan.version}, actor=actor)
        grants_end_with(plan, actor)
        plan.group.delete()
        publish("overview")


def plan_set_rto(*, plan_id: int, rto_s: int | None, actor: str) -> RecoveryPlan:
    """``rto_s`` None: nothing is agreed. No new version: no step changes, and a run keeps the target it began with."""
    with transaction.atomic():
        plan = RecoveryPlan.objects.select_for_update().filter(pk=plan_id).first()
        if plan is None:
            raise NotFound(f"There is no plan {plan_id} (any more).")
        before = plan.rto_s
        RecoveryPlan.objects.filter(pk=plan_id).update(rto_s=rto_s)
        record("plan.rto_target", plan.name, {"before_s": before, "after_s": rto_s}, actor=actor)
        publish(f"plan:{plan_id}", plan.version)
    return plan_get(plan_id)


def _locked(plan_id: int, version: int) -> RecoveryPlan:
    plan = RecoveryPlan.objects.select_for_update().filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no plan {plan_id} (any more).")
    if plan.version != version:
        raise StaleVersion(
            f"The plan is now at version {plan.version}, and you looked at version {version}. "
            "Nothing was changed. Look again."
        )
    active = building.active_run(plan.group)
    if active is not None:
        raise Conflict(
            f"Run {active.pk} of this plan is {active.state}. Nothing was changed.",
            code="run_active",
            extra={"run_id": active.pk},
        )
    if alone := glass.locked_by(plan.group):  # its VMs would move in another plan that is not locked
        said = f"{glass.locked_words(alone)} Nothing was changed."
        raise Conflict(said, code="plan_locked", extra={"run_id": alone.pk})
    return plan


def _pair(fields: PlanFields) -> SitePair:
    pair = SitePair.objects.filter(pk=fields.pair_id).first()
    if pair is None:
        raise Invalid(f"There is no site pair {fields.pair_id}.")
    return pair


def _home(fields: PlanFields) -> Site:
    site = Site.objects.filter(slug=fields.home_site).first()
    if site is None:
        raise Invalid(f"There is no site “{fields.home_site}”.")
    return site


def _check(fields: PlanFields, pair: SitePair, home: Site) -> None:
    """What can be said from the inventory; what changes by the minute is readiness' business."""
    if home.pk not in (pair.a_id, pair.b_id):
        raise Invalid(f"{home.name} is not one of the pair's two sites. Nothing was changed.")
    if fields.fence_rung not in {rung.value for rung in PLANNABLE}:
        rungs = ", ".join(f"{rung.value} ({RUNG_WORDS[rung]})" for rung in PLANNABLE)
        raise Invalid(f"A plan can want one of these rungs: {rungs}. Nothing was changed.", code="no_such_rung")
    if not fields.members:
        raise Invalid("A plan needs at least one VM. Nothing was changed.")
    if not fields.name.strip() or not fields.group_name.strip():
        raise Invalid("The plan and its group need a name. Nothing was changed.")
    ids = [vm_id for vm_id, _ in fields.members]
    if len(set(ids)) != len(ids):
        raise Invalid("A VM is in the plan twice. Nothing was changed.")
    _check_members(fields.members, home)
    peer_id = pair.b_id if home.pk == pair.a_id else pair.a_id
    known = set(Network.objects.filter(site_id=peer_id, gone_at__isnull=True).values_list("one_id", flat=True))
    for home_id, peer_net in fields.network_map.items():
        if not str(home_id).isdigit() or peer_net not in known:
            raise Invalid(
                f"Network {home_id} is mapped to network {peer_net}, which the other site does not have. "
                "Nothing was changed."
            )


def _check_members(members: Sequence[tuple[int, int]], home: Site) -> None:
    """A plan may have thousands, so they are asked for together."""
    known: dict[int, VirtualMachine] = {}
    mirrored: set[int] = set()
    for some in batches([vm_id for vm_id, _ in members]):
        known |= VirtualMachine.objects.in_bulk(some)
        mirrored |= set(VmDisk.objects.filter(vm__in=some, image__isnull=False).values_list("vm_id", flat=True))
    for vm_id, priority in members:
        if vm_id not in known:
            raise Invalid(f"There is no VM {vm_id}. Nothing was changed.")
        _check_member(known[vm_id], priority, home, mirrored=vm_id in mirrored)


def _check_member(vm: VirtualMachine, priority: int, home: Site, *, mirrored: bool) -> None:
    if vm.site_id != home.pk or vm.home_of_id is not None:
        raise Invalid(f"{vm.name} (VM {vm.one_id}) is not a VM of {home.name} itself. Nothing was changed.")
    if not 1 <= priority <= 5:
        raise Invalid(
            f"The priority of {vm.name} is {priority}; it must be 1 (starts first) to 5. Nothing was changed."
        )
    if not mirrored:
        raise Invalid(f"{vm.name} has no mirrored disk, so it cannot be protected. Nothing was changed.")


def _set_members(group: ProtectionGroup, fields: PlanFields) -> None:
    GroupMember.objects.bulk_create(
        [GroupMember(group=group, vm_id=vm_id, priority=priority) for vm_id, priority in fields.members]
    )


def _taken(fields: PlanFields, plan_id: int | None) -> Conflict:
    others = GroupMember.objects.filter(vm_id__in=[vm_id for vm_id, _ in fields.members]).exclude(
        group__plan__pk=plan_id or 0
    )
    first = others.select_related("vm", "group").first()
    if first is not None:
        return Conflict(
            f"{first.vm.name} is in the group {first.group.name} already. Nothing was changed.", code="vm_taken"
        )
    return Conflict("There is a plan or group of that name already. Nothing was changed.", code="name_taken")


def _payload(fields: PlanFields) -> dict[str, object]:
    return {
        "group": fields.group_name,
        "home_site": fields.home_site,
        "members": [list(member) for member in fields.members],
        "network_map": dict(fields.network_map),
        "fence_rung": fields.fence_rung,
        "image_datastore_id": fields.image_datastore_id,
    }
