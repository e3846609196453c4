"""The bench itself: a small one runs through, and what it prints is what it took."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import goals, peers_of
from tests.bench.figures import table
from tests.bench.handover import Bench, Options, Report, vms_for
from tests.bench.moves import COMMANDS, PEER_TITLES, PORTAL, TO_DEMOTED, VERBS, WHOLE_RUN
from tests.bench.reading import EACH_STATUS, POOL_STATUS, PORTAL_STATUS, VERBOSE_STATUS
from tests.bench.run_facts import under_way


def test_the_table_shows_spread_and_ratio_of_medians() -> None:
    lines = table({"ours": [1.0, 3.0, 2.0], "theirs": [10.0, 30.0]}, "s", "ours").splitlines()
    assert lines[0].split() == ["min", "s", "median", "s", "max", "s", "rounds", "ratio"]
    assert lines[1].split() == ["ours", "1.00", "2.00", "3.00", "3", "1.0"]
    assert lines[2].split() == ["theirs", "10.00", "20.00", "30.00", "2", "10.0"]


@pytest.mark.parametrize(("images", "vms"), [(1, 1), (3, 2), (4, 3), (5, 3), (128, 77)])
def test_a_lab_gets_as_many_vms_as_the_images_need(images: int, vms: int) -> None:
    assert vms_for(images) == vms


def test_acts_side_by_side_are_counted_once_and_pauses_between_them_not() -> None:
    assert under_way([(5.0, 6.0), (1.0, 2.0), (1.5, 3.0), (1.6, 1.7)]) == pytest.approx(3.0)


def test_a_peer_may_take_part_in_fewer_rounds() -> None:
    assert peers_of("loop:1,xargs,pool:9", 5) == (("loop", 1), ("xargs", 5), ("pool", 5))
    with pytest.raises(ValueError, match="lopp"):
        peers_of("lopp", 5)


def _report(hand_over_s: float) -> Report:
    report = Report(mode="journal", images=100)
    report.moves = {
        PORTAL: [hand_over_s], COMMANDS: [1.5], VERBS: [1.0],
        PEER_TITLES["loop"]: [100.0], PEER_TITLES["xargs"]: [40.0], PEER_TITLES["pool"]: [12.0],
    }  # fmt: skip
    report.statuses = {PORTAL_STATUS: [0.1], VERBOSE_STATUS: [0.2], POOL_STATUS: [0.1], EACH_STATUS: [10.0]}
    return report


def test_goals_are_ratios_to_the_peers_of_the_same_run_and_decide_how_it_ends() -> None:
    options = Options(peers=(("loop", 1), ("xargs", 1), ("pool", 1)))
    text, well = goals([_report(9.9)], options)
    assert well
    assert text.count(" met ") == 8, text
    text, well = goals([_report(10.4)], options)
    assert not well
    missed = [line for line in text.splitlines() if "NOT MET" in line]
    assert [line.split(",")[0] for line in missed] == ["journal: hand-over"]
    assert "0.104" in missed[0], missed
    assert "10.40 s beside 100.00 s (1 round)" in missed[0]


def test_a_figure_that_could_not_be_taken_and_a_peer_that_failed_are_no_success() -> None:
    options = Options(peers=(("loop", 1), ("xargs", 1), ("pool", 1)))
    report = _report(9.9)
    del report.moves[PEER_TITLES["pool"]]
    text, well = goals([report], options)
    assert not well
    assert "times (c) whole pool, retried each second, exit 0 believed: not measured, NOT MET" in text
    failed = _report(9.9)
    failed.failures.append("round 2: (b) ...")
    assert not goals([failed], options)[1]
    assert "FAILED: round 2: (b) ..." in failed.text()
    assert not goals([Report()], options)[1]


@pytest.mark.slow
def test_a_small_bench_measures_the_portal_and_leaves_all_images_at_one_side(tmp_path: Path) -> None:
    # No VM writes, so that positions come to rest; the peers are shell programs, and the embedded lab has no shell.
    options = Options(images=4, rounds=1, kind="embedded", peers=(), lab_options=("--speed", "20", "--write-rate", "0"))
    report, said, rounds = Report(), list[str](), list[str]()
    Bench(options, report, said.append, lambda: rounds.append(report.text())).measure(tmp_path)
    assert report.images == 5
    assert {name: len(values) for name, values in report.moves.items()} == {
        PORTAL: 1, TO_DEMOTED: 1, WHOLE_RUN: 1, COMMANDS: 1
    }  # fmt: skip
    assert 0 < report.moves[PORTAL][0] < report.moves[WHOLE_RUN][0]
    assert 0 < report.moves[COMMANDS][0] < report.moves[WHOLE_RUN][0]
    assert all(seconds > 0 for values in report.statuses.values() for seconds in values)
    assert {site: len(names) for site, names in report.primary_at.items()} == {"a": 0, "b": 5}
    assert len(rounds) == 1, "the figures are told after each round"
    assert PORTAL in rounds[0]
    assert "load average" in rounds[0]
