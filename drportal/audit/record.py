"""The only writer of the trail. Each entry carries the hash of the one before; one lock makes the chain one line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.audit.verify import COLUMNS, GENESIS, entry_hash
from drportal.rows import insert_rows

CHAIN_LOCK = 0x6472706F7274616C  # "drportal"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to be kept:

    who did what to what. ``payload``: JSON values (times and enums are turned into text); never a secret.
    """

    action: str
    subject: str
    actor: str
    payload: Mapping[str, object] = field(default_factory=dict)
    run_id: int | None = None
    site: str | None = None  # the site's short name, where it is about one site


def record(
    action: str,
    subject: str,
    payload: Mapping[str, object],
    *,
    actor: str,
    run_id: int | None = None,
    site: str | None = None,
) -> AuditEntry:
    """Add one entry. Must be called inside the transaction of what it records: both are kept, or neither."""
    return record_many([Fact(action, subject, actor, payload, run_id, site)])[0]


# Actors that are parts of the portal. No account may bear such a name.
NO_PERSONS = frozenset({"executor", "inventory", "lab", "nobody", "poller", "portal"})
REFUSED = "request.refused"
SAME_REFUSAL_S = 60


def refusal_record(actor: str, subject: str, facts: Mapping[str, object]) -> None:
    """What somebody tried and was not let do. The very same within a minute is not kept again: a page that asks on
    and on must not fill the trail."""
    with transaction.atomic():
        lock_chain()
        since = timezone.now() - dt.timedelta(seconds=SAME_REFUSAL_S)
        recent = AuditEntry.objects.filter(actor=storable(actor)[:150]).order_by("-seq")[:20]
        wanted = (REFUSED, storable(subject)[:300], facts["code"])
        if all((one.action, one.subject, one.payload.get("code")) != wanted or one.at < since for one in recent):
            record(REFUSED, subject, facts, actor=actor)


def record_many(facts: Sequence[Fact]) -> list[AuditEntry]:
    """Add entries in the given order under one lock.

    The lock is held until the transaction ends: call this late in it.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "record() needs a transaction: an entry is committed together with what it records"
        )
    if not facts:
        return []
    seq, previous, before = lock_chain() or (0, GENESIS, None)
    now = timezone.now()
    if before is not None and before > now:
        now = before  # a clock that was set back: the order of numbers and times stays the same
    entries = []
    for fact in facts:
        entry = entry_after(seq, previous, fact, now)
        seq, previous = entry.seq, entry.hash
        entries.append(entry)
    insert_rows(entries)
    return entries


def lock_chain() -> tuple[int, str, dt.datetime] | None:
    """One writer at a time, from here to the end of the transaction. The newest entry's number, hash and time, if any.

    SQLite's transactions are IMMEDIATE (settings), so there the transaction itself is the lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT seq, hash, at FROM audit_chain_head(%s)", [CHAIN_LOCK])  # migration 0005
            return cast("tuple[int, str, dt.datetime] | None", cursor.fetchone())
    return AuditEntry.objects.order_by("-seq").values_list("seq", "hash", "at").first()


def entry_after(seq: int, previous: str, fact: Fact, now: dt.datetime) -> AuditEntry:
    entry = AuditEntry(
        seq=seq + 1,
        at=now,
        actor=storable(fact.actor)[:150],
        action=storable(fact.action)[:80],
        subject=storable(fact.subject)[:300],
        run_id=fact.run_id,
        site=storable(fact.site)[:60] if fact.site else None,
        payload=plain(fact.payload),
        previous_hash=previous,
    )
    entry.hash = entry_hash(as_exported(entry))
    return entry


def as_exported(entry: AuditEntry) -> dict[str, Any]:
    """The entry as an export's line has it, and as it is hashed. ``site`` only where there is one."""
    row = [getattr(entry, column) for column in COLUMNS]
    return exported_row(row)


def exported_row(row: Sequence[Any]) -> dict[str, Any]:
    """The same from values in the order of ``COLUMNS``."""
    made = dict(zip(COLUMNS, row, strict=True))
    made["at"] = time_text(made["at"])
    if made["site"] is None:
        del made["site"]
    return made


def exported(first: int = 1, last: int | None = None) -> Iterator[dict[str, Any]]:
    """The trail from one number to another, oldest first, without loading it at once."""
    entries = AuditEntry.objects.order_by("seq")
    if first > 1:  # from the first on means from wherever the table begins: numbers below 1 must not hide
        entries = entries.filter(seq__gte=first)
    if last is not None:
        entries = entries.filter(seq__lte=last)
    return (exported_row(row) for row in entries.values_list(*COLUMNS).iterator(chunk_size=2000))


def time_text(at: dt.datetime) -> str:
    """UTC, always with six decimals: 2026-01-31T04:05:06.000007Z."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def plain(value: object) -> Any:
    """A value that reads back from either database exactly as it was hashed.

    PostgreSQL's jsonb keeps numbers as decimals and refuses NUL, so 1.0 and 1e16 become integers and NUL a replacement
    character.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dt.datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    raise TypeError(f"{type(value).__name__} cannot be kept in the trail")


def storable(text: str) -> str:
    """Text that UTF-8 and both databases can keep."""
    return str(text).encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
