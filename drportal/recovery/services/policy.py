"""Changing the approval policy takes two people too. Every refusal has a code and an entry in the trail, and leaves
everything as it was."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import NoReturn

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.approvals import content_hash
from drportal.engine.policy import (
    ChangeEvent,
    ChangeFacts,
    ChangeState,
    Policy,
    Refusal,
    next_change_state,
    why_not_in_force,
)
from drportal.errors import Conflict, Forbidden, Invalid, NotFound
from drportal.events import publish
from drportal.people.proof import Proof, proof_holds
from drportal.people.rights import may
from drportal.recovery.models import PolicyChange
from drportal.recovery.policy import policy_now, policy_of
from drportal.roles import Permission

STANDS = dt.timedelta(hours=24)
SUBJECT = "approval policy"
FORBIDDEN = frozenset({"own_approval", "token_cannot_approve", "no_role"})
NOT_BY_PROGRAM = "A token cannot decide: it may be a program's. Sign in, and decide on the page."


def change_get(change_id: int) -> PolicyChange:
    row = PolicyChange.objects.filter(pk=change_id).first()
    if row is None:
        raise NotFound(f"There is no change {change_id} of the approval policy.")
    return row


def change_hash(row: PolicyChange) -> str:
    """Of what is asked for, and of what counts now: what a yes is to."""
    return content_hash([row.pk, asdict(policy_of(row)), asdict(policy_now())])


def policy_request(*, user: User, wanted: Policy, reason: str, by_token: bool) -> PolicyChange:
    """Ask for another policy. Nothing changes before another person has said yes.

    Raises Invalid (no_reason, bad_policy, no_change), Forbidden (token_cannot_approve), Conflict (policy_asked_for).
    """
    if by_token:
        _refuse(user, Refusal("token_cannot_approve", NOT_BY_PROGRAM))
    if not reason.strip():
        raise Invalid("Say why. Nothing was asked for.", code="no_reason")
    if why := wanted.wrong():
        raise Invalid(f"{why} Nothing was asked for.", code="bad_policy")
    before, now = policy_now(), timezone.now()
    if wanted == before:
        raise Invalid("That is the policy that counts already. Nothing was asked for.", code="no_change")
    try:
        with transaction.atomic():
            row = PolicyChange.objects.create(
                needed=wanted.needed, minutes=wanted.minutes, break_glass=wanted.break_glass,
                least_rung=wanted.least_rung, reason=reason.strip(),
                state=ChangeState.REQUESTED.value, requested_by=user, requested_name=user.username, created_at=now,
                expires_at=now + STANDS,
            )  # fmt: skip
            facts = {"change": row.pk, "before": asdict(before), "after": asdict(wanted), "reason": row.reason}
            record("policy.request", SUBJECT, facts, actor=user.username)
            publish("runs")
    except IntegrityError:
        raise Conflict(
            "Another change waits for a decision. Nothing was asked for. Have it decided, or withdraw it first.",
            code="policy_asked_for",
        ) from None
    return row


def policy_approve(*, change_id: int, user: User, proof: Proof, sha256: str, by_token: bool) -> PolicyChange:
    """Yes to this change, by somebody who did not ask for it: it counts from now on.

    ``sha256``: of what was shown (``change_hash``). Raises Conflict and Forbidden with a code of ``why_not_in_force``
    or: token_cannot_approve, wrong_password (wrong_code, wrong_key, proof_needed), no_role, too_many_attempts.
    """
    row = change_get(change_id)
    if by_token:
        _refuse(user, Refusal("token_cannot_approve", NOT_BY_PROGRAM), row)
    by = proof_holds(user, proof)
    if by is None:
        code, said = proof.refusal()
        _refuse(user, Refusal(code, said), row, forbidden=True)
    before = policy_now()
    with transaction.atomic():
        row = PolicyChange.objects.select_for_update().get(pk=change_id)
        wrong = _why_not(row, user, sha256)
        if wrong is None:
            _into_force(row, user, before, by)
    if wrong is not None:
        if wrong.code in ("policy_expired", "requester_lost_right"):
            event = ChangeEvent.EXPIRE if wrong.code == "policy_expired" else ChangeEvent.MAKE_VOID
            _end(row, event, wrong.sentence, "portal")
        _refuse(user, wrong, row)
    return change_get(change_id)


def _why_not(row: PolicyChange, user: User, sha256: str) -> Refusal | None:
    if not may(user, Permission.POLICY, None):
        return Refusal("no_role", "You may not decide about the policy (any more).")
    requester = User.objects.get(pk=row.requested_by_id)
    facts = ChangeFacts(
        state=ChangeState(row.state),
        sha256=change_hash(row),
        requester_id=row.requested_by_id,
        may_ask=may(requester, Permission.POLICY, None),
        expires_at=row.expires_at,
    )
    return why_not_in_force(facts, user.pk, sha256, timezone.now())


def _into_force(row: PolicyChange, user: User, before: Policy, by: str) -> None:
    superseded = next_change_state(ChangeState.IN_FORCE, ChangeEvent.SUPERSEDE).value
    PolicyChange.objects.filter(state=ChangeState.IN_FORCE.value).update(state=superseded)
    after = next_change_state(ChangeState.REQUESTED, ChangeEvent.APPROVE).value
    PolicyChange.objects.filter(pk=row.pk).update(
        state=after,
        sentence=f"Approved by {user.username}.",
        decided_by=user,
        decided_name=user.username,
        decided_at=timezone.now(),
    )
    facts = {
        "change": row.pk, "before": asdict(before), "after": asdict(policy_of(row)), "asked_for_by": row.requested_name,
        "proved_by": by,
    }  # fmt: skip
    record("policy.approve", SUBJECT, facts, actor=user.username)
    publish("runs")


def policy_decline(*, change_id: int, user: User, reason: str, by_token: bool) -> PolicyChange:
    """No, with a reason."""
    row = change_get(change_id)
    if by_token:
        _refuse(user, Refusal("token_cannot_approve", NOT_BY_PROGRAM), row)
    if not reason.strip():
        raise Invalid("A no needs a reason. Nothing was changed.", code="no_reason")
    if user.pk == row.requested_by_id:
        _refuse(user, Refusal("own_approval", "You asked for it yourself: withdraw it instead."), row)
    if not _end(row, ChangeEvent.DECLINE, f"Declined by {user.username}: {reason.strip()}", user.username, user):
        _refuse(user, Refusal("policy_decided", "The change is decided already."), row)
    return change_get(change_id)


def policy_withdraw(*, change_id: int, user: User, reason: str) -> PolicyChange:
    """By anybody who may ask for one, before it is decided."""
    row = change_get(change_id)
    sentence = f"Withdrawn by {user.username}. {reason.strip()}".strip()
    if not _end(row, ChangeEvent.MAKE_VOID, sentence, user.username):
        _refuse(user, Refusal("policy_decided", "The change is decided already."), row)
    return change_get(change_id)


def policies_expire() -> None:
    """End a request that nobody decided in time."""
    late = PolicyChange.objects.filter(state=ChangeState.REQUESTED.value, expires_at__lte=timezone.now())
    for row in late:
        _end(row, ChangeEvent.EXPIRE, "Nobody decided in time.", "portal")


def _end(row: PolicyChange, event: ChangeEvent, sentence: str, actor: str, decided_by: User | None = None) -> bool:
    """A request comes to nothing. False where it was decided already."""
    to = next_change_state(ChangeState.REQUESTED, event).value
    fields = {"state": to, "sentence": sentence, "decided_at": timezone.now()}
    if decided_by is not None:
        fields |= {"decided_by": decided_by, "decided_name": decided_by.username}
    with transaction.atomic():
        if not PolicyChange.objects.filter(pk=row.pk, state=ChangeState.REQUESTED.value).update(**fields):
            return False
        record(f"policy.{event}", SUBJECT, {"change": row.pk, "to": to, "sentence": sentence}, actor=actor)
        publish("runs")
    return True


def _refuse(user: User, why: Refusal, row: PolicyChange | None = None, *, forbidden: bool = False) -> NoReturn:
    """Keep the refusal in the trail, then raise it."""
    sentence = f"{why.sentence} Nothing was changed."
    with transaction.atomic():
        facts = {"code": why.code, "sentence": sentence, "change": row.pk if row else None}
        record("policy.refused", SUBJECT, facts, actor=user.username)
    raise (Forbidden if forbidden or why.code in FORBIDDEN else Conflict)(sentence, code=why.code)
