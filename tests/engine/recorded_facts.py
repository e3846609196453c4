"""Facts from the recorded answers of real Ceph: each reading of each image of a state folder, both sides together."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

ROOT = Path(__file__).resolve().parents[1] / "fixtures" / "ceph"
NOW = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
STATUS_AGE_S = 20.0
"""The recordings do not hold the sites' clocks; rbd-mirror writes every 30 s, so this age is as good as any."""

DEAD = {"20-a-dead": "a", "21-force-promoted": "a", "28-force-while-a-dead": "a", "32-hung": "a"}


@dataclass(frozen=True)
class Reading:
    """``number``: the nth time this image was read in this state, from 1."""

    state: str
    image: str
    number: int

    def __str__(self) -> str:
        return f"{self.state}/{self.image}/{self.number}"

    def side(self, letter: str) -> SideFacts:
        if DEAD.get(self.state) == letter:
            return SideFacts(False, unreachable_since=NOW - dt.timedelta(seconds=60))
        return SideFacts(
            True,
            role=role(self._file(letter, f"info-{self.image}")),
            status=status(self._file(letter, f"mirror-image-status-{self.image}")),
            journal=journal(self._file(letter, f"journal-status-pool-one-image-{self.image}")),
            snapshots=snapshots(self._file(letter, f"snap-ls-all-{self.image}")),
        )

    def _file(self, letter: str, stem: str) -> Path:
        suffix = "" if self.number == 1 else f".{self.number}"
        return ROOT / self.state / f"{letter}--{stem}{suffix}.json"


def readings() -> list[Reading]:
    """Every (state, image, number) of which at least one side's ``info`` or ``image status`` was recorded."""
    found: set[Reading] = set()
    for path in ROOT.glob("*/*--*.json"):
        match = re.fullmatch(r"[ab]--(?:info|mirror-image-status)-(one-[0-9-]+)(?:\.(\d+))?\.json", path.name)
        if match:
            found.add(Reading(path.parent.name, match[1], int(match[2] or 1)))
    return sorted(found, key=str)


def _load(path: Path) -> Any:
    if not path.exists():
        return None
    text = path.read_text()
    return json.loads(text) if text.strip() else None


def role(path: Path) -> RoleFacts | None:
    errors = path.with_name(path.name + ".stderr")
    if errors.exists() and "(2) No such file" in errors.read_text():
        return RoleFacts(False, None, None, None, None, None, NOW)
    data = _load(path)
    if data is None:
        return None
    mirroring = data.get("mirroring") or {}
    mode = Mode(mirroring["mode"]) if "mode" in mirroring else None
    parent = data.get("parent", {}).get("image")
    return RoleFacts(True, mirroring.get("primary"), mode, mirroring.get("global_id"), data["id"], parent, NOW)


def status(path: Path) -> StatusFacts | None:
    data = _load(path)
    if data is None:
        return None
    text = data["description"]
    replay = json.loads(text[text.index("{") :]) if "{" in text else {}
    known = None
    if replay:
        known = bool(replay.get("non_primary_position")) or "local_snapshot_timestamp" in replay
    syncing = "syncing" in data["state"] or replay.get("replay_state") == "syncing"
    return StatusFacts(
        data["state"], text, syncing, STATUS_AGE_S, replay.get("entries_behind_primary"), NOW, caught_up_once=known
    )


def journal(path: Path) -> JournalFacts | None:
    data = _load(path)
    if data is None:
        return None
    clients = {client["id"]: client["commit_position"]["object_positions"] for client in data["registered_clients"]}
    peers = [positions for name, positions in clients.items() if name]
    return JournalFacts(_first(clients.get("", [])), _first(peers[0] if peers else []), bool(peers), NOW)


def _first(positions: list[dict[str, int]]) -> Position | None:
    if not positions:
        return None
    newest = positions[0]
    return Position(newest["tag_tid"], newest["entry_tid"], newest["object_number"])


def snapshots(path: Path) -> SnapshotFacts | None:
    data = _load(path)
    if data is None:
        return None
    made = []
    for entry in data:
        space = entry["namespace"]
        if space.get("type") == "mirror":
            here = entry["name"].startswith(".mirror.primary.")
            made.append(
                MirrorSnap(entry["id"], space["state"], space.get("complete"), here, space.get("primary_snap_id"))
            )
    return SnapshotFacts(tuple(made), NOW)
