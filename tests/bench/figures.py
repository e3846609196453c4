"""Figures of one bench and the table they make."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence


def lined_up(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, all others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join(line(row) for row in rows)


def table(figures: Mapping[str, Sequence[float]], unit: str, ours: str) -> str:
    """One line a figure; ``ratio`` says how many times the median of ``ours`` its own median is."""
    base = statistics.median(figures[ours])
    rows = [("", f"min {unit}", f"median {unit}", f"max {unit}", "rounds", "ratio")]
    for name, values in figures.items():
        middle = statistics.median(values)
        rows.append(
            (
                name,
                f"{min(values):.2f}",
                f"{middle:.2f}",
                f"{max(values):.2f}",
                str(len(values)),
                f"{middle / base:.1f}" if base else "-",
            )
        )
    return lined_up(rows)
