"""From the drivers' values to the engine's facts, and facts to and from the JSON that image rows keep.

A fact's ``read_at`` is when its question was *sent*: it can only be newer than it says, never older.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from drportal.drivers.base import (
    ImageInfo,
    JournalPosition,
    JournalReading,
    MirrorClients,
    MirrorDaemon,
    MirrorStatus,
    PoolReading,
    SnapshotReading,
    WatcherReading,
)
from drportal.drivers.base_cloud import Vm
from drportal.engine.facts import (
    DiskFacts,
    HoldFacts,
    JournalFacts,
    MirrorSnap,
    Mode,
    Position,
    RoleFacts,
    SideFacts,
    SnapshotFacts,
    StatusFacts,
    VmFacts,
    WatcherFacts,
)
from drportal.engine.gap_base import Gap
from drportal.inventory.bulk import JsonText

_SIDE = TypeAdapter(SideFacts)
_GAP = TypeAdapter(Gap)
Replay = Mapping[str, object] | None


def side_as_text(facts: SideFacts) -> JsonText:
    """As ``MirroredImage.side_a`` and ``side_b`` keep it: written again and again, so without what is not known."""
    return JsonText(_SIDE.dump_json(facts, exclude_defaults=True).decode())


def side_from_json(kept: Mapping[str, Any]) -> SideFacts:
    """The way back; an empty object is a side that was never looked at."""
    return _SIDE.validate_python(kept) if kept else SideFacts(reachable=None)


def gap_to_json(gap: Gap) -> dict[str, Any]:
    kept: dict[str, Any] = _GAP.dump_python(gap, mode="json")
    return kept


def gap_from_json(kept: Mapping[str, Any]) -> Gap:
    return _GAP.validate_python(kept)


def role_facts(info: ImageInfo, read_at: dt.datetime | None = None) -> RoleFacts:
    """``read_at``: when it was read again, and was the same."""
    return RoleFacts(
        exists=True,
        primary=info.primary,
        mode=Mode(info.mode.value) if info.mode else None,
        global_id=info.global_id,
        image_id=info.image_id,
        parent=info.parent,
        read_at=read_at or info.answer.started_at,
        features=info.features,
    )


def absent_role(read_at: dt.datetime) -> RoleFacts:
    """For an image that the site answered not to have."""
    return RoleFacts(exists=False, primary=None, mode=None, global_id=None, image_id=None, parent=None, read_at=read_at)


def status_facts(status: MirrorStatus, read_at: dt.datetime) -> StatusFacts:
    replay = status.replay
    replayed = _replay_position(replay, "non_primary_position")
    primary_position = _replay_position(replay, "primary_position")
    return StatusFacts(
        state=status.state,
        description=status.description,
        syncing=status.syncing,
        age_s=status.age_s,
        entries_behind=status.entries_behind,
        read_at=read_at,
        caught_up_once=_caught_up_once(replay),
        replayed=replayed,
        primary_position=replayed if replayed == primary_position else primary_position,
        copied_until=_copied_until(replay),
        bytes_per_second=status.bytes_per_second,
        eta_s=status.seconds_until_synced,
        copied_percent=status.copied_percent,
        last_update=status.last_update_text,
    )


def _replay_position(replay: Replay, name: str) -> Position | None:
    """A position of the replay details; an empty object is none."""
    found = (replay or {}).get(name)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), int) for key in _POSITION):
        return None
    return Position(*(int(found[key]) for key in _POSITION))


_POSITION = ("tag_tid", "entry_tid", "object_number")


def _copied_until(replay: Replay) -> dt.datetime | None:
    """``local_snapshot_timestamp``: seconds since 1970, of the *primary's* snapshot that is whole here."""
    stamp = (replay or {}).get("local_snapshot_timestamp")
    return dt.datetime.fromtimestamp(stamp, dt.UTC) if isinstance(stamp, int) and 0 < stamp < 2**40 else None


def _caught_up_once(replay: Replay) -> bool | None:
    """Whether the replay details name a position of the copy: absent or empty before the first catch-up."""
    if replay is None:
        return None
    return bool(replay.get("non_primary_position") or replay.get("local_snapshot_timestamp"))


def journal_facts(reading: JournalReading) -> JournalFacts:
    local = next((client for client in reading.clients if client.client_id == ""), None)
    peer = next((client for client in reading.clients if client.client_id != ""), None)
    return JournalFacts(
        local=_position(local.position) if local else None,
        peer=_position(peer.position) if peer else None,
        peer_registered=peer is not None,
        read_at=reading.answer.started_at,
    )


def _position(position: JournalPosition | None) -> Position | None:
    return Position(position.tag_tid, position.entry_tid, position.object_number) if position else None


def snapshot_facts(reading: SnapshotReading) -> SnapshotFacts:
    snaps = tuple(
        MirrorSnap(
            snap_id=snap.snap_id,
            state=snap.state,
            complete=snap.complete,
            made_here=snap.on_primary,
            primary_snap_id=snap.primary_snap_id,
        )
        for snap in reading.mirror_snapshots
    )
    return SnapshotFacts(snaps=snaps, read_at=reading.answer.started_at)


def watcher_facts(reading: WatcherReading, mirroring: MirrorClients) -> WatcherFacts:
    """``mirroring``: the mirror daemons of both sites; whoever else watches the image is foreign."""
    foreign = tuple(
        f"client.{watcher.client} at {watcher.address}"
        for watcher in reading.watchers
        if watcher.client not in mirroring.clients
    )
    return WatcherFacts(foreign=foreign, total=len(reading.watchers), read_at=reading.answer.started_at)


def hold_facts(reading: WatcherReading, mirroring: MirrorClients, daemons: Iterable[MirrorDaemon]) -> HoldFacts:
    """Of all mirror daemons those of this site (``daemons``; none told: all of them): in snapshot mode a peer's has the
    image open too, and locks nothing."""
    own = {daemon.instance_id for daemon in daemons if daemon.instance_id} or mirroring.clients
    holding = {watcher.address for watcher in reading.watchers if watcher.client in mirroring.clients & own}
    return HoldFacts(daemons=tuple(sorted(holding)), read_at=reading.answer.started_at)


def vm_facts(vm: Vm, read_at: dt.datetime) -> VmFacts:
    return VmFacts(phase=vm.phase.value, state_word=vm.state_word, locked=vm.locked, error=vm.error, read_at=read_at)


def gone_vm_facts(read_at: dt.datetime) -> VmFacts:
    """For a VM that the front end answered not to know."""
    return VmFacts(phase="gone", state_word="GONE", locked=False, error=None, read_at=read_at)


def disk_facts(disk_id: int, kind: str, source: str | None, *, mirrored: bool, parent: str | None) -> DiskFacts:
    return DiskFacts(disk_id=disk_id, kind=kind, source=source, mirrored=mirrored, parent=parent)


def daemon_healthy(reading: PoolReading) -> bool | None:
    """False when no mirror daemon of the site is heard of.

    A warning is no death: with a dead peer there is always one.
    """
    if not reading.daemons or reading.daemon_health in {"ERROR", "UNKNOWN"}:
        return False
    return True if reading.daemon_health in {"OK", "WARNING"} else None


def peer_direction(reading: PoolReading) -> str | None:
    return reading.peers[0].direction or None if reading.peers else None


def read_time(reading: PoolReading) -> dt.datetime:
    """When the oldest of the pool's answers was asked for."""
    return min(answer.started_at for answer in reading.answers)
