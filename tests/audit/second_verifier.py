"""A second verifier, written from docs/audit-format.md alone, as an auditor's own would be: without the portal.

What it needs and the page does not say is a fault of the page. It spells JSON by itself, letter by letter, and leaves
Ed25519 to a library; ours does it the other way round.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MUST = {"seq", "at", "actor", "action", "subject", "run_id", "payload", "previous_hash", "hash"}
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class NotWhole(Exception):
    """``place``: the number of the entry (or line) that is wrong or missing, or the name of a file."""

    def __init__(self, place: int | str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place = place


@dataclass(frozen=True)
class Fraction:
    """A number that is not whole, as it was spelled."""

    text: str


def letters(text: str) -> str:
    return "".join(ESCAPES.get(one) or (one if one >= " " else f"\\u{ord(one):04x}") for one in text)


def spelled(value: object) -> str:
    """The canonical form."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{letters(value)}"'
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, Fraction):
        number = float(value.text)
        if number.is_integer() or number != number or number in (float("inf"), float("-inf")):
            raise ValueError(f"{value.text} is no fraction")
        return repr(number)
    if isinstance(value, list):
        return "[" + ",".join(spelled(each) for each in value) + "]"
    assert isinstance(value, dict)
    return "{" + ",".join(f'"{letters(key)}":{spelled(value[key])}' for key in sorted(value)) + "}"


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def read(text: str) -> Any:
    return json.loads(text, object_pairs_hook=once, parse_float=Fraction, parse_constant=no_constant)


def digest_of(entry: dict[str, Any]) -> str:
    return hashlib.sha256(spelled({key: entry[key] for key in entry if key != "hash"}).encode()).hexdigest()


def of_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """Each line has to be spelled as the page says, to the byte."""
    rows = content.split(b"\n")
    if rows.pop():
        raise NotWhole(len(rows) + 1, "the last line has no end")
    for number, row in enumerate(rows, 1):
        try:
            entry = read(row.decode())
            if not isinstance(entry, dict) or spelled(entry).encode() != row:
                raise ValueError("not in canonical form")
        except (ValueError, RecursionError) as error:
            raise NotWhole(number, str(error)) from None
        yield entry


def of_sqlite(path: Path) -> Iterator[dict[str, Any]]:
    names = ["seq", "at", "actor", "action", "subject", "site", "run_id", "payload", "previous_hash", "hash"]
    database = sqlite3.connect(path)
    try:
        rows = database.execute(f"SELECT {','.join(names)} FROM audit_auditentry ORDER BY seq").fetchall()
    except sqlite3.Error as error:
        raise NotWhole("database", str(error)) from None
    finally:
        database.close()
    for number, row in enumerate(rows, 1):
        entry = dict(zip(names, row, strict=True))
        try:
            entry["payload"] = read(entry["payload"])
            whole, _, decimals = entry["at"].partition(".")
            entry["at"] = f"{whole.replace(' ', 'T')}.{decimals or '000000'}Z"
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise NotWhole(number, str(error)) from None
        if entry["site"] is None:
            del entry["site"]
        yield entry


def own_hash_fits(entry: dict[str, Any]) -> bool:
    try:
        return digest_of(entry) == entry["hash"]
    except (ValueError, AssertionError, TypeError, RecursionError):
        return False


def walk(
    entries: Iterable[dict[str, Any]], before: tuple[int, str], anchors: dict[int, str], *, chosen: bool = False
) -> tuple[int, int]:
    """How many there were, and the number of the last one. ``chosen``: they are not neighbours."""
    last, previous = before
    count = 0
    for count, entry in enumerate(entries, 1):
        place = count if chosen else last + 1
        if not MUST <= set(entry) <= MUST | {"site"}:
            raise NotWhole(place, "other fields than there should be")
        if type(entry["seq"]) is not int or (entry["seq"] <= last if chosen else entry["seq"] != last + 1):
            raise NotWhole(place, "a number out of turn")
        if not chosen and entry["previous_hash"] != previous:
            raise NotWhole(place, "does not follow")
        if not own_hash_fits(entry):
            raise NotWhole(place, "the hash does not fit")
        last, previous = entry["seq"], entry["hash"]
        if anchors.get(last, previous) != previous:
            raise NotWhole(last, "not what was noted")
    if not chosen and (lost := [number for number in anchors if number > last]):
        raise NotWhole(last, f"entry {max(lost)} was noted, and is not there")
    return count, last


def of_export(path: Path, anchors: dict[int, str], key: str | None) -> None:
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()
            files = {name: opened.read(name) for name in names}
    except Exception as error:
        raise NotWhole(path.name, str(error)) from None
    try:
        manifest = json.loads(files["manifest.json"], object_pairs_hook=once)
        used = manifest["key"]
        signature = files["manifest.sig"].decode()
        if not re.fullmatch("[0-9a-f]{128}", signature):
            raise ValueError("no signature")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(used)).verify(bytes.fromhex(signature), files["manifest.json"])
    except (KeyError, ValueError, TypeError, InvalidSignature) as error:
        raise NotWhole("manifest.json", f"{type(error).__name__} {error}") from None
    if key is not None and used != key:
        raise NotWhole("manifest.json", "signed with another key")
    if sorted(names) != sorted([*manifest["files"], "manifest.json", "manifest.sig"]):
        raise NotWhole(path.name, f"other files than were signed: {names}")
    for name, digest in manifest["files"].items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise NotWhole(name, "not what was signed")
    first, last = manifest["first_seq"], manifest["last_seq"]
    if manifest["contiguous"]:
        wanted = {seq: noted for seq, noted in anchors.items() if seq >= first}
        if not manifest["ends_at_head"]:
            wanted = {seq: noted for seq, noted in wanted.items() if seq <= last}
        found = walk(of_lines(files["trail.jsonl"]), (first - 1, manifest["previous_hash"]), wanted)
    else:
        found = walk(of_lines(files["trail.jsonl"]), (0, ""), anchors, chosen=True)
    if found != (manifest["entries"], last):
        raise NotWhole("trail.jsonl", f"{found} is not what the manifest says")


def check(path: Path, anchors: dict[int, str], key: str | None = None) -> None:
    """Raises NotWhole."""
    with path.open("rb") as opened:
        beginning = opened.read(16)
    if beginning.startswith(b"PK"):
        of_export(path, anchors, key)
    elif key is not None:
        raise NotWhole(path.name, "a key was given, and nothing here is signed")
    elif beginning.startswith(b"SQLite format 3\0"):
        walk(of_sqlite(path), (0, "0" * 64), anchors)
    else:
        walk(of_lines(path.read_bytes()), (0, "0" * 64), anchors)
