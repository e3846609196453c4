"""A second person's decision. Every refusal has a code and an entry in the trail, and leaves everything as it was."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NoReturn

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from drportal import jobs
from drportal.audit.record import record
from drportal.engine.approvals import (
    FINAL_APPROVAL,
    ApprovalEvent,
    ApprovalState,
    Unfit,
    content_hash,
    counted,
    next_approval_state,
)
from drportal.engine.evidence import Bound, differences
from drportal.engine.states import RunEvent, RunState, next_run_state
from drportal.errors import Conflict, Forbidden, Invalid, NotFound
from drportal.events import publish
from drportal.people.proof import Proof, proof_holds
from drportal.recovery import evidence, glass, warrants
from drportal.recovery.models import Approval, RecoveryPlan, Run, RunImage, Voice
from drportal.recovery.plan_copy import from_json
from drportal.recovery.policy import policy_now
from drportal.recovery.services.runs import right_phrase, run_resume

NOT_BY_PROGRAM = "A token cannot decide: it may be a program's. Nothing was changed. Sign in, and decide on the page."
LOST = "Somebody was faster: you said yes already, or another run holds the group or an image. Nothing was begun."
SEEN = "You looked at something else than what is asked for now. Nothing was approved. Look again."


def approval_get(approval_id: int) -> Approval:
    related = ("evidence", "requested_by", "run__plan", "run__group", "run__source_site", "run__target_site")
    approval = Approval.objects.select_related(*related).filter(pk=approval_id).first()
    if approval is None:
        raise NotFound(f"There is no approval {approval_id}.")
    return approval


def approval_look(approval: Approval) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The evidence as it is now, and all in which it differs from the frozen one, the plan's version and the commands
    among it. Reads both sites."""
    run = approval.run
    now = evidence.settled(evidence.collect(from_json(run.plan_copy), run.source_site, run.target_site))
    asked = Bound(approval.plan_version, tuple(approval.commands))
    found = differences(approval.evidence.content, now, asked, warrants.bound_now(approval))
    return now, [asdict(one) for one in found]


def needed_now(approval: Approval) -> int:
    """How many people's yes it takes: while it waits, a policy that has become stricter meanwhile counts."""
    if approval.state != ApprovalState.REQUESTED:
        return approval.needed
    return max(approval.needed, policy_now().needed)


def commands_hash(approval: Approval) -> str:
    return content_hash(list(approval.commands))


def approval_approve(
    *, approval_id: int, user: User, proof: Proof, evidence_sha256: str, commands_sha256: str, by_token: bool
) -> Approval:
    """One person's yes; with the last one that is needed the run begins.

    ``evidence_sha256``/``commands_sha256``: of what the approver was shown. Raises Conflict and Forbidden with a code
    of ``Unfit`` or: own_approval, token_cannot_approve, wrong_password (wrong_code, wrong_key, proof_needed),
    too_many_attempts, no_role, already_said, run_active, image_held.
    """
    approval = approval_get(approval_id)
    _may_decide(approval, user, by_token)
    by = _as_shown(approval, user, proof, evidence_sha256, commands_sha256)
    try:
        return _say_yes(approval, user, by)
    except IntegrityError:
        _refuse(approval, user, "approval_lost_the_race", LOST)


def _as_shown(approval: Approval, user: User, proof: Proof, evidence_sha256: str, commands_sha256: str) -> str:
    """It is this person, who looked at this request, which is open, and the sites are still as it says. By what it was
    shown that it is them."""
    by = proof_holds(user, proof)
    if by is None:
        code, said = proof.refusal()
        _refuse(approval, user, code, f"{said} Nothing was approved.", forbidden=True)
    if evidence_sha256 != approval.evidence.sha256:
        _refuse(approval, user, Unfit.OTHER_EVIDENCE, SEEN)
    if commands_sha256 != commands_hash(approval):
        _refuse(approval, user, Unfit.OTHER_COMMANDS, SEEN)
    _still_open(approval, user)
    _, found = approval_look(approval)
    if moved := [one for one in found if one["material"]]:
        said = f"The evidence has moved since it was frozen ({len(moved)} material). The request is void; ask again."
        _make_void(approval, said, user)
        _refuse(approval, user, Unfit.OTHER_EVIDENCE, said, {"differences": moved})
    return by


def approval_break_glass(
    *,
    approval_id: int,
    user: User,
    proof: Proof,
    phrase: str,
    reason: str,
    evidence_sha256: str,
    commands_sha256: str,
    by_token: bool,
) -> Approval:
    """The run begins without another person's yes; all are told, and the plan is locked until a manager accepts it.

    Raises what ``approval_approve`` raises, and Invalid (wrong_phrase, no_reason), Forbidden (glass_forbidden).
    """
    approval = approval_get(approval_id)
    if not policy_now().break_glass:
        said = "Nobody may go on alone here: the approval policy forbids it. Nothing was begun."
        _refuse(approval, user, "glass_forbidden", said, forbidden=True)
    if by_token:
        _refuse(approval, user, "token_cannot_approve", NOT_BY_PROGRAM, forbidden=True)
    if not warrants.may_break_glass(user, approval.run.plan):
        _refuse(approval, user, "no_role", "You may not go on alone (any more). Nothing was begun.", forbidden=True)
    if not reason.strip():
        raise Invalid("Say why nobody else can say yes. Nothing was begun.", code="no_reason")
    right_phrase(phrase, glass_phrase(approval))
    by = _as_shown(approval, user, proof, evidence_sha256, commands_sha256)
    try:
        return _go_on_alone(approval, user, reason.strip(), by)
    except IntegrityError:
        _refuse(approval, user, "approval_lost_the_race", LOST)


def glass_phrase(approval: Approval) -> str:
    return f"alone for {approval.run.plan.name}"


def _go_on_alone(approval: Approval, user: User, reason: str, by: str) -> Approval:
    with transaction.atomic():
        row = _locked(approval)
        plan = RecoveryPlan.objects.select_for_update().get(pk=row.run.plan_id)
        wrong = _why_closed(row, plan)
        if wrong is None:
            Approval.objects.filter(pk=row.pk).update(glass=True)
            _voice(row, user, Voice.Word.GLASS, reason)
            shown = {"evidence_sha256": row.evidence.sha256, "commands": row.commands}
            payload = {**shown, "reason": reason, "proved_by": by, "told": glass.tell(row, user)}
            record("approval.break_glass", f"run {row.run_id}", payload, actor=user.username, run_id=row.run_id)
            _release(row, ApprovalEvent.BREAK_GLASS, f"Begun by {user.username} alone: {reason}", user)
            publish("overview")
    if wrong is not None:
        _refuse(approval, user, *wrong)
    publish(f"run:{approval.run_id}")
    return approval_get(approval.pk)


def _say_yes(approval: Approval, user: User, by: str) -> Approval:
    with transaction.atomic():
        row = _locked(approval)
        plan = RecoveryPlan.objects.select_for_update().get(pk=row.run.plan_id)
        wrong = _why_closed(row, plan)
        if wrong is None:
            _voice(row, user, Voice.Word.YES)
            said = len(counted(warrants.facts_of(row)))
            payload = {"evidence_sha256": row.evidence.sha256, "yes": said, "needed": needed_now(row), "proved_by": by}
            record("approval.yes", f"run {row.run_id}", payload, actor=user.username, run_id=row.run_id)
            if said >= needed_now(row):
                record(
                    "approval.approve",
                    f"run {row.run_id}",
                    {"commands": row.commands},
                    actor=user.username,
                    run_id=row.run_id,
                )
                _release(row, ApprovalEvent.APPROVE, f"Approved by {user.username}.", user)
    if wrong is not None:
        _refuse(approval, user, *wrong)
    publish(f"run:{approval.run_id}")
    return approval_get(approval.pk)


def _locked(approval: Approval) -> Approval:
    """Within a transaction. The run first, as everybody who takes both."""
    Run.objects.select_for_update().get(pk=approval.run_id)
    return Approval.objects.select_for_update().select_related("evidence", "run").get(pk=approval.pk)


def _why_closed(row: Approval, plan: RecoveryPlan) -> tuple[str, str] | None:
    state = ApprovalState(row.state)
    given = state in (ApprovalState.USED, ApprovalState.APPROVED)
    if state in FINAL_APPROVAL or given:
        code = Unfit.USED_BEFORE if given else Unfit.NOT_APPROVED
        return code, f"The request is {state} already. Nothing was changed."
    if timezone.now() >= row.expires_at:
        return Unfit.EXPIRED, "The request has expired. Nothing was approved. Ask for it again."
    if row.run.state not in (RunState.AWAITING_APPROVAL, RunState.PAUSED):
        return "wrong_state", f"Run {row.run_id} is {row.run.state}: it does not wait for a yes. Nothing was approved."
    if plan.version != row.plan_version:
        return (
            Unfit.OTHER_PLAN,
            f"The plan is at version {plan.version} now, and this was asked for version {row.plan_version}. "
            "Nothing was approved. Ask for it again.",
        )
    return None


def _release(row: Approval, event: ApprovalEvent, sentence: str, user: User) -> None:
    """The run holds its group and images from here on, and an executor is called. One that was paused goes on."""
    after = next_approval_state(ApprovalState.REQUESTED, event).value
    Approval.objects.filter(pk=row.pk).update(state=after)
    if row.run.state == RunState.PAUSED:
        run_resume(run_id=row.run_id, actor=user.username, reason=sentence)
        return
    RunImage.objects.filter(run_id=row.run_id).update(held=True)
    state = next_run_state(RunState.AWAITING_APPROVAL, RunEvent.APPROVE).value
    runs = Run.objects.filter(pk=row.run_id, state=RunState.AWAITING_APPROVAL.value)
    if not runs.update(state=state, sentence=f"{sentence} Waiting for an executor."):
        raise Conflict("The run does not wait for a yes any more. Nothing was approved.", code="wrong_state")
    jobs.enqueue_run(row.run_id)
    for topic in ("runs", "overview"):
        publish(topic)


def approval_decline(*, approval_id: int, user: User, reason: str, by_token: bool) -> Approval:
    """No, with a reason. The run is over; no site was touched."""
    approval = approval_get(approval_id)
    if not reason.strip():
        raise Invalid("A no needs a reason. Nothing was changed.", code="no_reason")
    _may_decide(approval, user, by_token)
    _end(approval, user, ApprovalEvent.DECLINE, RunEvent.REFUSE, f"Declined by {user.username}: {reason}")
    return approval_get(approval_id)


def approval_withdraw(*, approval_id: int, user: User, reason: str) -> Approval:
    """By anybody who may start a run, before the decision. The run is over; no site was touched."""
    approval = approval_get(approval_id)
    _end(approval, user, ApprovalEvent.MAKE_VOID, RunEvent.CANCEL, f"Withdrawn by {user.username}. {reason}".strip())
    return approval_get(approval_id)


def approval_ask(*, approval_id: int, user: User, text: str) -> Approval:
    """A question or its answer; decides nothing."""
    approval = approval_get(approval_id)
    if not text.strip():
        raise Invalid("There is no question. Nothing was changed.", code="no_text")
    with transaction.atomic():
        _voice(approval, user, Voice.Word.QUESTION, text)
        record("approval.ask", f"run {approval.run_id}", {"text": text}, actor=user.username, run_id=approval.run_id)
        publish(f"run:{approval.run_id}")
    return approval_get(approval_id)


def approvals_expire() -> None:
    """End every request whose time has run out, so that nobody looks at one that can't be decided any more."""
    late = Approval.objects.filter(state=ApprovalState.REQUESTED.value, expires_at__lte=timezone.now())
    for approval in late:
        _end(approval, None, ApprovalEvent.EXPIRE, RunEvent.REFUSE, "Nobody decided in time.", quiet=True)
    given = Approval.objects.filter(state=ApprovalState.APPROVED.value, expires_at__lte=timezone.now())
    for approval in given:
        _expire_unused(approval.run_id)


def _expire_unused(run_id: int) -> None:
    """A yes that nobody took into use in time. A run that somebody is just taking up decides by itself."""
    said = "Nobody took it into use in time."
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_id)
        if run.state == RunState.APPROVED and run.lease_owner:
            return
        warrants.lapse(run_id, ApprovalEvent.EXPIRE, Unfit.EXPIRED, said, "portal")
        if run.state == RunState.APPROVED:
            state = next_run_state(RunState.APPROVED, RunEvent.CANCEL).value
            Run.objects.filter(pk=run_id).update(
                state=state, sentence=f"{said} No site was touched.", finished_at=timezone.now(), fence=F("fence") + 1
            )
            RunImage.objects.filter(run_id=run_id).update(held=False)
        for topic in (f"run:{run_id}", "runs", "overview"):
            publish(topic)


# --- parts


def _voice(approval: Approval, user: User, word: Voice.Word, text: str = "") -> None:
    requester = approval.requested_by_id
    Voice.objects.create(
        approval=approval, person=user, requester_id=requester, name=user.username, word=word, text=text
    )


def _may_decide(approval: Approval, user: User, by_token: bool) -> None:
    if by_token:
        _refuse(approval, user, "token_cannot_approve", NOT_BY_PROGRAM, forbidden=True)
    if not warrants.may_approve(user, approval.run.plan):
        _refuse(approval, user, "no_role", "You may not approve (any more). Nothing was changed.", forbidden=True)
    if user.pk == approval.requested_by_id:
        said = "You asked for it yourself: another person decides. Nothing was changed."
        _refuse(approval, user, "own_approval", said, forbidden=True)


def _still_open(approval: Approval, user: User) -> None:
    plan = approval.run.plan
    wrong = _why_closed(approval, plan)
    if wrong is None:
        return
    if wrong[0] == Unfit.EXPIRED:
        _end(approval, user, ApprovalEvent.EXPIRE, RunEvent.REFUSE, "Nobody decided in time.", quiet=True)
    elif wrong[0] == Unfit.OTHER_PLAN:
        _make_void(approval, wrong[1], user)
    _refuse(approval, user, *wrong)


def _make_void(approval: Approval, sentence: str, user: User) -> None:
    _end(approval, user, ApprovalEvent.MAKE_VOID, RunEvent.REFUSE, sentence, quiet=True)


def _end(
    approval: Approval,
    user: User | None,
    event: ApprovalEvent,
    run_event: RunEvent,
    sentence: str,
    *,
    quiet: bool = False,
) -> None:
    """A request comes to nothing, and its run with it. ``user`` None: its time ran out. ``quiet``: no refusal when it
    was over already."""
    to = next_approval_state(ApprovalState.REQUESTED, event).value
    run_to = next_run_state(RunState.AWAITING_APPROVAL, run_event).value
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=approval.run_id)
        ended = Approval.objects.filter(pk=approval.pk, state=ApprovalState.REQUESTED.value)
        if not ended.update(state=to, sentence=sentence):
            if quiet:
                return
            raise Conflict("The request is decided already. Nothing was changed.", code="wrong_state")
        waiting = Run.objects.filter(pk=approval.run_id, state=RunState.AWAITING_APPROVAL.value)
        waiting.update(state=run_to, sentence=f"{sentence} No site was touched.", finished_at=timezone.now())
        if event is ApprovalEvent.DECLINE and user is not None:
            _voice(approval, user, Voice.Word.NO, sentence)
        payload = {"to": to, "sentence": sentence}
        actor = user.username if user is not None else "portal"
        record(f"approval.{event}", f"run {approval.run_id}", payload, actor=actor, run_id=approval.run_id)
        for topic in (f"run:{approval.run_id}", "runs", "overview"):
            publish(topic)


def _refuse(
    approval: Approval,
    user: User,
    code: str,
    sentence: str,
    extra: dict[str, object] | None = None,
    *,
    forbidden: bool = False,
) -> NoReturn:
    """Keep the refusal in the trail, then raise it."""
    with transaction.atomic():
        payload = {"code": str(code), "sentence": sentence, **(extra or {})}
        record("approval.refused", f"run {approval.run_id}", payload, actor=user.username, run_id=approval.run_id)
    raise (Forbidden if forbidden else Conflict)(sentence, code=str(code), extra=extra)
