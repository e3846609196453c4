"""Guessing of passwords, counted before a password is looked at: guesses that arrive together count like guesses in a
row.

A name is counted per address and not locked for others, so that nobody can lock somebody else out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from drportal.errors import PortalError
from drportal.people.models import PasswordAttempt

GUESSING_WITHIN = dt.timedelta(minutes=15)
OF_ONE_NAME, OF_ONE_ADDRESS = 5, 50
GUESSING_LOCK = 0x6472706775657373  # "drpguess"
SIGNED_IN = "a session"  # stands for the address where somebody who is signed in gives the password again


class TooManyAttempts(PortalError):
    status = 429
    code = "too_many_attempts"


class Attempt:
    """One look at a password; a wrong one unless ``right`` is set."""

    def __init__(self) -> None:
        self.right = False


@contextmanager
def counted_attempt(username: str, address: str) -> Iterator[Attempt]:
    """Around a look at a password. Raises TooManyAttempts after too many wrong ones of one name from one address, or
    of any names from it. Whatever ends in between (a process too) leaves it counted as wrong."""
    kept = _begin(username[:150], address[:100])
    attempt = Attempt()
    yield attempt
    if attempt.right:
        PasswordAttempt.objects.filter(pk=kept).delete()


def password_matches(user: User, password: str) -> bool:
    """For somebody signed in who gives the password again. Raises TooManyAttempts."""
    with counted_attempt(user.username, SIGNED_IN) as attempt:
        attempt.right = user.has_usable_password() and user.check_password(password)
    return attempt.right


def _begin(username: str, address: str) -> int:
    now = timezone.now()
    with transaction.atomic():
        _lock()
        PasswordAttempt.objects.filter(at__lt=now - GUESSING_WITHIN).delete()
        recent = PasswordAttempt.objects.filter(address=address)
        of_all = 0 if address == SIGNED_IN else recent.count()
        if recent.filter(username=username).count() < OF_ONE_NAME and of_all < OF_ONE_ADDRESS:
            return PasswordAttempt.objects.create(username=username, address=address, at=now).pk
    raise TooManyAttempts(
        "A wrong password was given too often. The one you gave now was not looked at, and nothing was changed. "
        f"Wait {GUESSING_WITHIN.seconds // 60} minutes.",
        extra={"retry_after_s": GUESSING_WITHIN.seconds},
    )


def _lock() -> None:
    """One count at a time. SQLite's transactions are IMMEDIATE (settings): there the transaction is the lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GUESSING_LOCK])
