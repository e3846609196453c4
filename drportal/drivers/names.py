"""Which names may stand in a command, decided in one place.

Ceph itself allows more (blanks, ``@``, any UTF-8); such an image can't be protected by the portal, and the inventory
says so instead of trying. OpenNebula's own names (``one-7``, ``one-7-12-0``) all pass.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,96}")
RULE = "letters, digits, '.', '_' and '-', at most 96 of them, and no '-' in front"


class BadName(ValueError):
    """A name that the portal does not put into a command. Nothing was sent."""


def is_good_name(name: str) -> bool:
    """Whether ``name`` may be used as the name of a pool, an image or a cephx user."""
    return _NAME.fullmatch(name) is not None and not name.startswith("-")


def checked_name(name: str, what: str) -> str:
    """``name`` itself, or BadName. ``what`` is the word for the sentence: pool, image, Ceph user."""
    if not is_good_name(name):
        raise BadName(f"{name!r} is not a name the portal uses for a {what}: {RULE}.")
    return name
