"""Cells for a file that somebody will open in a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse

# For the description of the API: what such a file is.
A_TABLE: dict[str, Any] = {
    "responses": {200: {"description": "The table", "content": {"text/csv": {"schema": {"type": "string"}}}}}
}
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """Text that would be taken for a formula gets an apostrophe before it (OWASP: CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def utc_cell(at: dt.datetime | None) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def csv_line(cells: Iterable[object]) -> str:
    """As in RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerow(safe_cell(cell) for cell in cells)
    return text.getvalue()


def csv_file(name: str, lines: Iterator[str]) -> StreamingHttpResponse:
    """To be kept as ``name``.csv, sent while it is read."""
    said = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=said)
