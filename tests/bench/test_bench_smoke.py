"""The bench itself: a small one runs through, and what it prints is what it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import Options, Report, measure, vms_for
from tests.bench.figures import table
from tests.bench.moves import PORTAL, TO_DEMOTED, WHOLE_RUN


def test_the_table_shows_spread_and_ratio_of_medians() -> None:
    lines = table({"ours": [1.0, 3.0, 2.0], "theirs": [10.0, 30.0]}, "s", "ours").splitlines()
    assert lines[0].split() == ["min", "s", "median", "s", "max", "s", "rounds", "ratio"]
    assert lines[1].split() == ["ours", "1.00", "2.00", "3.00", "3", "1.0"]
    assert lines[2].split() == ["theirs", "10.00", "20.00", "30.00", "2", "10.0"]


@pytest.mark.parametrize(("images", "vms"), [(1, 1), (3, 2), (4, 3), (5, 3), (128, 77)])
def test_a_lab_gets_as_many_vms_as_the_images_need(images: int, vms: int) -> None:
    assert vms_for(images) == vms


@pytest.mark.slow
def test_a_small_bench_measures_the_portal_and_leaves_all_images_at_one_side(tmp_path: Path) -> None:
    # No VM writes, so that positions come to rest; the peers are shell programs, and the embedded lab has no shell.
    options = Options(images=4, rounds=1, kind="embedded", peers=(), lab_options=("--speed", "20", "--write-rate", "0"))
    report = Report()
    measure(options, tmp_path, report)
    assert report.images == 5
    assert {name: len(values) for name, values in report.moves.items()} == {PORTAL: 1, TO_DEMOTED: 1, WHOLE_RUN: 1}
    assert 0 < report.moves[PORTAL][0] < report.moves[WHOLE_RUN][0]
    assert all(seconds > 0 for values in report.statuses.values() for seconds in values)
    assert {site: len(names) for site, names in report.primary_at.items()} == {"a": 0, "b": 5}
    told = report.text()
    assert PORTAL in told
    assert "SQLite" in told or "PostgreSQL" in told
    assert "load average" in told
