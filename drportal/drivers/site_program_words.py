"""The words of the site program's answers (``docs/site-program.md``) as values, and the other way round."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import Answer, ImageRef, MirrorSnapshot, Order
from drportal.drivers.observation import Part
from drportal.drivers.orders import Receipt
from drportal.drivers.site_link import Hello, Reply
from drportal.drivers.vantage import Address, Echo, Seen


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """``receipts`` as in docs/site-program.md, ``following`` the ``since`` for the next page, ``more`` there are."""

    receipts: tuple[dict[str, Any], ...]
    following: int
    more: bool


AT_ONCE_SINCE = (1, 3)


def page_of(content: dict[str, Any]) -> ReceiptPage:
    """Raises KeyError, TypeError, ValueError."""
    return ReceiptPage(tuple(content["receipts"]), int(content["next"]), bool(content.get("rest")))


PARSERS: dict[Part, Callable[[ImageRef, Answer, Any], Any]] = {
    Part.INFO: parse.info,
    Part.JOURNAL: parse.journal,
    Part.SNAPSHOTS: parse.snapshots,
    Part.WATCHERS: parse.watchers,
}


def version_of(program: str) -> tuple[int, ...]:
    """Of ``1.3``; empty where it is no version as we number them."""
    words = program.split(".")
    return tuple(map(int, words)) if all(word.isdigit() for word in words) else ()


def bound_of(hello: Hello, wanted: int) -> dict[str, Any]:
    """How many acts may go on beside one another. A program older than 1.3 knows its own limit only."""
    allowed = (hello.raw.get("limits") or {}).get("acts_at_once")
    if not isinstance(allowed, int) or version_of(hello.program) < AT_ONCE_SINCE:
        return {}
    return {"at_once": min(wanted, allowed)}


def error_of(content: dict[str, Any]) -> dict[str, Any]:
    error = content.get("error")
    return error if isinstance(error, dict) else {"code": "internal", "text": "it gave no reason."}


def clock_of(reply: Reply) -> dt.datetime | None:
    """The site's own clock with its offset, or None."""
    try:
        return dt.datetime.strptime(str(reply.content.get("site_clock")), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None


def seen(told: list[dict[str, Any]], addresses: Sequence[Address]) -> tuple[Seen, ...]:
    return tuple(
        Seen(address, Echo(one["answer"]), str(one["text"])) for address, one in zip(addresses, told, strict=True)
    )


def digits(word: object) -> str:
    if not isinstance(word, str) or not word.isdigit():
        raise ValueError(f"{word!r} is no client number")
    return word


def snapshot_fields(newest: MirrorSnapshot) -> dict[str, Any]:
    return {
        "snap_id": newest.snap_id,
        "state": newest.state,
        "complete": bool(newest.complete),
        "primary_snap_id": newest.primary_snap_id,
    }


def receipt_of(receipt: dict[str, Any], answer: Answer) -> Receipt:
    return Receipt(
        operation_id=str(receipt.get("op")),
        state=str(receipt.get("state")),
        going_on=receipt.get("state") == "begun" and receipt.get("alive") is not False,
        text=str(receipt.get("text") or ""),
        answer=answer,
        after=receipt.get("after") or {},
    )


def act_fields(order: Order, shown: str) -> dict[str, Any]:
    """The fields of any act."""
    return {
        "op": order.operation_id,
        "group": order.group,
        "fence": order.fence,
        "shown": shown,
        "pool": order.ref.pool,
    }
