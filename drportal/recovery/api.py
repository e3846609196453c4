"""Plans over HTTP. (Runs and steps: ``api_runs.py``.)"""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Status

from drportal.api import asker, asking, expected_version, needs, seen
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Finding
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.errors import Invalid, NotFound
from drportal.inventory.api_assets import SiteNetwork
from drportal.inventory.models import MirroredImage, Network, Site, SitePair, VirtualMachine
from drportal.inventory.schemas import GroupRef, current_verdict, vm_out, vm_rows, worst_of
from drportal.recovery import building, models, schemas
from drportal.recovery.building import STARTABLE, active_run, peer_site, why_not
from drportal.recovery.models import ProtectionGroup, RecoveryPlan
from drportal.recovery.presenters import run_summary
from drportal.recovery.preview import preview
from drportal.recovery.readiness import Assessment, assess_now
from drportal.recovery.salvaging import Wish
from drportal.recovery.schemas import GateView, Plan, PlanIn, Plans, PlanSummary, Preview, Readiness, RunSummary
from drportal.recovery.services import plans as services
from drportal.roles import Permission

router = Router()
__all__ = ["RunSummary", "router", "run_summary"]
NEWEST_RUNS = 20
WayOfImage = Annotated[str, Field(pattern=r"^[0-9]{1,18}:(export|copy|waive)$")]


@router.get("/groups", auth=needs(Permission.VIEW), response=schemas.Groups)
def group_list(request: HttpRequest) -> Any:
    groups = ProtectionGroup.objects.select_related("home_site", "active_site", "plan")
    return {"items": [_group(group) for group in seen(request, groups)]}


@router.get("/plans", auth=needs(Permission.VIEW), response=Plans)
def plan_list(request: HttpRequest) -> Any:
    return {"items": [PlanSummary(**_summary(plan)) for plan in seen(request, _plans())]}


@router.post("/plans", auth=needs(Permission.PLAN), response={201: Plan})
def plan_create(request: HttpRequest, body: PlanIn) -> Any:
    """A plan and its protection group. For who may plan at the pair."""
    asking(request).require(Permission.PLAN, SitePair.objects.filter(pk=body.pair_id))
    _sees_what_is_named(request, body)
    return Status(201, plan_out(services.plan_create(fields=_fields(body), actor=asker(request).username)))


@router.get("/plans/{int:plan_id}", auth=needs(Permission.VIEW), response=Plan)
def plan_read(request: HttpRequest, plan_id: int) -> Any:
    return plan_out(services.plan_get(plan_id))


@router.put("/plans/{int:plan_id}", auth=needs(Permission.PLAN), response=Plan)
def plan_change(request: HttpRequest, plan_id: int, body: PlanIn) -> Any:
    """Replace the plan. Needs If-Match; refused while a run is active."""
    version = expected_version(request)
    _sees_what_is_named(request, body)
    plan = services.plan_change(plan_id=plan_id, version=version, fields=_fields(body), actor=asker(request).username)
    return plan_out(plan)


@router.put("/plans/{int:plan_id}/rto-target", auth=needs(Permission.PLAN), response=Plan)
def plan_rto_target_set(request: HttpRequest, plan_id: int, body: schemas.RtoTargetIn) -> Any:
    """What was agreed. It stops no run: the time until the service is back is held against it."""
    plan = services.plan_set_rto(plan_id=plan_id, rto_s=body.rto_s, actor=asker(request).username)
    return plan_out(plan)


@router.delete("/plans/{int:plan_id}", auth=needs(Permission.PLAN), response={204: None})
def plan_delete(request: HttpRequest, plan_id: int) -> Any:
    """Only a plan that never ran. Needs If-Match."""
    services.plan_delete(plan_id=plan_id, version=expected_version(request), actor=asker(request).username)
    return Status(204, None)


@router.get("/plans/{int:plan_id}/readiness", auth=needs(Permission.VIEW), response=Readiness)
def plan_readiness(request: HttpRequest, plan_id: int, kind: str = RunKind.PLANNED_FAILOVER.value) -> Any:
    """Reads both sites now (at most about 20 s) and says what would stop such a run."""
    plan, wanted = services.plan_get(plan_id), kind_of(kind)
    source, target = building.direction(plan.group, wanted)
    copy = building.copy_of_plan(plan, source, target, wanted)
    return readiness_out(assess_now(wanted, plan.group, copy, source, target))


@router.get("/plans/{int:plan_id}/preview", auth=needs(Permission.TEST), response=Preview)
def plan_preview(
    request: HttpRequest,
    plan_id: int,
    kind: str = RunKind.PLANNED_FAILOVER.value,
    salvage: SalvageWay | None = None,
    salvage_of: Annotated[list[WayOfImage], Query(max_length=1000)] = [],  # noqa: B006  (ninja reads it, once)
) -> Any:
    """Every step with its commands, the phrase to type, and what it means in numbers.

    Of a reprotect, ``salvage``: the way for all images; ``salvage_of``: ``IMAGE:WAY``, another for some.
    """
    others = dict(one.split(":") for one in salvage_of)
    wish = Wish(salvage, {image: SalvageChoice(SalvageWay(way)) for image, way in others.items()})
    return preview(services.plan_get(plan_id), kind_of(kind), wish)


def kind_of(word: str) -> RunKind:
    if word not in {kind.value for kind in STARTABLE}:
        raise Invalid(f"There is no kind of run “{word[:40]}” to start from a plan. There are: {', '.join(STARTABLE)}.")
    return RunKind(word)


# --- rows to answers


def _plans() -> QuerySet[RecoveryPlan]:
    related = ("group__pair__a", "group__pair__b", "group__home_site", "group__active_site")
    return RecoveryPlan.objects.select_related(*related)


def _sees_what_is_named(request: HttpRequest, body: PlanIn) -> None:
    """Pair, home site and VMs: nobody draws into a plan what they could not see before. Raises NotFound."""
    who = asking(request)
    who.require(Permission.VIEW, SitePair.objects.filter(pk=body.pair_id), ground=True)
    who.require(Permission.VIEW, Site.objects.filter(slug=body.home_site), ground=True)
    wanted = {member.vm_id for member in body.members}
    unseen = wanted - set(seen(request, VirtualMachine.objects.filter(pk__in=wanted)).values_list("pk", flat=True))
    if unseen and not who.rights.reach(Permission.VIEW).everywhere:
        raise NotFound(f"VM {min(unseen)} is not known (any more), or not for you to see. Nothing was changed.")


def _group(group: ProtectionGroup) -> schemas.Group:
    plan = getattr(group, "plan", None)
    return schemas.Group(
        id=group.pk,
        name=group.name,
        plan=schemas.PlanRef(id=plan.pk, name=plan.name) if plan else None,
        home_site=group.home_site.slug,
        active_site=group.active_site.slug,
    )


def _summary(plan: RecoveryPlan) -> dict[str, Any]:
    group = plan.group
    images = list(MirroredImage.objects.filter(disks__vm__membership__group=group).select_related("pair").distinct())
    now = timezone.now()
    active = active_run(group)
    kinds = [(kind, why_not(group, kind)) for kind in STARTABLE]
    return {
        "id": plan.pk,
        "name": plan.name,
        "version": plan.version,
        "group": GroupRef(id=group.pk, name=group.name),
        "home_site": group.home_site.slug,
        "peer_site": peer_site(group).slug,
        "active_site": group.active_site.slug,
        "vm_count": group.members.count(),
        "image_count": len(images),
        "worst_verdict": worst_of(current_verdict(image, now)[0] for image in images),
        "active_run_id": active.pk if active else None,
        "next_kinds": [schemas.NextKind(kind=kind.value, possible=not why, why_not=why or None) for kind, why in kinds],
    }


def plan_out(plan: RecoveryPlan) -> Plan:
    members = {member.vm_id: member for member in plan.group.members.all()}
    vms = sorted(vm_rows().filter(pk__in=members), key=lambda vm: (members[vm.pk].priority, vm.name))
    runs = models.Run.objects.filter(plan=plan).select_related("plan", "source_site", "target_site")[:NEWEST_RUNS]
    return Plan(
        **_summary(plan),
        rto_s=plan.rto_s,
        fence_rung=plan.fence_rung,
        members=[schemas.Member(vm=vm_out(vm), priority=members[vm.pk].priority) for vm in vms],
        network_map=plan.network_map,
        image_datastore_id=plan.image_datastore_id,
        networks_home=_networks(plan.group.home_site),
        networks_peer=_networks(peer_site(plan.group)),
        runs=[run_summary(run) for run in runs],
    )


def _networks(site: Site) -> list[SiteNetwork]:
    return [SiteNetwork.from_orm(network) for network in Network.objects.filter(site=site, gone_at=None)]


def _fields(body: PlanIn) -> services.PlanFields:
    return services.PlanFields(
        name=body.name,
        group_name=body.group_name,
        pair_id=body.pair_id,
        home_site=body.home_site,
        members=[(member.vm_id, member.priority) for member in body.members],
        network_map=body.network_map,
        image_datastore_id=body.image_datastore_id,
        fence_rung=body.fence_rung,
    )


def readiness_out(assessment: Assessment) -> Readiness:
    result, plan, given = assessment.result, assessment.plan, assessment.given
    at = assessment.checked_at

    def gates(results: Any) -> list[GateView]:
        return [
            GateView(gate=r.gate.value, outcome=r.outcome.value, sentence=r.sentence, checked_at=at, remedy=r.remedy)
            for r in results
        ]

    owners = {image.key: vm.name for vm in plan.vms for image in vm.images}
    vms = {vm.key: vm for vm in given.vms}
    return Readiness(
        kind=assessment.kind.value,
        state=result.state.value,
        checked_at=at,
        findings=[finding_out(finding) for finding in result.findings],
        images=[
            schemas.ReadinessImage(
                image_id=int(image.key),
                name=image.name,
                vm_name=owners[image.key],
                verdict=image.verdict.code,
                verdict_sentence=image.verdict.sentence,
                gates=gates(result.per_image[image.key]),
            )
            for image in given.images
        ],
        vms=[
            schemas.ReadinessVm(
                name=vm.name,
                priority=vm.priority,
                phase_source=facts.phase if (facts := vms[vm.key].at_source) else "cannot tell",
                phase_target=facts.phase if (facts := vms[vm.key].at_target) else "cannot tell",
                gates=gates(result.per_vm[vm.key]),
            )
            for vm in plan.vms
        ],
        counts=result.counts,
    )


def finding_out(finding: Finding) -> schemas.Finding:
    return schemas.Finding(
        code=finding.code,
        severity=finding.severity.value,
        subject=finding.subject,
        sentence=finding.sentence,
        remedy=finding.remedy,
    )
