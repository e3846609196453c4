"""Rights over HTTP: who may do what, where and why; giving and taking."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from django.apps import apps
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from drportal.api import asker, asking, bearer_token, needs
from drportal.errors import Forbidden, Invalid, NotFound
from drportal.people import access, grants
from drportal.people.sessions import signed_out
from drportal.roles import Permission, Role

router = Router()
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class PermissionOut(Schema):
    permission: str
    says: str


class RoleOut(Schema):
    role: str
    why: str
    permissions: list[str]


class GrantOut(Schema):
    """``over``: its time has run out. ``may_take``: the asker may take it back."""

    id: int
    role: str
    where: str
    pair_id: int | None
    plan_id: int | None
    given_by: str
    given_at: dt.datetime
    reason: str
    until: dt.datetime | None
    over: bool
    may_take: bool


class PersonAccess(Schema):
    """``second_factor``: whether there is one; ``…_missing``: a role demands one. Both null but for who may give rights
    everywhere."""

    username: str
    name: str
    active: bool
    second_factor: bool | None
    second_factor_missing: bool | None
    grants: list[GrantOut]


class ScopeOut(Schema):
    """Both numbers null: everywhere."""

    where: str
    pair_id: int | None
    plan_id: int | None


class Access(Schema):
    """The table of ``roles.py``, and people's grants as far as they bear on what the asker sees. ``scopes``: where the
    asker may give and take."""

    permissions: list[PermissionOut]
    roles: list[RoleOut]
    people: list[PersonAccess]
    scopes: list[ScopeOut]


class HolderOut(Schema):
    """``by``: the grants it comes from, in words."""

    username: str
    name: str
    by: list[str]


class PermissionHere(Schema):
    permission: str
    people: list[HolderOut]


class AccessHere(Schema):
    items: list[PermissionHere]


class GrantIn(Schema):
    """At a pair, or for a plan, or (neither) everywhere. ``until`` null: with no end."""

    username: Annotated[str, Field(max_length=150)]
    role: Role
    pair_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    plan_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    until: dt.datetime | None = None
    reason: Reason


class GrantTaken(Schema):
    reason: Reason


class SignOutIn(Schema):
    """``tokens``: withdraw their tokens, too."""

    username: Annotated[str, Field(max_length=150)]
    reason: Reason
    tokens: bool = False


class SignedOut(Schema):
    """How many were ended and withdrawn."""

    sessions: int
    tokens: int


@router.get("/access", auth=needs(Permission.VIEW), response=Access)
def access_read(request: HttpRequest) -> Any:
    """Who may do what, where and why."""
    return access.access_table(asker(request), asking(request).rights)


@router.get("/plans/{plan_id}/access", auth=needs(Permission.VIEW), response=AccessHere)
def plan_access(request: HttpRequest, plan_id: int) -> Any:
    """Who may do what with this plan, and by which grant."""
    return {"items": access.access_of(the("recovery.recoveryplan", plan_id, "group__pair"))}


@router.get("/pairs/{pair_id}/access", auth=needs(Permission.VIEW), response=AccessHere)
def pair_access(request: HttpRequest, pair_id: int) -> Any:
    """Who may do what at this pair of sites, and by which grant."""
    return {"items": access.access_of(the("inventory.sitepair", pair_id, "a"))}


@router.post("/grants", auth=needs(Permission.RIGHTS, again=True), response={201: GrantOut})
def grant_create(request: HttpRequest, body: GrantIn) -> Any:
    """Give somebody a role, with a reason. 403 ``own_rights`` for one's own; 409 ``already_given``."""
    by_a_person(request)
    if body.pair_id is not None and body.plan_id is not None:
        raise Invalid("At a pair or for a plan, not both: a plan is at its pair already. Nothing was given.")
    who = asking(request)
    for label, number in (("inventory.sitepair", body.pair_id), ("recovery.recoveryplan", body.plan_id)):
        if number is not None:
            who.require(Permission.RIGHTS, apps.get_model(label)._default_manager.filter(pk=number))
    person = User.objects.filter(username=body.username).first()
    if person is None:
        raise NotFound(f"There is no account {body.username}. Nothing was given.")
    until = body.until.replace(tzinfo=body.until.tzinfo or dt.UTC) if body.until else None
    made = grants.grant_give(
        person=person,
        role=body.role,
        actor=who.user.username,
        reason=body.reason,
        pair=the("inventory.sitepair", body.pair_id, "a", "b") if body.pair_id else None,
        plan=the("recovery.recoveryplan", body.plan_id, "group") if body.plan_id else None,
        until=until,
        by=who.user,
    )
    shown = access.shown_grants(who.rights).get(pk=made.pk)
    return Status(201, access.grant_out(shown, who.user, who.rights))


@router.post("/access/sign-out", auth=needs(Permission.RIGHTS, again=True, everywhere=True), response=SignedOut)
def access_sign_out(request: HttpRequest, body: SignOutIn) -> Any:
    """End every session of somebody, and withdraw their tokens if asked to. They may sign in again."""
    by_a_person(request)
    person = User.objects.filter(username=body.username).first()
    if person is None:
        raise NotFound(f"There is no account {body.username}. Nobody was signed out.")
    actor = asker(request).username
    sessions, tokens = signed_out(person=person, actor=actor, reason=body.reason, tokens=body.tokens)
    return SignedOut(sessions=sessions, tokens=tokens)


@router.post("/grants/{grant_id}/take", auth=needs(Permission.RIGHTS, again=True), response={204: None})
def grant_take(request: HttpRequest, grant_id: int, body: GrantTaken) -> Any:
    """Take it back, with a reason. 403 ``own_rights``; 409 ``last_administrator``."""
    by_a_person(request)
    user = asker(request)
    grants.grant_take(grant_id=grant_id, actor=user.username, reason=body.reason, by=user)
    return Status(204, None)


def by_a_person(request: HttpRequest) -> None:
    """A token that leaked must not be able to open the door for others."""
    if bearer_token(request) is not None:
        raise Forbidden("A token cannot give or take rights. Nothing was changed. Sign in.", code="not_by_token")


def the(label: str, number: int, *related: str) -> Model:
    """Raises NotFound."""
    rows: Any = apps.get_model(label)._default_manager.select_related(*related)
    thing: Model | None = rows.filter(pk=number).first()
    if thing is None:
        raise NotFound("There is no such thing (any more).")
    return thing
