"""How far a copy is behind, in bytes, from what its daemon says."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from drportal.engine.facts import StatusFacts
from drportal.inventory.side_words import bytes_behind


def said(**figures: object) -> StatusFacts:
    words = f"replaying, {json.dumps(figures)}" if figures else "replaying"
    return StatusFacts("up+replaying", words, False, 5.0, None, dt.datetime(2026, 5, 5, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("figures", "behind"),
    [
        ({"local_snapshot_timestamp": 100, "remote_snapshot_timestamp": 100, "bytes_per_snapshot": 0.0}, 0),
        ({"local_snapshot_timestamp": 90, "remote_snapshot_timestamp": 100, "bytes_per_snapshot": 4096.0}, 4096),
        (
            {"local_snapshot_timestamp": 90, "remote_snapshot_timestamp": 100, "bytes_per_snapshot": 4096.0}
            | {"syncing_percent": 75},
            1024,
        ),
        ({"local_snapshot_timestamp": 90, "remote_snapshot_timestamp": 100, "bytes_per_snapshot": 0.0}, None),
        ({"remote_snapshot_timestamp": 100, "bytes_per_snapshot": 4096.0}, None),
        ({"entries_behind_primary": 7}, None),
        ({}, None),
    ],
)
def test_bytes_are_told_of_snapshots_only_and_never_made_up(figures: dict[str, object], behind: int | None) -> None:
    assert bytes_behind(said(**figures)) == behind


def test_words_that_are_no_figures_are_none() -> None:
    broken = StatusFacts("up+error", "failed {to", False, 5.0, None, dt.datetime(2026, 5, 5, tzinfo=dt.UTC))
    assert bytes_behind(broken) is None
    assert bytes_behind(None) is None
