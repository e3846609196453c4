"""Checks the trail: nothing but Python's standard library, so that a stranger can hold it against us.

    python3 verify.py drportal-trail.zip --key 3f1c…            an export, with the key that you were given
    python3 verify.py trail.jsonl --head 1204:9f3c…             the bare lines, and a head noted elsewhere
    python3 verify.py drportal.sqlite3 --anchors anchors.jsonl  the database file itself

The format is in docs/audit-format.md, which each export carries. A chain cannot show by itself that its tail was cut
off: that takes a head noted elsewhere (``--head``) or the file of anchors (``--anchors``). Exit status: 0 whole, 1 not.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sqlite3
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

GENESIS = "0" * 64
HASHED = ("seq", "at", "actor", "action", "subject", "run_id", "payload", "previous_hash")
OPTIONAL = ("site",)  # hashed too, where an entry has it
COLUMNS = (*HASHED, *OPTIONAL, "hash")
MANIFEST, SIGNATURE, LINES = "manifest.json", "manifest.sig", "trail.jsonl"
MAX_LINE = 16 * 1024 * 1024


class Broken(Exception):
    """Something is wrong; the sentence says what and where."""


@dataclass(frozen=True, slots=True)
class Verification:
    """``entries`` that were looked at; the last good one is the head.

    ``sentence`` says the first thing that is wrong.
    """

    ok: bool
    entries: int
    head_seq: int
    head_hash: str
    sentence: str


# --- one entry


def canonical(value: object) -> bytes:
    """JSON with sorted keys, no spaces, text as UTF-8 and not escaped, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def entry_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the canonical JSON of the hashed fields. ``at`` is text: 2026-01-31T04:05:06.000007Z."""
    hashed = {field: entry[field] for field in HASHED} | {field: entry[field] for field in OPTIONAL if field in entry}
    return hashlib.sha256(canonical(hashed)).hexdigest()


def hash_fits(entry: Mapping[str, Any]) -> bool:
    """False also for what has no canonical form at all: bytes, NaN, text that is no UTF-8, depth without end."""
    try:
        return bool(entry_hash(entry) == entry["hash"])
    except (TypeError, ValueError, RecursionError):
        return False


def fault_of(entry: Mapping[str, Any], expected_seq: int, previous_hash: str) -> str | None:
    """What is wrong with this entry after the one before, as a sentence; None when nothing is."""
    if fault := shape_fault(entry, expected_seq):
        return fault
    seq = entry["seq"]
    if seq > expected_seq:
        missing = f"Entry {expected_seq} is" if seq == expected_seq + 1 else f"Entries {expected_seq} to {seq - 1} are"
        return f"{missing} missing: the next one has number {seq}. Entries were removed or moved."
    if seq < expected_seq:
        return f"Entry {seq} stands where entry {expected_seq} should be: it was put in or moved."
    if entry["previous_hash"] != previous_hash:
        return f"Entry {expected_seq} does not follow the entry before it. An entry was replaced, put in or moved."
    if not hash_fits(entry):
        return f"Entry {expected_seq} was changed after it was written."
    return None


def shape_fault(entry: Mapping[str, Any], expected_seq: int) -> str | None:
    if missing := [field for field in (*HASHED, "hash") if field not in entry]:
        return f"Entry {expected_seq} lacks {', '.join(missing)}."
    if more := sorted(set(entry) - set(COLUMNS)):
        return f"Entry {expected_seq} has fields that no hash covers: {', '.join(more)}. They were put in."
    if type(entry["seq"]) is not int:
        return f"Where entry {expected_seq} should be stands one whose number is no number: it was changed."
    return None


# --- a chain of them


def verify(
    entries: Iterable[Mapping[str, Any]],
    anchors: Mapping[int, str] | None = None,
    start: tuple[int, str] = (0, GENESIS),
) -> Verification:
    """Walk the chain. ``anchors``: heads noted elsewhere, seq -> hash; each after ``start`` must be found.

    ``start``: number and hash of the entry before the first one (of a section, known from elsewhere).
    """
    seq, previous = start
    pending = {number: digest for number, digest in (anchors or {}).items() if number > seq}
    count = 0
    for entry in entries:
        fault = fault_of(entry, seq + 1, previous)
        if fault is None and pending and pending.pop(seq + 1, entry["hash"]) != entry["hash"]:
            fault = f"Entry {seq + 1} is not the one whose hash was noted. The chain was written anew."
        if fault:
            return Verification(False, count, seq, previous, fault)
        seq, previous, count = seq + 1, str(entry["hash"]), count + 1
    if pending:
        cut = f"The trail ends at entry {seq}, but entry {max(pending)} was noted. Its tail was cut off."
        return Verification(False, count, seq, previous, cut)
    which = f"All {count} entries" if start[0] == 0 else f"Entries {start[0] + 1} to {seq}"
    return Verification(True, count, seq, previous, f"{which} are whole and in order. Head: {seq}:{previous}")


def verify_single(entries: Iterable[Mapping[str, Any]], anchors: Mapping[int, str] | None = None) -> Verification:
    """For an export of chosen entries: each one by itself, in order. What was left out cannot be judged."""
    seq, digest, count = 0, GENESIS, 0
    for entry in entries:
        fault = shape_fault(entry, seq + 1)
        if fault is None and entry["seq"] <= seq:
            fault = f"Entry {entry['seq']} comes after entry {seq}: it was put in or moved."
        if fault is None and not hash_fits(entry):
            fault = f"Entry {entry['seq']} was changed after it was written."
        if fault is None and (anchors or {}).get(entry["seq"], entry["hash"]) != entry["hash"]:
            fault = f"Entry {entry['seq']} is not the one whose hash was noted. The chain was written anew."
        if fault:
            return Verification(False, count, seq, digest, fault)
        seq, digest, count = entry["seq"], entry["hash"], count + 1
    return Verification(True, count, seq, digest, f"Each of these {count} chosen entries is as it was written.")


# --- where entries come from


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without a key twice: what is read must be what was hashed."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("the same key twice")
    return made


def entries_of_lines(lines: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Entries of canonical JSON lines. Any other byte is a fault, so that nothing can hide between the lines."""
    number = 0
    while line := lines.readline(MAX_LINE):
        number += 1
        try:
            entry = json.loads(line.decode("utf-8"), object_pairs_hook=unique)
            same = canonical(entry) + b"\n" == line
        except (ValueError, RecursionError) as error:
            raise Broken(f"Line {number} is not an entry: {error}. It was edited or cut.") from None
        if not same or not isinstance(entry, dict):
            raise Broken(f"Line {number} is not written as the portal writes it. It was edited or cut.")
        yield entry


def entries_of_sqlite(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of the portal's SQLite database, read only."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")  # what is no text fits no hash
    try:
        rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM audit_auditentry ORDER BY seq")  # noqa: S608
        for row in rows:
            entry = dict(zip(COLUMNS, row, strict=True))
            entry["at"] = exported_time(str(entry["at"]))
            try:
                entry["payload"] = json.loads(entry["payload"], object_pairs_hook=unique)
            except (TypeError, ValueError, RecursionError):
                raise Broken(f"The payload of entry {entry['seq']} is no JSON object: it was changed.") from None
            if entry["site"] is None:
                del entry["site"]
            yield entry
    except sqlite3.DatabaseError as error:
        raise Broken(f"The database cannot be read: {error}.") from None
    finally:
        database.close()


def exported_time(kept: str) -> str:
    """``2026-01-31 04:05:06.000007`` as SQLite keeps it -> as it was hashed (whole seconds are kept without digits)."""
    day, _, time = kept.partition(" ")
    seconds, _, fraction = time.partition(".")
    return f"{day}T{seconds}.{fraction.ljust(6, '0')}Z"


# --- Ed25519 (RFC 8032), so that the signature needs no library either. Points are (X, Y, Z, T), x = X/Z, x*y = T/Z.

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT = pow(2, (PRIME - 1) // 4, PRIME)
Point = tuple[int, int, int, int]


def signature_fits(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) over ``message`` was made with the private half of ``key`` (32 bytes)."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, commitment = point_of(key), point_of(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    base = point_of((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))
    assert base is not None
    left, right = times(scalar, base), plus(commitment, times(challenge, public))
    return (left[0] * right[2] - right[0] * left[2]) % PRIME == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % PRIME == 0


def point_of(text: bytes) -> Point | None:
    """The point whose y (and x's lowest bit) the 32 bytes hold; None where there is none."""
    number = int.from_bytes(text, "little")
    odd, y = number >> 255, number & ((1 << 255) - 1)
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * ROOT % PRIME
    if (x * x - square) % PRIME or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = PRIME - x
    return (x, y, 1, x * y % PRIME)


def plus(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % PRIME
    c = 2 * one[3] * other[3] * CURVE_D % PRIME
    d = 2 * one[2] * other[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)


def times(scalar: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = plus(total, point)
        point, scalar = plus(point, point), scalar >> 1
    return total


# --- an export


def verify_export(path: Path, anchors: Mapping[int, str], key: str | None) -> Verification:
    """The signature, every file of the zip by its hash, the entries, and that none is missing at the end."""
    try:
        with zipfile.ZipFile(path) as export:
            manifest = signed_manifest(export, key)
            check_files(export, manifest["files"])
            with export.open(LINES) as lines:
                entries = entries_of_lines(lines)
                if manifest["contiguous"]:
                    start = (manifest["first_seq"] - 1, manifest["previous_hash"])
                    found = verify(entries, within(anchors, manifest), start)
                else:
                    found = verify_single(entries, anchors)
            if found.ok and (found.entries, found.head_seq) != (manifest["entries"], manifest["last_seq"]):
                raise Broken(
                    f"The export holds {found.entries} entries up to {found.head_seq}; "
                    f"{manifest['entries']} up to {manifest['last_seq']} were signed."
                )
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise Broken(f"This is not a whole export: {type(error).__name__}: {error}.") from None
    except Exception as error:  # zlib.error has no name without zlib; a broken zip may raise what it likes
        if isinstance(error, Broken):
            raise
        raise Broken(f"This is not a whole export: {type(error).__name__}: {error}.") from None
    signed = f"Signed with the key {manifest['key']}"
    signed += ", which you gave. " if key else "; compare it with the one you were given elsewhere. "
    return Verification(found.ok, found.entries, found.head_seq, found.head_hash, signed + found.sentence)


def within(anchors: Mapping[int, str], manifest: Mapping[str, Any]) -> dict[int, str]:
    """Anchors that the export must hold: all that are later, unless the export was asked to end earlier."""
    if manifest["ends_at_head"]:
        return dict(anchors)
    return {seq: digest for seq, digest in anchors.items() if seq <= manifest["last_seq"]}


def signed_manifest(export: zipfile.ZipFile, key: str | None) -> dict[str, Any]:
    text, signed = export.read(MANIFEST), export.read(SIGNATURE)
    try:
        manifest: dict[str, Any] = json.loads(text, object_pairs_hook=unique)
        used = bytes.fromhex(manifest["key"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"{MANIFEST} is no manifest: {type(error).__name__}: {error}. It was changed.") from None
    if key and manifest["key"] != key:
        raise Broken(f"{MANIFEST} was signed with the key {manifest['key']}, not with the one you gave.")
    try:
        signature = bytes.fromhex(signed.decode("ascii"))
    except ValueError:
        signature = b""
    if signature.hex().encode() != signed or not signature_fits(used, text, signature):
        raise Broken(f"The signature in {SIGNATURE} does not fit {MANIFEST}. One of them was changed after signing.")
    if manifest["format"] != 1:
        raise Broken(f"This verifier knows format 1; the export has format {manifest['format']}.")
    return manifest


def check_files(export: zipfile.ZipFile, files: Mapping[str, str]) -> None:
    """Exactly the signed files, each once, each with its SHA-256."""
    names = sorted(info.filename for info in export.infolist())
    if names != sorted([*files, MANIFEST, SIGNATURE]):
        raise Broken(f"The export does not hold the files that were signed: {', '.join(names)}.")
    for name, digest in files.items():
        found = hashlib.sha256()
        with export.open(name) as content:
            while part := content.read(1 << 20):
                found.update(part)
        if found.hexdigest() != digest:
            raise Broken(f"{name} was changed after it was signed.")


# --- the command line


def anchor(text: str) -> tuple[int, str]:
    """``SEQ:HASH`` of the command line."""
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or len(digest) != 64:
        raise argparse.ArgumentTypeError("must be SEQ:HASH as the verifier prints it")
    return int(seq), digest.lower()


def anchors_of_file(path: Path) -> dict[int, str]:
    """Of a file of anchors: one JSON object a line with ``seq`` and ``hash``. Two that differ are a fault."""
    found: dict[int, str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            noted = json.loads(line)
            seq, digest = int(noted["seq"]), str(noted["hash"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise Broken(f"Line {number} of {path.name} is no anchor.") from None
        if found.setdefault(seq, digest) != digest:
            raise Broken(f"{path.name} notes two hashes for entry {seq}. The chain was written anew in between.")
    return found


def verify_file(path: Path, anchors: Mapping[int, str], key: str | None = None) -> Verification:
    """An export, its bare lines, or a SQLite database: by its first bytes."""
    with path.open("rb") as opened:
        beginning = opened.read(16)
        if beginning.startswith(b"PK"):
            return verify_export(path, anchors, key)
        if key:
            raise Broken("This is no signed export, so the key that you gave proves nothing. It may stand in for one.")
        if beginning.startswith(b"SQLite format 3"):
            return verify(entries_of_sqlite(path), anchors)
        opened.seek(0)
        return verify(entries_of_lines(opened), anchors)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify DR Portal's trail.")
    parser.add_argument("export", type=Path, help="the zip, its trail.jsonl, or a SQLite database")
    noted = "a head noted earlier"
    parser.add_argument("--head", type=anchor, action="append", default=[], metavar="SEQ:HASH", help=noted)
    parser.add_argument("--anchors", type=Path, action="append", default=[], metavar="FILE", help="anchors, JSON lines")
    parser.add_argument("--key", metavar="HEX", help="the portal's public key, from elsewhere")
    options = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        anchors: dict[int, str] = dict(options.head)
        for path in options.anchors:
            for seq, digest in anchors_of_file(path).items():
                if anchors.setdefault(seq, digest) != digest:
                    raise Broken(f"Two hashes were noted for entry {seq}. The chain was written anew in between.")
        found = verify_file(options.export, anchors, options.key and options.key.lower())
    except (Broken, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(found.sentence + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
