"""The disaster door and the approver's page over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from drportal.api import asker, bearer_token, needs, seen
from drportal.engine.approvals import ApprovalState
from drportal.engine.fence import FenceRung, what_is_fenced
from drportal.inventory.installed import deposit_command
from drportal.people.paced import BOTH_SITES, paced_read
from drportal.recovery import glass, models, schemas_approval, unfit
from drportal.recovery.plan_copy import from_json
from drportal.recovery.policy import policy_now
from drportal.recovery.schemas_approval import (
    Approvals,
    ApproveIn,
    DisasterDoor,
    DisasterIn,
    GlassIn,
    NewApprovalIn,
    SaidIn,
)
from drportal.recovery.services import approvals as services
from drportal.recovery.services import disaster
from drportal.recovery.warrants import facts_of, who_could_approve
from drportal.roles import Permission

router = Router()
NEWEST = 100


@router.get("/plans/{int:plan_id}/disaster", auth=needs(Permission.VIEW), response=DisasterDoor)
def disaster_door(request: HttpRequest, plan_id: int) -> Any:
    """Reads both sites now (at most about 25 s): what would be lost, and what forbids a disaster failover. What was
    read is frozen; ask with its hash. 429 ``too_often``: they are being read for you."""
    with paced_read(asker(request), BOTH_SITES):
        door, digest = disaster.disaster_open(plan_id)
    return DisasterDoor(
        plan_version=door.plan.version,
        source_site=door.source.slug,
        target_site=door.target.slug,
        phrase=door.phrase,
        blockers=list(door.blockers),
        notes=list(door.notes),
        fence_rung=door.copy.fence_rung,
        button=f"Ask to force-promote {count(len(door.copy.images()), 'image')} at {door.target.name}",
        evidence=evidence_out(door.content),
        evidence_sha256=digest,
    )


@router.post(
    "/plans/{int:plan_id}/disaster",
    auth=needs(Permission.RUN, again=True),
    response={200: schemas_approval.Approval, 201: schemas_approval.Approval},
)
def disaster_request(request: HttpRequest, plan_id: int, body: DisasterIn) -> Any:
    """Ask for a disaster failover. Nothing is held or sent until another person has approved it."""
    run, new = disaster.disaster_request(plan_id=plan_id, user=asker(request), **body.dict())
    approval = models.Approval.objects.filter(run=run).first()
    found = services.approval_get(approval.pk if approval else 0)
    return Status(201 if new else 200, approval_out(found))


@router.post("/runs/{int:run_id}/approval", auth=needs(Permission.RUN, again=True), response=schemas_approval.Approval)
def new_approval_request(request: HttpRequest, run_id: int, body: NewApprovalIn) -> Any:
    """In a paused disaster failover: ask for a yes to what is still to be forced. Given, the run goes on."""
    approval = disaster.new_approval_request(run_id=run_id, user=asker(request), **body.dict())
    return approval_out(services.approval_get(approval.pk))


@router.get("/approvals", auth=needs(Permission.VIEW), response=Approvals)
def approval_list(request: HttpRequest, state: ApprovalState | None = None) -> Any:
    """The newest hundred; those that were declined, expired or became void stay."""
    related = ("run__plan", "run__source_site", "run__target_site", "requested_by")
    rows = seen(request, models.Approval.objects.select_related(*related))
    if state is not None:
        rows = rows.filter(state=state.value)
    return {"items": [summary_fields(row) for row in rows[:NEWEST]]}


@router.get("/approvals/{int:approval_id}", auth=needs(Permission.VIEW), response=schemas_approval.Approval)
def approval_read(request: HttpRequest, approval_id: int, look: bool = False) -> Any:
    """``look``: also read both sites now, and say all that differs from the frozen evidence, material or not. 429
    ``too_often``: they are being read for you."""
    approval = services.approval_get(approval_id)
    if not look:
        return approval_out(approval, None)
    with paced_read(asker(request), BOTH_SITES):
        return approval_out(approval, services.approval_look(approval))


@router.post("/approvals/{int:approval_id}/approve", auth=needs(Permission.APPROVE), response=schemas_approval.Approval)
def approval_approve(request: HttpRequest, approval_id: int, body: ApproveIn) -> Any:
    """Yes to this evidence and these commands. The sites are read once more first."""
    by_token = bearer_token(request) is not None
    shown = {"evidence_sha256": body.evidence_sha256, "commands_sha256": body.commands_sha256}
    found = services.approval_approve(
        approval_id=approval_id, user=asker(request), by_token=by_token, proof=body.proof(), **shown
    )
    return approval_out(found)


@router.post(
    "/approvals/{int:approval_id}/break-glass", auth=needs(Permission.BREAK_GLASS), response=schemas_approval.Approval
)
def approval_break_glass(request: HttpRequest, approval_id: int, body: GlassIn) -> Any:
    """Go on alone: everybody is told, and the plan is locked until a manager has accepted the run."""
    by_token = bearer_token(request) is not None
    found = services.approval_break_glass(
        approval_id=approval_id,
        user=asker(request),
        by_token=by_token,
        proof=body.proof(),
        **body.dict(include={"phrase", "reason", "evidence_sha256", "commands_sha256"}),
    )
    return approval_out(found)


@router.post("/runs/{int:run_id}/glass-seen", auth=needs(Permission.VIEW), response={204: None})
def glass_seen(request: HttpRequest, run_id: int) -> Any:
    """That the asker has seen that this run was begun by one person alone. 409 ``not_told`` for who was not told."""
    by_token = bearer_token(request) is not None
    glass.glass_seen(run_id=run_id, user=asker(request), by_token=by_token)
    return Status(204, None)


@router.post("/approvals/{int:approval_id}/decline", auth=needs(Permission.APPROVE), response=schemas_approval.Approval)
def approval_decline(request: HttpRequest, approval_id: int, body: SaidIn) -> Any:
    by_token = bearer_token(request) is not None
    return approval_out(
        services.approval_decline(approval_id=approval_id, user=asker(request), reason=body.text, by_token=by_token)
    )


@router.post("/approvals/{int:approval_id}/ask", auth=needs(Permission.VIEW), response=schemas_approval.Approval)
def approval_ask(request: HttpRequest, approval_id: int, body: SaidIn) -> Any:
    """A question to the requester, or an answer."""
    return approval_out(services.approval_ask(approval_id=approval_id, user=asker(request), text=body.text))


@router.post("/approvals/{int:approval_id}/withdraw", auth=needs(Permission.RUN), response=schemas_approval.Approval)
def approval_withdraw(request: HttpRequest, approval_id: int, body: SaidIn) -> Any:
    """Take the request back before it is decided."""
    return approval_out(services.approval_withdraw(approval_id=approval_id, user=asker(request), reason=body.text))


# --- rows to answers


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def evidence_out(content: dict[str, Any]) -> schemas_approval.EvidenceOut:
    """Evidence as ``recovery.evidence.collect`` made it, for the page; the raw answers stay in the row."""
    ways = [
        schemas_approval.Way(way=way, ok=ok, since=since, sentence=sentence, asked_at=at[0] if at else None)
        for way, (ok, since, sentence, *at) in content["source_reachable"].items()
    ]
    images = sorted(content["images"].values(), key=lambda image: str(image["name"]))
    return schemas_approval.EvidenceOut(
        taken_at=content["taken_at"],
        lost_at=content.get("lost_at"),
        ways=ways,
        second_view=content.get("second_view"),
        sights=content.get("sights", []),
        images=[schemas_approval.ImageEvidence(**image) for image in images],
        vms=[schemas_approval.VmSpread(**vm) for vm in content["vms"]],
    )


def summary_fields(row: models.Approval) -> dict[str, Any]:
    return {
        "id": row.pk,
        "run_id": row.run_id,
        "plan_id": row.run.plan_id,
        "plan": row.run.plan.name,
        "source_site": row.run.source_site.slug,
        "target_site": row.run.target_site.slug,
        "state": row.state,
        "sentence": row.sentence,
        "requested_by": row.requested_by.username,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "expired": timezone.now() >= row.expires_at,
        "needed": services.needed_now(row),
        "images": len(row.commands),
        "glass": row.glass,
    }


def approval_out(
    row: models.Approval, look: tuple[dict[str, Any], list[dict[str, Any]]] | None = None
) -> schemas_approval.Approval:
    now, differences = look if look is not None else (None, None)
    facts, copy = facts_of(row), from_json(row.run.plan_copy)
    voices = [
        schemas_approval.Said(name=voice.name, word=voice.word, text=voice.text, at=voice.at)
        for voice in row.voices.all()
    ]
    return schemas_approval.Approval(
        **summary_fields(row),
        reason=row.run.reason,
        glass_phrase=services.glass_phrase(row) if policy_now().break_glass else "",
        attested_by=row.attested_by,
        attestation=row.attestation,
        deviation=row.deviation,
        fence=list(
            what_is_fenced(
                row.run.source_site.name,
                FenceRung(copy.fence_rung),
                row.attested_by,
                row.attestation,
                FenceRung(row.attested_rung),
                row.deviation,
                row.created_at,
            )
        ),
        notes=list(unfit.notes(copy, row.evidence.content, row.run.source_site, row.run.target_site)),
        plan_version=row.plan_version,
        evidence_sha256=row.evidence.sha256,
        commands_sha256=services.commands_hash(row),
        sha256=facts.sha256,
        deposit=deposit_command(row.run.target_site, facts.sha256, facts.commands),
        commands=row.commands,
        evidence=evidence_out(row.evidence.content),
        now=None if now is None else evidence_out(now),
        differences=None if differences is None else [schemas_approval.Difference(**one) for one in differences],
        said=voices,
        could_approve=who_could_approve(row) if row.state == ApprovalState.REQUESTED else [],
    )
