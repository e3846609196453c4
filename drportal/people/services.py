"""Sign-in, sign-out and personal tokens.

Accounts are Django's; what a person may do comes from their grants (``people/rights.py``).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth import authenticate, logout
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from drportal.audit.record import NO_PERSONS, record, refusal_record
from drportal.errors import Invalid, NotFound, Unauthenticated
from drportal.people.guessing import TooManyAttempts, counted_attempt
from drportal.people.models import ApiToken
from drportal.people.rights import Rights, live_grants, rights_of
from drportal.people.second_step import HALF_WAY, address_of, welcome
from drportal.people.sessions import session_gone
from drportal.roles import Permission, Role

NOBODY = "nobody"  # who acts where nobody is signed in
TOKEN_PREFIX = "drp_"  # noqa: S105  (so that secret scanners know one when they see one)
USED_EVERY = dt.timedelta(minutes=1)


def roles_of(user: User) -> list[str]:
    """The roles that the person holds now, somewhere, in the order of the table."""
    held = set(live_grants().filter(person=user).values_list("role", flat=True))
    return [role.value for role in Role if role.value in held]


def sign_in(request: HttpRequest, username: str, password: str) -> None:
    """Start a session, or ask for a second factor.

    One and the same refusal for a wrong name, a wrong password and a closed account; both outcomes are in the trail.
    Raises TooManyAttempts.
    """
    address = address_of(request)
    try:
        with counted_attempt(username, address) as attempt:
            user = authenticate(request, username=username, password=password)
            attempt.right = isinstance(user, User)
    except TooManyAttempts as error:  # once a minute for an address: a stranger must not fill the trail
        facts = {"status": error.status, "code": error.code, "username": username[:100]}
        refusal_record(NOBODY, f"sign-in from {address}", facts)
        raise
    if not isinstance(user, User):
        with transaction.atomic():
            record("session.refused", username[:100], {"address": address}, actor=NOBODY)
        raise Unauthenticated("User name or password is wrong. You are not signed in.", code="wrong_password")
    welcome(request, user, {"by": "password"}, proved_at=timezone.now().timestamp())


def sign_out(request: HttpRequest) -> None:
    """Also of somebody who is half-way in."""
    if not request.user.is_authenticated:
        request.session.pop(HALF_WAY, None)
        return
    with transaction.atomic():
        record("session.end", request.user.username, {}, actor=request.user.username)
        session_gone(request.session.session_key)
        logout(request)


def why_no_name(username: str) -> str:
    """Why no account may bear this name; empty when it may. In the trail a name must be one person's."""
    if username.casefold() in NO_PERSONS:
        return f"“{username}” is what the trail calls a part of the portal."
    try:
        User.username_validator(username)
    except ValidationError as error:
        return " ".join(error.messages)
    same = User.objects.filter(username__iexact=username).exclude(username=username).first()
    return f"It is too like the name of {same.username}." if same else ""


def digest_of(token: str) -> str:
    """A token is 256 random bits, so one SHA-256 is enough and a slow hash would only slow requests down."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def token_create(
    owner: User, name: str, days: int, scope: Sequence[Permission] | None = None, actor: str = ""
) -> tuple[ApiToken, str]:
    """A new token and its text, which is not kept. Raises Invalid for a scope that is empty or beyond the owner's.

    ``actor``: who makes it, where that is not the owner.
    """
    wanted = None if scope is None else sorted({permission.value for permission in scope})
    beyond = set(scope or ()) - rights_of(owner).permissions
    if beyond or wanted == []:
        said = (
            f"You may not {', '.join(sorted(beyond))} yourself" if beyond else "A token that may do nothing is no use"
        )
        raise Invalid(f"{said}. No token was made.", code="scope")
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        expires_at = timezone.now() + dt.timedelta(days=days)
        token = ApiToken.objects.create(
            user=owner, name=name, digest=digest_of(text), scope=wanted, expires_at=expires_at
        )
        facts = {"token_id": token.pk, "owner": owner.username, "days": days, "scope": wanted}
        record("token.create", name, facts, actor=actor or owner.username)
    return token, text


def token_delete(owner: User, token_id: int, actor: str = "") -> None:
    """Raises NotFound, also for another person's token."""
    with transaction.atomic():
        token = ApiToken.objects.filter(user=owner, pk=token_id).first()
        if token is None:
            raise NotFound("You have no such token (any more).")
        facts = {"token_id": token.pk, "owner": owner.username}
        record("token.delete", token.name, facts, actor=actor or owner.username)
        token.delete()


def live_token(text: str) -> ApiToken | None:
    """The token of this text, with its owner; None where it has ended or never was, and where its owner has not signed
    in at the identity provider for long: they may have no rights there any more."""
    now = timezone.now()
    known = ApiToken.objects.select_related("user").filter(digest=digest_of(text), user__is_active=True)
    token = known.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now)).first()
    if (
        token is None
        or SocialAccount.objects.filter(user=token.user, last_login__lt=now - settings.OIDC_TOKENS).exists()
    ):
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def rights_of_token(token: ApiToken) -> Rights:
    """What it may do now: what its owner may do now, within its scope."""
    rights = rights_of(token.user)
    return rights if token.scope is None else rights.within(token.scope)
