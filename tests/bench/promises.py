"""The goals of the hand-over's bench: each figure of the portal beside its peer of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tests.bench.goals import Figure
from tests.bench.handover import Report
from tests.bench.moves import COMMANDS, PEER_TITLES, PORTAL, VERBS
from tests.bench.peers import Kind
from tests.bench.reading import EACH_STATUS, POOL_STATUS, PORTAL_STATUS, VERBOSE_STATUS

HAND_OVER: dict[Kind, float] = {"loop": 0.10, "xargs": 0.30, "pool": 0.9}
COMMANDS_ALONE = 2.0
STATUS = {VERBOSE_STATUS: 1.15, EACH_STATUS: 0.03, POOL_STATUS: 1.3}
TIMES_CHEAPER = 20.0


def promised(report: Report, peers: Sequence[Kind]) -> tuple[list[Figure], list[str]]:
    """The figures with their goals, and what could not be held against its goal because it was not measured."""
    moves, statuses, mode = report.moves, report.statuses, report.mode
    wanted = [
        (f"{mode}: hand-over, times {PEER_TITLES[kind].split(':')[0]}", moves, PORTAL, PEER_TITLES[kind], goal)
        for kind, goal in HAND_OVER.items()
        if kind in peers
    ]
    wanted.append((f"{mode}: commands alone, times the pool verbs", moves, COMMANDS, VERBS, COMMANDS_ALONE))
    for peer, goal in STATUS.items():
        wanted.append((f"{mode}: state of a site, times {_short(peer)}", statuses, PORTAL_STATUS, peer, goal))
    figures, missing = [], []
    for name, measured, ours, theirs, goal in wanted:
        if ours not in measured or theirs not in measured:
            missing.append(name)
            continue
        figures.append(Figure(name, _median(measured, ours) / _median(measured, theirs), "", goal, peer=_peer(
            measured, ours, theirs
        )))  # fmt: skip
    if PORTAL_STATUS in statuses and EACH_STATUS in statuses:
        cheaper = _median(statuses, EACH_STATUS) / _median(statuses, PORTAL_STATUS)
        each = 1000 * _median(statuses, EACH_STATUS) / report.images
        ours_ms = 1000 * _median(statuses, PORTAL_STATUS) / report.images
        words = f"{ours_ms:.2f} ms an image beside {each:.1f} ms"
        figures.append(Figure(
            f"{mode}: state of an image, times cheaper than one by one", cheaper, "", TIMES_CHEAPER, True, words
        ))  # fmt: skip
    return figures, missing


def _median(measured: Mapping[str, Sequence[float]], name: str) -> float:
    return statistics.median(measured[name])


def _peer(measured: Mapping[str, Sequence[float]], ours: str, theirs: str) -> str:
    rounds = len(measured[theirs])
    return (
        f"{_median(measured, ours):.2f} s beside {_median(measured, theirs):.2f} s "
        f"({rounds} round{'' if rounds == 1 else 's'})"
    )


def _short(peer: str) -> str:
    return {VERBOSE_STATUS: "pool status --verbose", EACH_STATUS: "one by one", POOL_STATUS: "pool status"}[peer]
