"""A run's approval as its executor needs it: read afresh each time, and taken into use once."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from drportal.audit.record import record
from drportal.drivers.orders import Warrant
from drportal.drivers.rbd_commands import RbdCommands, command_line
from drportal.engine.approvals import (
    OPEN_APPROVAL,
    ApprovalEvent,
    ApprovalFacts,
    ApprovalState,
    Misfit,
    Unfit,
    content_hash,
    misfit,
    next_approval_state,
)
from drportal.engine.evidence import Bound
from drportal.engine.fence import FenceRung
from drportal.engine.states import StepState
from drportal.engine.steps import StepKind
from drportal.inventory.models import Site
from drportal.people.rights import may, people_who_may
from drportal.recovery.lease import LeaseLost
from drportal.recovery.models import Approval, RecoveryPlan, Run, Step, Voice
from drportal.recovery.plan_copy import ImageCopy, from_json
from drportal.recovery.recorder import Change
from drportal.recovery.world import ref_of
from drportal.roles import Permission


def may_approve(user: User, plan: RecoveryPlan) -> bool:
    """Now: one whose account was closed, or whose grant for this plan was taken back or has ended, may not. A superuser
    without the role may not either."""
    return may(user, Permission.APPROVE, plan)


def may_break_glass(user: User, plan: RecoveryPlan) -> bool:
    return may(user, Permission.BREAK_GLASS, plan)


def who_could_approve(approval: Approval) -> list[str]:
    """The names of those who could say yes to it now: who may approve this plan, and neither asked for it nor said yes
    already."""
    said = approval.voices.filter(word=Voice.Word.YES).values_list("person_id", flat=True)
    aside = {approval.requested_by_id, *said}
    able = people_who_may(Permission.APPROVE, approval.run.plan)
    return [person.username for person in able if person.pk not in aside]


def facts_of(approval: Approval) -> ApprovalFacts:
    """With the rights of those who said yes as they are now."""
    plan = approval.run.plan
    yes = list(approval.voices.filter(word=Voice.Word.YES).select_related("person"))
    alone = approval.voices.filter(word=Voice.Word.GLASS).select_related("person")
    return ApprovalFacts(
        approval_id=approval.token,
        run_id=approval.run_id,
        state=ApprovalState(approval.state),
        plan_version=approval.plan_version,
        evidence_sha256=approval.evidence.sha256,
        commands=tuple(approval.commands),
        expires_at=approval.expires_at,
        requester_id=approval.requested_by_id,
        needed=approval.needed,
        said_yes=frozenset(voice.person_id for voice in yes),
        may_approve=frozenset(voice.person.pk for voice in yes if may_approve(voice.person, plan)),
        glass=approval.glass and any(may_break_glass(voice.person, plan) for voice in alone),
        attested_by=approval.attested_by,
        attestation=approval.attestation,
        attested_rung=FenceRung(approval.attested_rung),
        deviation=approval.deviation,
    )


def _of_run(run_id: int, state: ApprovalState | None = None) -> Approval | None:
    """The newest, in that state."""
    rows = Approval.objects.select_related("evidence", "run__target_site", "run__plan").filter(run_id=run_id)
    return (rows if state is None else rows.filter(state=state.value)).first()


def _in_use(run_id: int) -> Approval | None:
    """The one that the run goes by: the last that it took into use, whatever has been asked for since."""
    return _of_run(run_id, ApprovalState.USED) or _of_run(run_id)


def facts_of_run(run_id: int) -> ApprovalFacts | None:
    approval = _in_use(run_id)
    return facts_of(approval) if approval is not None else None


def used_hashes(run_id: int) -> tuple[str, ...]:
    """Of each approval that the run took into use, as the sites' receipts keep it; the newest first."""
    used = Approval.objects.select_related("evidence", "run__plan").filter(run_id=run_id, used_at__isnull=False)
    return tuple(facts_of(approval).sha256 for approval in used)


def shown_whole(run_id: int) -> dict[str, str]:
    """Image key -> id of the copy that the evidence shows to have been whole."""
    approval = _in_use(run_id)
    images = approval.evidence.content["images"] if approval is not None else {}
    return {
        key: image["image_id"] for key, image in images.items() if image["whole_copy"] is True and image["image_id"]
    }


def was_given(run_id: int) -> bool:
    """Whether there is a yes that is not in use yet."""
    return _of_run(run_id, ApprovalState.APPROVED) is not None


def why_not_usable(run_id: int) -> Misfit | None:
    """Why the run's newest approval cannot be taken into use now; None when it can.

    It is held against what is there now, not against what its own row says: the commands as they would be built, the
    evidence hashed anew, the plan's version of this moment.
    """
    approval = _of_run(run_id)
    if approval is None:
        return Misfit(Unfit.NOT_APPROVED, "The run has no approval.")
    run, facts = approval.run, facts_of(approval)
    warrant = Warrant(facts.approval_id, facts.sha256)
    return misfit(
        facts,
        run_id=run_id,
        plan_version=run.plan.version,
        evidence_sha256=content_hash(approval.evidence.content),
        commands=forced_commands(run.target_site, still_to_force(run), warrant),
        now=timezone.now(),
    )


def bound_now(approval: Approval) -> Bound:
    """What its yes would be bound to if it were asked for now."""
    warrant = Warrant(approval.token, approval.evidence.sha256)
    run = approval.run
    return Bound(run.plan.version, tuple(forced_commands(run.target_site, still_to_force(run), warrant)))


def forced_commands(site: Site, images: Iterable[ImageCopy], warrant: Warrant) -> list[str]:
    """Byte for byte what the executor sends to force-promote them at the site."""
    builder = RbdCommands(site.ceph_user or None)
    return sorted(command_line(builder.force_promote(ref_of(image), warrant)) for image in images)


def steps_to_force(run: Run) -> QuerySet[Step]:
    """Those that are neither done nor taken out."""
    over = (StepState.SUCCEEDED.value, StepState.SKIPPED.value)
    return run.steps.filter(kind=StepKind.IMAGE_FORCE_PROMOTE.value).exclude(state__in=over)


def still_to_force(run: Run) -> list[ImageCopy]:
    copy = from_json(run.plan_copy)
    return [copy.image(step.params["image"]) for step in steps_to_force(run)]


def lapse(run_id: int, event: ApprovalEvent, code: str, sentence: str, actor: str) -> None:
    """Within a transaction: what is asked or given and not in use yet comes to nothing, and the trail says why."""
    for approval in Approval.objects.select_for_update().filter(run_id=run_id, state__in=OPEN_APPROVAL):
        _end(approval, event, code, sentence, actor)


def _end(approval: Approval, event: ApprovalEvent, code: str, sentence: str, actor: str) -> None:
    to = next_approval_state(ApprovalState(approval.state), event).value
    Approval.objects.filter(pk=approval.pk).update(state=to, sentence=sentence)
    payload = {"from": approval.state, "to": to, "code": code, "sentence": sentence}
    run_id = approval.run_id
    record(f"approval.{event}", f"run {run_id}", payload, actor=actor, run_id=run_id)


def no_longer_counts(run_id: int, code: str, sentence: str, actor: str) -> None:
    """Within a transaction: as ``lapse``, and what is in use comes to nothing too. What was forced on it was."""
    lapse(run_id, ApprovalEvent.MAKE_VOID, code, sentence, actor)
    for approval in Approval.objects.select_for_update().filter(run_id=run_id, state=ApprovalState.USED.value):
        _end(approval, ApprovalEvent.MAKE_VOID, code, sentence, actor)


def lapse_event(wrong: Misfit) -> ApprovalEvent:
    return ApprovalEvent.EXPIRE if wrong.code is Unfit.EXPIRED else ApprovalEvent.MAKE_VOID


def used(run_id: int) -> Change:
    """Taken into use, once, in the transaction that starts the run."""
    after = next_approval_state(ApprovalState.APPROVED, ApprovalEvent.USE).value

    def change() -> None:
        now = timezone.now()
        rows = Approval.objects.filter(run_id=run_id, state=ApprovalState.APPROVED.value, expires_at__gt=now)
        if not rows.update(state=after, used_at=now):
            raise LeaseLost(f"the approval of run {run_id} was used, withdrawn or expired meanwhile")

    return change
