"""Signing in and out, sessions, personal tokens, and who may do what, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from drportal.api import asker, needs_session, require_csrf
from drportal.errors import Unauthenticated
from drportal.people import factors, oidc, services, sessions
from drportal.people.api_factors import Challenge
from drportal.people.models import ApiToken, BrowserSession
from drportal.people.passwords import password_change
from drportal.people.proof import Proof, prove, ways_to_prove
from drportal.people.rights import rights_of, spelled_out
from drportal.people.schemas import ProofIn
from drportal.people.second_step import REFUSAL, SIGN_OUT_AT, half_way, nobody_half_way, second_step
from drportal.roles import PEOPLE, Permission

router = Router()


class Right(Schema):
    """How far a permission goes. ``plans``: also those at the ``pairs``."""

    permission: Permission
    everywhere: bool
    pairs: list[int]
    plans: list[int]


class Person(Schema):
    """``permissions``: what they may do somewhere at all; ``rights``: where.

    ``proofs``: what can show again that it is this person: password, code, key, oidc. ``factor_missing``: a role
    demands a second factor; until there is one, nothing but setting it up is let through. ``sign_out_at``: where to
    sign out at the identity provider too; empty for who does not come from there."""

    username: str
    name: str
    roles: list[str]
    permissions: list[str]
    rights: list[Right]
    proofs: list[str]
    factor_missing: bool
    sign_out_at: str


class SecondFactor(Schema):
    """Who has given the password, and has to give one of ``ways`` too: code, key."""

    username: str
    ways: list[str]


class DemoLogin(Schema):
    role: str
    username: str
    password: str


class Session(Schema):
    """``second_factor``: signing in waits for it. ``oidc``: what the identity provider is called; null: there is none.
    ``refusal``: why the way over the identity provider ended here."""

    authenticated: bool
    user: Person | None
    second_factor: SecondFactor | None
    oidc: str | None
    refusal: str | None
    csrf_token: str
    version: str
    demo: bool
    demo_logins: list[DemoLogin]
    now: dt.datetime


class SignIn(Schema):
    username: str = Field(max_length=150)
    password: str = Field(max_length=1000)


class SecondFactorIn(Schema):
    """``code`` of an app, or a recovery code; or ``key``: the answer of a security key to its challenge."""

    code: str = Field("", max_length=40)
    key: dict[str, Any] | None = None


class PasswordIn(Schema):
    """``password``: the one that you have."""

    password: str = Field(max_length=1000)
    new_password: str = Field(max_length=1000)


class PasswordChanged(Schema):
    sessions_ended: int


class ToProvider(Schema):
    """``back_to``: the page to come back to. ``again``: you are signed in, and are asked anew."""

    back_to: str = Field("/", max_length=300)
    again: bool = False


class ProviderAddress(Schema):
    address: str


class Token(Schema):
    """``scope``: the permissions it may use, as far as its owner has them; null: all of them."""

    id: int
    name: str
    scope: list[str] | None
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None


class Tokens(Schema):
    items: list[Token]


class TokenIn(Schema):
    name: str = Field(min_length=1, max_length=100)
    days: int = Field(ge=1, le=366)
    scope: list[Permission] | None = None


class NewToken(Token):
    """``token`` is shown this once."""

    token: str


class BrowserSessionOut(Schema):
    """``here``: the one that asks."""

    id: int
    started_at: dt.datetime
    seen_at: dt.datetime
    address: str
    agent: str
    here: bool


class BrowserSessions(Schema):
    items: list[BrowserSessionOut]


def person_of(request: HttpRequest) -> Person | None:
    user = request.user
    if not isinstance(user, User):
        return None
    rights = rights_of(user)
    return Person(
        username=user.username,
        name=user.get_full_name() or user.username,
        roles=services.roles_of(user),
        permissions=sorted(permission.value for permission in rights.permissions),
        rights=[Right(permission=permission, **far) for permission, far in spelled_out(rights).items()],
        proofs=ways_to_prove(user),
        factor_missing=factors.factor_missing(user),
        sign_out_at=request.session.get(SIGN_OUT_AT, ""),
    )


def second_factor_of(request: HttpRequest) -> SecondFactor | None:
    user = half_way(request)
    return SecondFactor(username=user.username, ways=factors.ways_of(user)) if user else None


def demo_logins() -> list[DemoLogin]:
    return [DemoLogin(role=role.value, username=role.value, password=f"{role.value}-demo") for role in PEOPLE]


def session_of(request: HttpRequest) -> Session:
    user = person_of(request)
    return Session(
        authenticated=user is not None,
        user=user,
        second_factor=None if user else second_factor_of(request),
        oidc=settings.OIDC_NAME if settings.OIDC_ISSUER else None,
        refusal=request.session.get(REFUSAL),
        csrf_token=get_token(request),
        version=settings.VERSION,
        demo=settings.DEMO,
        demo_logins=demo_logins() if settings.DEMO and user is None else [],
        now=timezone.now(),
    )


@router.get("/session", auth=None, response=Session)
def session_get(request: HttpRequest) -> Session:
    """Who is signed in; also sets the CSRF cookie. For everybody."""
    return session_of(request)


@router.post("/session", auth=None, response=Session)
def session_start(request: HttpRequest, body: SignIn) -> Session:
    """Sign in; where there is a second factor, ``/session/factor`` goes on. 401 ``wrong_password`` for an unknown user
    as well."""
    require_csrf(request)
    services.sign_in(request, body.username, body.password)
    return session_of(request)


@router.delete("/session", auth=None, response={204: None})
def session_end(request: HttpRequest) -> Any:
    """Sign out."""
    require_csrf(request)
    services.sign_out(request)
    return Status(204, None)


@router.post("/session/factor", auth=None, response=Session)
def session_second_step(request: HttpRequest, body: SecondFactorIn) -> Session:
    """The second factor of somebody who has given the password. 401 ``wrong_code``, ``wrong_key``."""
    require_csrf(request)
    second_step(request, Proof(code=body.code, key=body.key))
    return session_of(request)


@router.post("/session/key-challenge", auth=None, response=Challenge)
def session_key_challenge(request: HttpRequest) -> Any:
    """What the browser hands to the security keys of who is signed in, or has given the password."""
    require_csrf(request)
    user = request.user if isinstance(request.user, User) else half_way(request)
    if user is None:
        raise nobody_half_way()
    return {"public_key": factors.key_challenge(user)["publicKey"]}


@router.post("/session/oidc", auth=None, response=ProviderAddress)
def session_to_provider(request: HttpRequest, body: ToProvider) -> Any:
    """Where the identity provider signs you in. 503 ``provider_unavailable``; a password needs none."""
    require_csrf(request)
    user = request.user if body.again else None
    if user is not None and not isinstance(user, User):
        raise Unauthenticated("You are not signed in (any more). Nothing was begun.")
    return {"address": oidc.begin(request, body.back_to, again=user)}


@router.post("/session/proof", auth=needs_session(bare=True), response={204: None})
def session_prove(request: HttpRequest, body: ProofIn) -> Any:
    """Show once more that it is you, for what needs it (403 ``password_again``). Good for a quarter of an hour."""
    prove(request, asker(request), body.proof())
    return Status(204, None)


@router.put("/session/password", auth=needs_session(), response=PasswordChanged)
def session_password(request: HttpRequest, body: PasswordIn) -> Any:
    """Another password for yourself; your other sessions end. 403 ``wrong_password``, 422 ``weak_password``, 409
    ``no_password`` for who signs in at the identity provider."""
    return {"sessions_ended": password_change(request, asker(request), body.password, body.new_password)}


@router.get("/tokens", auth=needs_session(), response=Tokens)
def token_list(request: HttpRequest) -> Any:
    """Your own tokens."""
    return {"items": list(ApiToken.objects.filter(user=asker(request)).order_by("-created_at"))}


@router.post("/tokens", auth=needs_session(again=True), response={201: NewToken})
def token_create(request: HttpRequest, body: TokenIn, response: HttpResponse) -> Any:
    """Make a token; its text is in this answer and nowhere else."""
    token, text = services.token_create(asker(request), body.name, body.days, body.scope)
    response["Cache-Control"] = "no-store"
    return Status(201, NewToken(token=text, **Token.from_orm(token).dict()))


@router.delete("/tokens/{token_id}", auth=needs_session(), response={204: None})
def token_delete(request: HttpRequest, token_id: int) -> Any:
    services.token_delete(asker(request), token_id)
    return Status(204, None)


@router.get("/sessions", auth=needs_session(), response=BrowserSessions)
def session_list(request: HttpRequest) -> Any:
    """From where you are signed in."""
    here = request.session.session_key
    found = sessions.sessions_of(asker(request))
    return {"items": [session_out(session, here) for session in found]}


def session_out(session: BrowserSession, here: str | None) -> dict[str, Any]:
    fields = {name: getattr(session, name) for name in ("id", "started_at", "seen_at", "address", "agent")}
    return {**fields, "here": session.session_key == here}


@router.delete("/sessions/{session_id}", auth=needs_session(), response={204: None})
def session_revoke(request: HttpRequest, session_id: int) -> Any:
    """End one of your own sessions."""
    sessions.session_revoke(asker(request), session_id)
    return Status(204, None)
