"""How far a replay has come at a given time, without anything ticking."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from drportal.lab.embedded.copies import JOURNAL, Copy, Replay
from drportal.lab.embedded.writelog import Point

if TYPE_CHECKING:
    from drportal.lab.embedded.pair import Pair


def last_poll(pair: Pair, now: float) -> float:
    every = pair.around.timing.poll_s
    return math.floor((now - pair.phase) / every) * every + pair.phase


def replayed(pair: Pair, copy: Copy, now: float) -> int:
    """Journal mode: entries of the other side's journal that this copy has applied at `now`.

    Every poll sees what was committed settle_s before; between polls the replay runs at its rate towards that goal.
    """
    replay, source = copy.replay, pair.far(copy.site)
    assert replay is not None and source is not None
    timing, now = pair.around.timing, max(now, replay.at)
    poll = last_poll(pair, now)
    if poll <= replay.at:
        return int(min(replay.goal, replay.position + replay.rate_per_s * (now - replay.at)))
    goal_before = replay.goal
    if poll - timing.poll_s > replay.at:
        goal_before = max(goal_before, source.log.length_at(poll - timing.poll_s - timing.settle_s))
    at_poll = min(goal_before, replay.position + replay.rate_per_s * (poll - replay.at))
    goal = max(replay.position, source.log.length_at(poll - timing.settle_s)) if replay.rate_per_s else at_poll
    return int(max(replay.position, min(goal, at_poll + replay.rate_per_s * (now - poll))))


def rebase(pair: Pair, copy: Copy, now: float) -> None:
    """Fix what has been replayed so far, because the rate changes or the source stopped."""
    replay, source = copy.replay, pair.far(copy.site)
    if replay is None or source is None:
        return
    rate = pair.around.replay_rate_per_s(copy.site)
    if replay.busy is not None:
        replay.busy_done = min(replay.busy_amount, replay.busy_done + replay.rate_per_s * (now - replay.at))
    position = replayed(pair, copy, now) if pair.mode == JOURNAL else 0
    seen = source.log.length_at(last_poll(pair, now) - pair.around.timing.settle_s) if rate else position
    copy.replay = Replay(now, position, max(position, seen), rate, replay.busy, replay.busy_done, replay.busy_amount)


def stop(pair: Pair, copy: Copy, now: float) -> None:
    """rbd-mirror lets go of this copy; it keeps what it has."""
    source = pair.far(copy.site)
    if copy.replay is None:
        return
    if pair.mode == JOURNAL and source is not None:
        index = replayed(pair, copy, now)
        copy.base, copy.point, source.peer_index = source.log.content_at(index), Point(source.log.number, index), index
    copy.replay = None


def synced_source_id(copy: Copy, source: Copy) -> int:
    """Snapshot mode: the newest of the source's snapshots that this copy holds whole; 0 if none."""
    for snap in reversed(copy.snaps):
        if snap.complete and snap.source_id is not None:
            return snap.source_id
        if snap.source_id is None:
            return next((theirs.id for theirs in source.snaps if theirs.source_id == snap.id), 0)
    return 0
