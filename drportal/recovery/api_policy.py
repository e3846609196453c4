"""The approval policy over HTTP: what counts, what is asked for, and the decision about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from drportal.api import asker, bearer_token, needs
from drportal.engine.fence import RUNG_WORDS, FenceRung
from drportal.engine.policy import MOST_MINUTES, MOST_NEEDED, ChangeState, Policy
from drportal.people.rights import people_who_may
from drportal.people.schemas import ProofIn
from drportal.recovery.models import PolicyChange
from drportal.recovery.policy import FIRST_RULE, policy_in_force, policy_now, policy_of
from drportal.recovery.schemas_approval import SaidIn
from drportal.recovery.services import policy as services
from drportal.roles import Permission

router = Router()
NEWEST = 50


class PolicyOut(Schema):
    """``least_rung``: of the fence, below which no reason lets a run go on. ``words``: the same as a sentence."""

    needed: int
    minutes: int
    break_glass: bool
    least_rung: int
    words: str


class PolicyChangeOut(Schema):
    """``sha256``: of what a yes is to; null once it is decided. ``looser``: in which points it lets through what the
    policy of now does not. ``could_decide``: who could say yes to it now, by name."""

    id: int
    policy: PolicyOut
    looser: list[str]
    reason: str
    state: str
    sentence: str
    requested_by: str
    created_at: dt.datetime
    expires_at: dt.datetime
    decided_by: str
    decided_at: dt.datetime | None
    sha256: str | None
    could_decide: list[str]


class Rung(Schema):
    """Of the fence."""

    rung: int
    words: str


class PolicyPage(Schema):
    """``rule``: by what the policy counts. ``pending``: the change that waits for a decision."""

    policy: PolicyOut
    rule: str
    pending: PolicyChangeOut | None
    history: list[PolicyChangeOut]
    most_needed: int
    most_minutes: int
    rungs: list[Rung]


class PolicyIn(Schema):
    needed: int = Field(ge=1, le=MOST_NEEDED)
    minutes: int = Field(ge=1, le=MOST_MINUTES)
    break_glass: bool
    least_rung: int = Field(default=FenceRung.OFF.value, ge=FenceRung.OFF.value, le=FenceRung.CUT.value)
    reason: str = Field(max_length=2000)


class PolicyYes(ProofIn):
    """That it is you, now. ``sha256``: of the change as it was shown."""

    sha256: str = Field(max_length=64)


@router.get("/policy", auth=needs(Permission.VIEW), response=PolicyPage)
def policy_read(request: HttpRequest) -> Any:
    """How many people must say yes to a forced promotion, how long a request stands, whether one may go on alone."""
    return policy_page()


@router.post(
    "/policy/changes", auth=needs(Permission.POLICY, again=True, everywhere=True), response={201: PolicyChangeOut}
)
def policy_change_request(request: HttpRequest, body: PolicyIn) -> Any:
    """Ask for another policy. Nothing changes before another person has said yes to it."""
    row = services.policy_request(
        user=asker(request),
        wanted=Policy(body.needed, body.minutes, body.break_glass, body.least_rung),
        reason=body.reason,
        by_token=bearer_token(request) is not None,
    )
    return Status(201, change_out(row))


@router.post(
    "/policy/changes/{int:change_id}/approve",
    auth=needs(Permission.POLICY, everywhere=True),
    response=PolicyChangeOut,
)
def policy_change_approve(request: HttpRequest, change_id: int, body: PolicyYes) -> Any:
    """Yes to somebody else's change: it counts from now on."""
    by_token = bearer_token(request) is not None
    row = services.policy_approve(
        change_id=change_id, user=asker(request), proof=body.proof(), sha256=body.sha256, by_token=by_token
    )
    return change_out(row)


@router.post(
    "/policy/changes/{int:change_id}/decline",
    auth=needs(Permission.POLICY, everywhere=True),
    response=PolicyChangeOut,
)
def policy_change_decline(request: HttpRequest, change_id: int, body: SaidIn) -> Any:
    by_token = bearer_token(request) is not None
    row = services.policy_decline(change_id=change_id, user=asker(request), reason=body.text, by_token=by_token)
    return change_out(row)


@router.post(
    "/policy/changes/{int:change_id}/withdraw",
    auth=needs(Permission.POLICY, everywhere=True),
    response=PolicyChangeOut,
)
def policy_change_withdraw(request: HttpRequest, change_id: int, body: SaidIn) -> Any:
    """Take the request back before it is decided."""
    return change_out(services.policy_withdraw(change_id=change_id, user=asker(request), reason=body.text))


# --- rows to answers


def policy_page() -> PolicyPage:
    row = policy_in_force()
    rows = list(PolicyChange.objects.all()[:NEWEST])
    waiting = next((one for one in rows if one.state == ChangeState.REQUESTED), None)
    rule = FIRST_RULE
    if row is not None:
        rule = f"Asked for by {row.requested_name}, approved by {row.decided_name}: {row.reason}"
    return PolicyPage(
        policy=policy_words(policy_now()),
        rule=rule,
        pending=change_out(waiting) if waiting else None,
        history=[change_out(one) for one in rows if one.state != ChangeState.REQUESTED],
        most_needed=MOST_NEEDED,
        most_minutes=MOST_MINUTES,
        rungs=[Rung(rung=rung.value, words=words) for rung, words in RUNG_WORDS.items() if rung],
    )


def policy_words(policy: Policy) -> PolicyOut:
    return PolicyOut(**asdict(policy), words=policy.words())


def change_out(row: PolicyChange) -> PolicyChangeOut:
    waits = row.state == ChangeState.REQUESTED
    able = people_who_may(Permission.POLICY, None) if waits else []
    return PolicyChangeOut(
        id=row.pk,
        policy=policy_words(policy_of(row)),
        looser=list(policy_of(row).looser_than(policy_now())) if waits else [],
        reason=row.reason,
        state=row.state,
        sentence=row.sentence,
        requested_by=row.requested_name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_by=row.decided_name,
        decided_at=row.decided_at,
        sha256=services.change_hash(row) if waits else None,
        could_decide=[person.username for person in able if person.pk != row.requested_by_id],
    )
