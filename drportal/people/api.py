"""Session and personal tokens over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.utils import timezone
from ninja import Field, Router, Schema, Status

from drportal.api import asker, needs_session, require_csrf
from drportal.people import services, sessions
from drportal.people.models import ApiToken, BrowserSession
from drportal.people.rights import rights_of, spelled_out
from drportal.roles import PEOPLE, Permission

router = Router()


class Right(Schema):
    """How far a permission goes. ``plans``: also those at the ``pairs``."""

    permission: Permission
    everywhere: bool
    pairs: list[int]
    plans: list[int]


class Person(Schema):
    """``permissions``: what they may do somewhere at all; ``rights``: where."""

    username: str
    name: str
    roles: list[str]
    permissions: list[str]
    rights: list[Right]


class DemoLogin(Schema):
    role: str
    username: str
    password: str


class Session(Schema):
    authenticated: bool
    user: Person | None
    csrf_token: str
    version: str
    demo: bool
    demo_logins: list[DemoLogin]
    now: dt.datetime


class SignIn(Schema):
    username: str = Field(max_length=150)
    password: str = Field(max_length=1000)


class PasswordAgain(Schema):
    password: str = Field(max_length=1000)


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


def person_of(user: User | AnonymousUser) -> Person | None:
    if not isinstance(user, User):
        return None
    rights = rights_of(user)
    return Person(
        username=user.username,
        name=user.get_full_name() or user.username,
        roles=services.roles_of(user),
        permissions=sorted(permission.value for permission in rights.permissions),
        rights=[Right(permission=permission, **far) for permission, far in spelled_out(rights).items()],
    )


def demo_logins() -> list[DemoLogin]:
    return [DemoLogin(role=role.value, username=role.value, password=f"{role.value}-demo") for role in PEOPLE]


def session_of(request: HttpRequest) -> Session:
    user = person_of(request.user)
    return Session(
        authenticated=user is not None,
        user=user,
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
    """Sign in. 401 ``wrong_password`` for an unknown user as well."""
    require_csrf(request)
    services.sign_in(request, body.username, body.password)
    return session_of(request)


@router.delete("/session", auth=None, response={204: None})
def session_end(request: HttpRequest) -> Any:
    """Sign out."""
    require_csrf(request)
    services.sign_out(request)
    return Status(204, None)


@router.post("/session/password", auth=needs_session(), response={204: None})
def session_prove(request: HttpRequest, body: PasswordAgain) -> Any:
    """Give the password once more, for what needs it (403 ``password_again``). Good for a quarter of an hour."""
    services.prove(request, asker(request), body.password)
    return Status(204, None)


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
