"""Hypothesis strategies: facts of every shape, age and mixture."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from drportal.engine.facts import (
    JournalFacts,
    MirrorSnap,
    Mode,
    Position,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    StatusFacts,
)

NOW = dt.datetime(2026, 11, 23, 4, 0, tzinfo=dt.UTC)
STATES = ["up+replaying", "up+stopped", "up+unknown", "up+error", "up+syncing", "down+replaying", "down+unknown", ""]
TEXTS = [
    "replaying, {}",
    "local image is primary",
    "split-brain detected",
    "split-brain",
    "status not found",
    "stopped",
]

moments = st.sampled_from([0.0, 1.0, 5.0, 29.0, 31.0, 3600.0, -1.0, -60.0]).map(lambda s: NOW - dt.timedelta(seconds=s))
positions = st.none() | st.builds(Position, st.integers(1, 2), st.integers(0, 1), st.just(0))
journals = st.builds(JournalFacts, positions, positions, st.booleans(), moments)
snaps = st.builds(
    MirrorSnap,
    st.integers(1, 2),
    st.sampled_from(["primary", "demoted", "non-primary"]),
    st.none() | st.booleans(),
    st.booleans(),
    st.none() | st.integers(1, 2),
)
snapshot_lists = st.builds(SnapshotFacts, st.lists(snaps, max_size=3).map(tuple), moments)
statuses = st.builds(
    StatusFacts,
    st.sampled_from(STATES),
    st.sampled_from(TEXTS),
    st.booleans(),
    st.none() | st.sampled_from([0.0, 20.0, 200.0, -50.0]),
    st.none() | st.sampled_from([0, 5, 5000]),
    moments,
    st.none() | st.booleans(),
)
roles = st.builds(
    RoleFacts,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, False, True, False, None]),
    st.sampled_from(list(Mode)),
    st.just("g"),
    st.just("i"),
    st.none(),
    moments,
)
sides = st.builds(
    SideFacts,
    st.sampled_from([True, True, True, False, None]),
    st.none() | roles,
    st.none() | statuses,
    st.none() | journals,
    st.none() | snapshot_lists,
    st.none() | st.booleans(),
    st.sampled_from([None, "rx-tx", "rx-only"]),
)
