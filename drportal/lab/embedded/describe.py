"""The description texts rbd-mirror puts into a status: prose, with JSON inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from drportal.lab.embedded.copies import JOURNAL, Copy
from drportal.lab.embedded.progress import replayed
from drportal.lab.embedded.writelog import WriteLog

if TYPE_CHECKING:
    from drportal.lab.embedded.pair import Pair

ENTRY_BYTES = 16384


def compact(value: Any) -> str:
    """JSON as Ceph's formatter writes it: no blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def position(log: WriteLog, index: int) -> dict[str, int]:
    newest = log.positions(index)[:1]
    return {"entry_tid": newest[0][2], "object_number": newest[0][0], "tag_tid": newest[0][1]} if newest else {}


def replaying_text(pair: Pair, copy: Copy, source: Copy, at: float) -> str:
    return "replaying, " + compact(
        _journal(pair, copy, source, at) if pair.mode == JOURNAL else _snapshot(pair, copy, source, at)
    )


def syncing_text(pair: Pair, copy: Copy, at: float) -> tuple[str, str]:
    """State and description while the first full copy runs. The two modes differ."""
    assert copy.sync_from is not None
    span = copy.sync_until - copy.sync_from
    percent = min(99, int(100 * (at - copy.sync_from) / span)) if span > 0 else 99
    if pair.mode == JOURNAL:
        return "syncing", f"bootstrapping, IMAGE_SYNC/COPY_IMAGE {percent}%"
    source = pair.far(copy.site)
    stamp = int(source.last_snap.created) if source is not None and source.last_snap is not None else 0
    text = {
        "bytes_per_second": round(pair.size_bytes / span, 2) if span > 0 else 0.0,
        "bytes_per_snapshot": 0.0,
        "last_snapshot_bytes": 0,
        "last_snapshot_sync_seconds": 0,
        "remote_snapshot_timestamp": stamp,
        "replay_state": "syncing",
        "seconds_until_synced": 0,  # reckoned from the snapshots before, of which there are none
        "syncing_percent": percent,
        "syncing_snapshot_timestamp": stamp,
    }
    return "replaying", "replaying, " + compact(text)


def _journal(pair: Pair, copy: Copy, source: Copy, at: float) -> dict[str, Any]:
    done, length = replayed(pair, copy, at), source.log.length_at(at)
    behind = max(0, length - done)
    writing = source.log.segments[-1] if source.log.segments else None
    per_s = (
        min(writing.rate_per_s, copy.replay.rate_per_s) if writing and copy.replay and writing.ended is None else 0.0
    )
    text: dict[str, Any] = {
        "bytes_per_second": round(per_s * ENTRY_BYTES, 2),
        "entries_behind_primary": behind,
        "entries_per_second": round(per_s, 2),
        "non_primary_position": position(source.log, done),
        "primary_position": position(source.log, length),
    }
    if behind and per_s:
        text["seconds_until_synced"] = int(behind / per_s)
    return text


def _snapshot(pair: Pair, copy: Copy, source: Copy, at: float) -> dict[str, Any]:
    replay = copy.replay
    assert replay is not None
    held = [snap for snap in copy.snaps if snap.complete and snap.source_id is not None]
    text: dict[str, Any] = {
        "bytes_per_second": 0.0,
        "bytes_per_snapshot": 0.0,
        "last_snapshot_bytes": 0,
        "last_snapshot_sync_seconds": 0,
    }
    if held:
        text["local_snapshot_timestamp"] = int(held[-1].source_created)
    if source.last_snap is not None:
        text["remote_snapshot_timestamp"] = int(source.last_snap.created)
    if replay.busy is None:
        return {**text, "replay_state": "idle"}
    done = min(replay.busy_amount, replay.busy_done + replay.rate_per_s * (at - replay.at))
    text["replay_state"] = "syncing"
    if replay.rate_per_s:
        text["seconds_until_synced"] = int((replay.busy_amount - done) / replay.rate_per_s)
    text["syncing_percent"] = int(100 * done / replay.busy_amount)
    text["syncing_snapshot_timestamp"] = int(replay.busy.created)
    return text
