"""What was measured, beside its goal and its peer, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.figures import lined_up


@dataclass(frozen=True, slots=True)
class Figure:
    """``goal``: at most this, or at least this where ``more_is_better``; None where nothing was promised.

    ``peer``: what another way of doing the same took in the same run, in words.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    peer: str = ""

    def verdict(self) -> str:
        if self.goal is None:
            return ""
        met = self.value >= self.goal if self.more_is_better else self.value <= self.goal
        return "met" if met else "NOT MET"

    def goal_words(self) -> str:
        if self.goal is None:
            return "-"
        return f"{'>=' if self.more_is_better else '<='} {shown(self.goal, self.unit)}"


def shown(value: float, unit: str) -> str:
    places = 0 if abs(value) >= 100 or float(value).is_integer() else 1 if abs(value) >= 10 else 2
    if abs(value) < 0.2 and places:
        places = 3  # 0.104 is not 0.10
    return f"{value:.{places}f} {unit}".rstrip()


def report(figures: Sequence[Figure]) -> str:
    rows = [("", "measured", "goal", "", "peer in the same run")]
    rows += [(f.name, shown(f.value, f.unit), f.goal_words(), f.verdict(), f.peer or "-") for f in figures]
    return lined_up(rows)


def p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def keep(figures: Iterable[Figure], path: Path) -> None:
    path.write_text(json.dumps([asdict(figure) for figure in figures]))


def kept(path: Path) -> list[Figure]:
    return [Figure(**row) for row in json.loads(path.read_text())]
