"""Passwords of local accounts: which are taken, and how people change their own."""

from __future__ import annotations

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from drportal.audit.record import record
from drportal.errors import Conflict, Forbidden, Invalid
from drportal.people.models import BrowserSession
from drportal.people.proof import password_matches
from drportal.people.sessions import session_gone, session_seen, sessions_end_all


def why_no_password(password: str, person: User) -> str:
    """Empty when it may be this person's password."""
    try:
        validate_password(password, person)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def password_change(request: HttpRequest, person: User, password: str, new_password: str) -> int:
    """Another password for oneself. Every other session ends; how many did. Tokens go on: they are no sessions.

    Raises Conflict (no_password), Forbidden (wrong_password), TooManyAttempts, Invalid (weak_password).
    """
    if not person.has_usable_password():
        raise Conflict(
            "Your account has no password here: you sign in at the identity provider. Nothing was changed.",
            code="no_password",
        )
    if not password_matches(person, password):
        with transaction.atomic():
            record("session.not_proved", person.username, {"tried": "password"}, actor=person.username)
        raise Forbidden("Your password now is another one. Nothing was changed.", code="wrong_password")
    why = "It is the one that you have." if new_password == password else why_no_password(new_password, person)
    if why:
        raise Invalid(f"{why} Your password was not changed.", code="weak_password")
    with transaction.atomic():
        here = request.session.session_key
        others = BrowserSession.objects.filter(user=person).exclude(session_key=here).count()
        person.set_password(new_password)
        person.save(update_fields=["password"])
        record("person.password", person.username, {"sessions_ended": others}, actor=person.username)
        session_gone(here)  # it goes on under another key
        sessions_end_all(person)
        update_session_auth_hash(request, person)
        session_seen(request, person)
    return others
