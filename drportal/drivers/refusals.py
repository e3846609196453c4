"""What a site's program told of the requests that it refused (``docs/site-program.md``): somebody else's words, so cut
short, and escaped wherever they are not plain text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN = 200
MOST_GROUPS = 50
MOST_OPS = 200


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """Refused for the same reason (``code``), to the same key (``rights``), from the same address. ``ops``: the
    operations that they name, none where they name none. ``line``, ``text``: of the last one.
    """

    code: str
    rights: str
    address: str
    count: int
    ops: tuple[str, ...]
    first_at: dt.datetime
    last_at: dt.datetime
    text: str
    line: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """``since``: what was asked with; ``following``: with what to ask next. ``more``: refused lines of no group.
    ``whole`` False: some were not told. ``own_address``: where the site sees this portal come from.
    """

    since: int
    groups: tuple[RefusedGroup, ...]
    following: int
    more: int
    whole: bool
    own_address: str


def refusals_of(content: Mapping[str, Any], since: int) -> Refusals:
    """Raises KeyError, TypeError, ValueError, AttributeError for what is none."""
    return Refusals(
        since=since,
        groups=tuple(_group(one) for one in content["groups"][:MOST_GROUPS]),
        following=_number(content["next"]),
        more=_number(content["more"]),
        whole=content["whole"] is True,
        own_address=plain_text(content.get("address"), 60),
    )


def _group(told: Mapping[str, Any]) -> RefusedGroup:
    return RefusedGroup(
        code=plain_text(told["code"], 40),
        rights=plain_text(told["rights"], 10),
        address=plain_text(told["address"], 60),
        count=max(1, _number(told["count"])),
        ops=tuple(plain_text(op, 80) for op in told["ops"][:MOST_OPS]),
        first_at=_time(told["first_at"]),
        last_at=_time(told["last_at"]),
        text=plain_text(told["text"], SHOWN),
        line=plain_text(told["line"], SHOWN),
    )


def _number(told: object) -> int:
    """That a database can keep."""
    return int(min(max(float(str(told)), 0.0), 2.0**53))


def _time(told: object) -> dt.datetime:
    return dt.datetime.fromtimestamp(min(max(float(str(told)), 0.0), 4e9), dt.UTC)


def plain_text(said: object, most: int) -> str:
    """What nobody's screen, log or terminal takes for anything but text: no control characters, none that change the
    direction of reading, none that are not seen."""
    text = str(said or "")[:most]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
    return escaped[:most]
