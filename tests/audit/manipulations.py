"""What somebody may do to a trail who may do anything there but change the anchors, which lie elsewhere."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drportal.audit import verify
from drportal.audit.export import trail_export
from drportal.audit.record import Fact, as_exported, entry_after
from drportal.audit.search import Filter
from drportal.audit.verify import GENESIS, Broken, canonical, entry_hash, verify_file

Entry = dict[str, Any]


def facts(dice: random.Random, number: int) -> list[Fact]:
    """Entries of all shapes, equal neighbours among them."""
    made = []
    for count in range(number):
        payload = {"count": count % 3, "sentence": dice.choice(["", "Zoë — \u2028", '"\\\n']), "share": dice.random()}
        site = dice.choice([None, "site-a", "site-b"])
        made.append(
            Fact(dice.choice(["step.done", "run.request"]), "one/one-1", "olga", payload, count % 4 or None, site)
        )
    return made


# --- the manipulations: each gives what stands there afterwards, different from what stood there before


def edited(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    """One field of one entry, with or without a fitting hash."""
    which = dice.randrange(len(entries))
    changed = json.loads(json.dumps(entries[which]))
    field = dice.choice(["at", "actor", "action", "subject", "run_id", "payload", "site", "previous_hash", "hash"])
    if field == "run_id":
        changed["run_id"] = (changed["run_id"] or 0) + dice.randint(1, 9)
    elif field == "payload":
        changed["payload"][dice.choice(["count", "more"])] = dice.randint(10, 99)
    elif field == "at":
        changed["at"] = f"20{dice.randint(30, 99)}-01-01T00:00:00.{dice.randint(0, 999999):06d}Z"
    elif field in {"previous_hash", "hash"}:
        changed[field] = hashlib.sha256(dice.randbytes(8)).hexdigest()
    else:
        changed[field] = changed.get(field, "") + dice.choice("xyz ")
    if field != "hash" and dice.random() < 0.5:
        changed["hash"] = entry_hash(changed)
    return [*entries[:which], changed, *entries[which + 1 :]]


def removed(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    """Some entries that are not the tail; what follows numbered anew or not."""
    first = dice.randrange(len(entries) - 1)
    last = dice.randint(first + 1, len(entries) - 1)
    return numbered(entries[:first] + entries[last:]) if dice.random() < 0.5 else entries[:first] + entries[last:]


def inserted(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    """A copy or an invention, hashed as it should be, what follows numbered anew or not."""
    where = dice.randrange(len(entries))
    new = json.loads(json.dumps(dice.choice(entries)))
    new["actor"] = dice.choice([new["actor"], "mallory"])
    new["previous_hash"] = entries[where - 1]["hash"] if where else GENESIS
    new["seq"] = entries[where]["seq"]
    new["hash"] = entry_hash(new)
    return numbered([*entries[:where], new, *entries[where:]])


def swapped(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    one, other = dice.sample(range(len(entries)), 2)
    moved = list(entries)
    moved[one], moved[other] = moved[other], moved[one]
    return numbered(moved)


def cut(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    return entries[: dice.randrange(len(entries))]


def written_anew(dice: random.Random, entries: list[Entry]) -> list[Entry]:
    """Edited, and everything from there on hashed anew: a perfect chain of lies."""
    lie = edited(dice, entries)
    previous, made = GENESIS, []
    for seq, entry in enumerate(lie, 1):
        entry = {**entry, "seq": seq, "previous_hash": previous}
        entry["hash"] = entry_hash(entry)
        previous = entry["hash"]
        made.append(entry)
    return made if made != entries else cut(dice, entries)


def numbered(entries: list[Entry]) -> list[Entry]:
    return [{**entry, "seq": seq} for seq, entry in enumerate(entries, 1)]


WAYS: list[Callable[[random.Random, list[Entry]], list[Entry]]] = [
    edited, removed, inserted, swapped, cut, written_anew,
]  # fmt: skip


def found_in(path: Path, anchors: dict[int, str], key: str | None = None) -> str | None:
    """What the verifier says is wrong, or None."""
    try:
        found = verify_file(path, anchors, key)
    except Broken as error:
        return str(error)
    return None if found.ok else found.sentence


def chain(dice: random.Random, number: int) -> list[Entry]:
    seq, previous, made = 0, GENESIS, []
    for fact in facts(dice, number):
        entry = entry_after(seq, previous, fact, dt.datetime(2026, 1, 1, 0, 0, seq % 60, seq, tzinfo=dt.UTC))
        seq, previous = entry.seq, entry.hash
        made.append(as_exported(entry))
    return made


def write_lines(path: Path, entries: list[Entry]) -> None:
    path.write_bytes(b"".join(canonical(entry) + b"\n" for entry in entries))


def write_rows(path: Path, entries: list[Entry]) -> None:
    """As Django keeps them in SQLite; the rows that were there are gone."""
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM audit_auditentry")
        rows = []
        for entry in entries:
            row = {**entry, "site": entry.get("site"), "payload": json.dumps(entry["payload"])}
            row["at"] = entry["at"].replace("T", " ").removesuffix("Z").removesuffix(".000000")
            rows.append(row)
        names = ", ".join(verify.COLUMNS)
        slots = ", ".join(f":{name}" for name in verify.COLUMNS)
        database.executemany(f"INSERT INTO audit_auditentry ({names}) VALUES ({slots})", rows)
    database.close()


def empty_database(path: Path) -> None:
    """A table as the database has it, without the constraints and triggers that its owner can drop."""
    with sqlite3.connect(path) as database:
        columns = ", ".join(f"{name} {'integer' if name in {'seq', 'run_id'} else 'text'}" for name in verify.COLUMNS)
        database.execute(f"CREATE TABLE audit_auditentry ({columns})")
    database.close()


# --- the signed export


def keep_export(path: Path, wanted: Filter | None = None) -> Path:
    with trail_export(wanted or Filter(), "marta") as made, path.open("wb") as into:
        shutil.copyfileobj(made, into)
    return path


def repacked(path: Path, change: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None) -> Path:
    """The zip with every file passed through ``change`` (None leaves it out)."""
    made = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return made
