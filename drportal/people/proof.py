"""That it is still this person, before something dangerous: the password, or a second factor, or, for who has neither,
a sign-in at the identity provider just now. One function for all of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allauth.core import context
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from drportal.audit.record import record
from drportal.errors import Forbidden, Invalid
from drportal.people.factors import code_right, key_right, ways_of
from drportal.people.guessing import SIGNED_IN, counted_attempt

# In the session: when it was last shown that it is this person; and when the identity provider last asked anew.
PROVED_AT, PROVED_FOR = "proved_at", dt.timedelta(minutes=15)
FRESH_AT, FRESH_FOR = "oidc_fresh_at", dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was given: one of these. Nothing: a fresh sign-in at the identity provider is meant."""

    password: str = ""
    code: str = ""
    key: Mapping[str, Any] | None = None

    @property
    def way(self) -> str:
        return "key" if self.key is not None else "code" if self.code else "password" if self.password else "oidc"

    def refusal(self) -> tuple[str, str]:
        """Code and sentence where it does not hold."""
        if self.key is not None:
            return "wrong_key", "That is none of your keys, or it answered something else."
        if self.code:
            return "wrong_code", "The code is wrong, or was used before."
        if self.password:
            return "wrong_password", "The password is wrong."
        return "proof_needed", "It was not shown that it is you: no password, no code, no key, no fresh sign-in."


def proof_holds(user: User, proof: Proof) -> str | None:
    """By what it was shown that it is this person; None if it was not. Within a request. Raises TooManyAttempts."""
    if proof.key is not None:
        return "key" if key_right(user, proof.key) else None
    if proof.code:
        return code_right(user, proof.code)
    if proof.password:
        return "password" if password_matches(user, proof.password) else None
    return "oidc" if _signed_in_freshly() else None


def password_matches(user: User, password: str) -> bool:
    with counted_attempt(user.username, SIGNED_IN) as attempt:
        attempt.right = user.has_usable_password() and user.check_password(password)
    return attempt.right


def _signed_in_freshly() -> bool:
    """Counts once, as a password that is typed does."""
    request = context.request
    at = request.session.pop(FRESH_AT, 0.0) if request is not None else 0.0
    return bool(timezone.now().timestamp() - at < FRESH_FOR.total_seconds())


def ways_to_prove(user: User) -> list[str]:
    """password, code, key; oidc for who signs in at the identity provider."""
    password = ["password"] if user.has_usable_password() else []
    by_provider = bool(settings.OIDC_ISSUER) and SocialAccount.objects.filter(user=user).exists()
    return [*password, *ways_of(user), *(["oidc"] if by_provider else [])]


def prove(request: HttpRequest, user: User, proof: Proof) -> None:
    """In a session that goes on. Raises Invalid, Forbidden, TooManyAttempts; what was tried is in the trail."""
    code, said = proof.refusal()
    if proof == Proof():
        raise Invalid(f"{said} Nothing was changed.", code=code)
    by = proof_holds(user, proof)
    with transaction.atomic():
        facts = {"by": by} if by else {"tried": proof.way}
        record("session.proved" if by else "session.not_proved", user.username, facts, actor=user.username)
    if not by:
        raise Forbidden(f"{said} Nothing was changed.", code=code)
    request.session[PROVED_AT] = timezone.now().timestamp()


def proved_lately(request: HttpRequest) -> bool:
    """Whether the session's owner showed within ``PROVED_FOR`` that it is them (signing in counts)."""
    at = request.session.get(PROVED_AT, 0.0)
    return bool(timezone.now().timestamp() - at < PROVED_FOR.total_seconds())
