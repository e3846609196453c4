"""The bench of the long table: a small one runs through, and what it prints is what it took. No time is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.goals import Figure, report
from tests.bench.table import measure


def test_a_figure_is_held_against_its_goal_and_its_peer() -> None:
    lines = report(
        [
            Figure("quick", 0.5, "s", 1.0, peer="other: 2 s"),
            Figure("slow", 1.5, "s", 1.0),
            Figure("frames", 60, "", 50, more_is_better=True),
            Figure("few frames", 40, "", 50, more_is_better=True),
            Figure("told only", 7, "MB"),
        ]
    ).splitlines()
    assert lines[1].split() == ["quick", "0.50", "s", "<=", "1", "s", "met", "other:", "2", "s"]
    assert ["NOT MET" in line for line in lines[1:]] == [False, True, False, True, False]
    assert lines[5].split() == ["told", "only", "7", "MB", "-", "-"]


@pytest.mark.browser
@pytest.mark.slow
def test_a_small_bench_runs_through_the_table(tmp_path: Path, require_browser: None) -> None:
    figures = {figure.name: figure.value for figure in measure(250, tmp_path, tries=1, seconds=0.5)}
    assert len(figures) == 11
    assert all(value > 0 for value in figures.values()), figures
    assert 10 <= figures["rows drawn at a time"] < 100, "not all 250 are drawn"
