"""Cells for a file that somebody will open in a spreadsheet."""

from __future__ import annotations

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """Text that would be taken for a formula gets an apostrophe before it (OWASP: CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
