"""The end of signing in, whatever its beginning: a session, or the question for a second factor where there is one."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from drportal.audit.record import record
from drportal.errors import Conflict, Unauthenticated
from drportal.people.factors import has_factor
from drportal.people.proof import PROVED_AT, Proof, proof_holds
from drportal.people.sessions import session_seen

# In the session of somebody who is not signed in yet: who has given the password, and how far that got them.
HALF_WAY, HALF_WAY_FOR = "half_way", dt.timedelta(minutes=5)
REFUSAL = "refusal"  # in the session: why the way over the identity provider ended at the sign-in page
SIGN_OUT_AT = "sign_out_at"  # in the session: where one signs out at the identity provider
BACKEND = "django.contrib.auth.backends.ModelBackend"


def address_of(request: HttpRequest) -> str:
    return request.META.get("REMOTE_ADDR") or "unknown"


def welcome(
    request: HttpRequest, user: User, facts: dict[str, Any], *, proved_at: float, sign_out_at: str | None = None
) -> None:
    """The first part of signing in went well.

    ``facts``: how, for the trail. ``sign_out_at``: not None for who comes from the identity provider; their session
    ends by itself (``OIDC_SESSION``), so that rights that were withdrawn there end here.
    """
    request.session.pop(REFUSAL, None)
    if not has_factor(user):
        _begin(request, user, facts, proved_at, sign_out_at)
        return
    request.session.cycle_key()
    request.session[HALF_WAY] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": timezone.now().timestamp(),
        "facts": facts,
        "sign_out_at": sign_out_at,
    }


def half_way(request: HttpRequest) -> User | None:
    """Who has to give a second factor to be signed in here."""
    kept = request.session.get(HALF_WAY)
    if kept is None or timezone.now().timestamp() - kept["at"] > HALF_WAY_FOR.total_seconds():
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    return user if user and constant_time_compare(kept["hash"], user.get_session_auth_hash()) else None


def nobody_half_way() -> Conflict:
    return Conflict("Nobody is signing in here (any more). You are not signed in. Begin again.", code="not_begun")


def second_step(request: HttpRequest, proof: Proof) -> None:
    """A code or a key, after which the person is signed in. Raises Conflict, Unauthenticated,
    TooManyAttempts."""
    user = half_way(request)
    if user is None:
        raise nobody_half_way()
    by = proof_holds(user, proof) if proof.code or proof.key is not None else None
    if by is None:
        code, said = proof.refusal()
        with transaction.atomic():
            facts = {"address": address_of(request), "tried": proof.way}
            record("session.refused", user.username, facts, actor=user.username)
        raise Unauthenticated(f"{said} You are not signed in.", code=code)
    kept = request.session.pop(HALF_WAY)
    facts = {**kept["facts"], "second_factor": by}
    _begin(request, user, facts, timezone.now().timestamp(), kept["sign_out_at"])


def _begin(request: HttpRequest, user: User, facts: dict[str, Any], proved_at: float, sign_out_at: str | None) -> None:
    with transaction.atomic():
        login(request, user, BACKEND)
        request.session.pop(HALF_WAY, None)
        request.session[PROVED_AT] = proved_at
        if sign_out_at is not None:
            request.session[SIGN_OUT_AT] = sign_out_at
            request.session.set_expiry(timezone.now() + settings.OIDC_SESSION)
        session_seen(request, user)
        record("session.start", user.username, {"address": address_of(request), **facts}, actor=user.username)
