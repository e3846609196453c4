"""A signed zip of the trail, with all that a stranger needs to check it: verifier, format, signature."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from drportal.audit.check import head
from drportal.audit.models import AuditEntry
from drportal.audit.record import exported, exported_row, record, time_text
from drportal.audit.search import Filter, bounds, matching
from drportal.audit.signing import public_key, sign
from drportal.audit.spreadsheets import safe_cell
from drportal.audit.verify import COLUMNS, GENESIS, LINES, MANIFEST, SIGNATURE, canonical

TABLE, VERIFIER, FORMAT = "trail.csv", "verify.py", "audit-format.md"
IN_MEMORY = 8 * 1024 * 1024


def trail_export(wanted: Filter, actor: str) -> IO[bytes]:
    """The zip, at its beginning. The export itself is in the trail, after what it holds. Raises NoSigningKey."""
    key = public_key()
    newest, _ = head()
    low, high = bounds(wanted)
    high = min(high, newest)
    entries = chosen(wanted, low, high)
    manifest: dict[str, Any] = {
        "format": 1,
        "portal": settings.VERSION,
        "made_at": time_text(timezone.now()),
        "made_by": actor,
        "key": key,
        "filter": {
            name: time_text(value) if hasattr(value, "tzinfo") else value for name, value in asdict(wanted).items()
        },
        "contiguous": wanted.within_time_only,
        "ends_at_head": high == newest and wanted.until is None,
        "first_seq": low,
        "previous_hash": previous_hash(low),
    }
    made: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (the caller closes it)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as export:
        files, count, last = write_entries(export, entries)
        files[VERIFIER] = put(export, VERIFIER, (Path(__file__).parent / "verify.py").read_bytes())
        files[FORMAT] = put(export, FORMAT, (settings.BASE_DIR / "docs" / "audit-format.md").read_bytes())
        manifest |= {"files": files, "entries": count, "last_seq": last if last is not None else low - 1}
        if not wanted.within_time_only:
            manifest["last_seq"] = last or 0
        text = canonical(manifest)
        export.writestr(MANIFEST, text)
        export.writestr(SIGNATURE, sign(text))
    with transaction.atomic():
        facts = {name: manifest[name] for name in ("filter", "entries", "first_seq", "last_seq")}
        facts["manifest_sha256"] = hashlib.sha256(text).hexdigest()
        record("trail.export", f"{count} entries", facts, actor=actor)
    made.seek(0)
    return made


def previous_hash(low: int) -> str:
    before = AuditEntry.objects.filter(seq__lt=low).order_by("-seq").values_list("hash", flat=True).first()
    return before or GENESIS


def chosen(wanted: Filter, low: int, high: int) -> Iterable[dict[str, Any]]:
    if wanted.within_time_only:
        return exported(low, high)
    rows = matching(wanted).filter(seq__gte=low, seq__lte=high).order_by("seq").values_list(*COLUMNS)
    return (exported_row(row) for row in rows.iterator(chunk_size=2000))


def write_entries(export: zipfile.ZipFile, entries: Iterable[dict[str, Any]]) -> tuple[dict[str, str], int, int | None]:
    """Both files in one walk: hash of each, number of entries, the last entry's number."""
    count, last, digest = 0, None, hashlib.sha256()
    with tempfile.TemporaryFile() as table:
        text = io.TextIOWrapper(table, "utf-8", newline="")
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        with export.open(LINES, "w", force_zip64=True) as lines:
            for entry in entries:
                line = canonical(entry) + b"\n"
                lines.write(line)
                digest.update(line)
                rows.writerow(cells(entry))
                count, last = count + 1, entry["seq"]
        text.flush()
        table.seek(0)
        return {LINES: digest.hexdigest(), TABLE: put_file(export, TABLE, table)}, count, last


def cells(entry: dict[str, Any]) -> Iterator[object]:
    """For a spreadsheet."""
    for column in COLUMNS:
        value = entry.get(column, "")
        if isinstance(value, dict):
            value = json.dumps(value, ensure_ascii=False, sort_keys=True)
        yield safe_cell(value)


def put(export: zipfile.ZipFile, name: str, content: bytes) -> str:
    export.writestr(name, content)
    return hashlib.sha256(content).hexdigest()


def put_file(export: zipfile.ZipFile, name: str, content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    with export.open(name, "w", force_zip64=True) as into:
        while part := content.read(1 << 20):
            digest.update(part)
            into.write(part)
    return digest.hexdigest()
