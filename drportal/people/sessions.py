"""From where somebody is signed in: kept for them to see and to end."""

from __future__ import annotations

import datetime as dt
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from drportal.audit.record import record
from drportal.errors import Invalid, NotFound
from drportal.people.models import ApiToken, BrowserSession

SEEN_EVERY = dt.timedelta(minutes=1)


def store_of(session_key: str | None) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(session_key)


def user_of_session(session_key: str | None) -> User | None:
    """Whose session it is *now*, from the database; None when it has ended or the account is closed."""
    user: Any = get_user(SimpleNamespace(session=store_of(session_key)))  # type: ignore[arg-type]  # reads no more
    return user if user.is_authenticated else None


def session_seen(request: HttpRequest, user: User) -> None:
    """Note a request of a session, once a minute. One that is not known yet is noted too."""
    key, now = request.session.session_key, timezone.now()
    if key is None:
        return
    fresh = BrowserSession.objects.filter(session_key=key, seen_at__gt=now - SEEN_EVERY)
    if fresh.exists():
        return
    address = (request.META.get("REMOTE_ADDR") or "unknown")[:100]
    agent = request.headers.get("User-Agent", "")[:300]
    noted = {"seen_at": now, "address": address, "agent": agent}
    BrowserSession.objects.update_or_create(
        session_key=key, defaults=noted, create_defaults={**noted, "user": user, "started_at": now}
    )


def session_gone(session_key: str | None) -> None:
    BrowserSession.objects.filter(session_key=session_key).delete()


def sessions_of(user: User) -> list[BrowserSession]:
    """Those that still open the door, the last used first; what is left of others is swept away."""
    kept = []
    for session in BrowserSession.objects.filter(user=user).order_by("-seen_at"):
        if user_of_session(session.session_key) == user:
            kept.append(session)
        else:
            session.delete()
    return kept


def sessions_end_all(user: User) -> None:
    """Where an account is not to be trusted as it stands. The trail is the caller's."""
    for session in BrowserSession.objects.filter(user=user):
        store_of(session.session_key).delete()
        session.delete()


def signed_out(*, person: User, actor: str, reason: str, tokens: bool) -> tuple[int, int]:
    """End all that somebody is signed in with, for who has lost a laptop or must go; ``tokens``: and withdraw their
    tokens. How many sessions and tokens. Raises Invalid (reason).
    """
    if not reason.strip():
        raise Invalid("Say why. Nobody was signed out.", code="reason")
    with transaction.atomic():
        sessions = len(sessions_of(person))
        sessions_end_all(person)
        withdrawn = ApiToken.objects.filter(user=person).delete()[0] if tokens else 0
        facts = {"reason": reason.strip(), "sessions": sessions, "tokens": withdrawn}
        record("person.signed_out", person.username, facts, actor=actor)
    return sessions, withdrawn


def session_revoke(owner: User, session_id: int) -> None:
    """End a session of one's own; its pages find out at their next request, its websocket within half a minute.

    Raises NotFound, also for another person's.
    """
    with transaction.atomic():
        session = BrowserSession.objects.filter(user=owner, pk=session_id).first()
        if session is None:
            raise NotFound("You have no such session (any more).")
        facts = {"address": session.address, "agent": session.agent}
        record("session.revoke", owner.username, facts, actor=owner.username)
        store_of(session.session_key).delete()
        session.delete()
