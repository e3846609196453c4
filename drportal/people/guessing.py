"""Guessing of passwords and codes, counted before one is looked at: guesses that arrive together count like guesses in
a row.

A name is counted per address and not locked for others, so that nobody can lock somebody else out. A second
factor is counted whatever the address: who is asked for one has given the right password.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.utils import timezone

from drportal.errors import PortalError
from drportal.people.models import PasswordAttempt

GUESSING_WITHIN = dt.timedelta(minutes=15)
OF_ONE_NAME, OF_ONE_ADDRESS = 5, 50
GUESSING_LOCK = 0x6472706775657373  # "drpguess"
# They stand for the address: of somebody signed in who gives the password again, and of second factors.
SIGNED_IN, A_CODE, A_KEY = "a session", "a code", "a key"


class TooManyAttempts(PortalError):
    status = 429
    code = "too_many_attempts"


class Attempt:
    """One look at a password or code; a wrong one unless ``right`` is set."""

    def __init__(self) -> None:
        self.right = False


@contextmanager
def counted_attempt(username: str, address: str) -> Iterator[Attempt]:
    """Around a look at one. Raises TooManyAttempts after too many wrong ones of one name from one address, or
    of any names from it. Whatever ends in between (a process too) leaves it counted as wrong."""
    kept = _begin(username[:150], address[:100])
    attempt = Attempt()
    yield attempt
    if attempt.right:
        PasswordAttempt.objects.filter(pk=kept).delete()


def _begin(username: str, address: str) -> int:
    now = timezone.now()
    with transaction.atomic():
        _lock()
        PasswordAttempt.objects.filter(at__lt=now - GUESSING_WITHIN).delete()
        recent = PasswordAttempt.objects.filter(address=address)
        of_all = 0 if address in (SIGNED_IN, A_CODE, A_KEY) else recent.count()
        if recent.filter(username=username).count() < OF_ONE_NAME and of_all < OF_ONE_ADDRESS:
            return PasswordAttempt.objects.create(username=username, address=address, at=now).pk
    raise TooManyAttempts(
        "A wrong password or code was given too often. What you gave now was not looked at; nothing was changed. "
        f"Wait {GUESSING_WITHIN.seconds // 60} minutes.",
        extra={"retry_after_s": GUESSING_WITHIN.seconds},
    )


def _lock() -> None:
    """One count at a time. SQLite's transactions are IMMEDIATE (settings): there the transaction is the lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GUESSING_LOCK])
