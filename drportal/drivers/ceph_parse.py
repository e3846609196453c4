"""From rbd's JSON to the values of ``drivers.base``. Pure; raises Refused(UNREADABLE) for anything that does not fit.

Shapes as printed by Ceph 16.2 and later with ``--format json`` (rbd(8)); unknown fields are ignored.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from collections.abc import Callable, Iterator
from sys import intern
from typing import Any, TypeVar

from drportal.drivers.ages import age_s
from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    JournalClient,
    JournalPosition,
    JournalReading,
    MirrorClients,
    MirrorDaemon,
    MirrorMode,
    MirrorSnapshot,
    MirrorStatus,
    Peer,
    ScheduleLine,
    SnapshotReading,
    SnapshotSchedules,
    Watcher,
    WatcherReading,
    replay_details,
)
from drportal.drivers.errors import Reason, Refused

Parsed = TypeVar("Parsed")
_MODES = {mode.value: mode for mode in MirrorMode}
_COPYING = re.compile(r"bootstrapping, IMAGE_(?:SYNC|COPY)/COPY_(?:IMAGE|OBJECT) (\d{1,3})%")


def parsed(answer: Answer, make: Callable[[Any], Parsed], said: Any = None) -> Parsed:
    """``make`` applied to the answer's JSON (``said``: the same, where the caller has it read already).

    Raises Refused(UNREADABLE) when it is not JSON or not of the expected shape.
    """
    try:
        return make(json.loads(answer.stdout) if said is None else said)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        # ValueError includes json.JSONDecodeError: an answer cut off in the middle ends here too.
        raise Refused(
            f"The answer of {answer.host} to `{answer.command}` can't be read ({type(exc).__name__}: {exc}). "
            "Nothing may be concluded from it.",
            Reason.UNREADABLE,
            answer,
        ) from exc


def info(ref: ImageRef, answer: Answer, said: Any = None) -> ImageInfo:
    """``said``: as for ``parsed``; here and below."""
    return parsed(answer, lambda data: _info(ref, data, answer), said)


def _info(ref: ImageRef, data: dict[str, Any], answer: Answer) -> ImageInfo:
    mirroring = data.get("mirroring") or {}
    primary = mirroring.get("primary")
    if primary is not None and not isinstance(primary, bool):
        raise TypeError("mirroring.primary is neither true nor false")
    if str(data["name"]) != ref.name:
        raise ValueError(f"it speaks of {data['name']!r}, asked was {ref.name!r}")
    return ImageInfo(
        ref=ref,
        image_id=intern(str(data["id"])),
        size_bytes=int(data["size"]),
        features=_features(tuple(str(feature) for feature in data.get("features", ()))),
        parent=_parent(data.get("parent")),
        # An image with journaling names a mode even while its mirroring is disabled.
        mode=_mode(mirroring.get("mode")) if mirroring.get("state") != "disabled" else None,
        mirror_state=_once(mirroring.get("state")),
        global_id=_once(mirroring.get("global_id")),
        primary=primary,
        answer=answer,
    )


@functools.lru_cache(maxsize=256)
def _features(names: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for the thousands of images that have the same."""
    return names


def _once(word: Any) -> str | None:
    """Thousands of images are spoken of again and again, by both sites: each word is kept once."""
    return intern(word) if type(word) is str else word


def _mode(word: str | None) -> MirrorMode | None:
    """None also for a mode this portal doesn't know: such an image counts as not mirrored, which refuses every act."""
    return _MODES.get(word) if word else None


def _parent(parent: dict[str, Any] | None) -> str | None:
    if not parent:
        return None
    namespace = f"{parent['pool_namespace']}/" if parent.get("pool_namespace") else ""
    return f"{parent['pool']}/{namespace}{parent['image']}@{parent['snapshot']}"


def status(answer: Answer, site_now: dt.datetime | None, said: Any = None) -> MirrorStatus:
    """One image's status. ``site_now``: the site's own clock with its own offset, or None where it was not read."""
    return parsed(answer, lambda data: mirror_status(data, site_now), said)


def mirror_status(data: dict[str, Any], site_now: dt.datetime | None) -> MirrorStatus:
    """One entry of ``pool status --verbose`` or the whole of ``mirror image status``."""
    description = str(data["description"])
    state = str(data["state"])
    hints = replay_details(description) or {}
    return MirrorStatus(
        name=intern(str(data["name"])),
        global_id=intern(str(data["global_id"])),
        state=intern(state),
        description=description if "{" in description else intern(description),
        last_update_text=intern(str(data.get("last_update", ""))),
        age_s=age_s(str(data.get("last_update", "")), site_now),
        syncing="syncing" in state or hints.get("replay_state") == "syncing",
        entries_behind=_whole(hints.get("entries_behind_primary")),
        bytes_per_second=_number(hints.get("bytes_per_second")),
        seconds_until_synced=_seconds_left(hints),
        copied_percent=_copied_percent(description, hints),
    )


def _seconds_left(hints: dict[str, object]) -> float | None:
    """In snapshot mode reckoned from the snapshots before; of a first one there are none, and Ceph says 0."""
    unknown = hints.get("replay_state") == "syncing" and not hints.get("bytes_per_snapshot")
    return None if unknown else _number(hints.get("seconds_until_synced"))


def _copied_percent(description: str, hints: dict[str, object]) -> int | None:
    """Snapshot mode says the same of every later snapshot: then one before it is whole, and has a time."""
    if hints.get("replay_state") == "syncing" and not hints.get("local_snapshot_timestamp"):
        percent = _whole(hints.get("syncing_percent"))
    else:
        found = _COPYING.fullmatch(description)
        percent = int(found[1]) if found else None
    return percent if percent is not None and 0 <= percent <= 100 else None


def site_clock(answer: Answer) -> dt.datetime | None:
    """The answer to ``date +%FT%T%z`` as an aware datetime in the site's own zone; None if it isn't one."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4})\s*", answer.stdout)
    if answer.exit_status != 0 or found is None:
        return None
    try:
        return dt.datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def pool_info(data: dict[str, Any]) -> tuple[str, str, tuple[Peer, ...]]:
    """``rbd mirror pool info``: mode (disabled, image, pool), this site's name, peers."""
    peers = tuple(
        Peer(
            uuid=str(peer["uuid"]),
            direction=str(peer.get("direction", "")),
            site_name=str(peer.get("site_name", "")),
            mirror_uuid=str(peer.get("mirror_uuid", "")),
        )
        for peer in data.get("peers") or ()
    )
    return str(data["mode"]), str(data.get("site_name", "")), peers


def pool_health(data: dict[str, Any]) -> tuple[str, str, tuple[MirrorDaemon, ...]]:
    """``rbd mirror pool status --verbose``: health, daemon health, daemons. A hint: health can't see two primaries."""
    summary = data["summary"]
    daemons = tuple(
        MirrorDaemon(
            service_id=str(daemon["service_id"]),
            instance_id=str(daemon["instance_id"]),
            hostname=str(daemon.get("hostname", "")),
            version=str(daemon.get("ceph_version", "")),
            leader=bool(daemon.get("leader", False)),
            health=str(daemon.get("health", "")),
        )
        for daemon in data.get("daemons") or ()
    )
    return str(summary["health"]), str(summary.get("daemon_health", "")), daemons


def pool_statuses(data: dict[str, Any], site_now: dt.datetime | None) -> dict[str, MirrorStatus]:
    """Image name -> status, of ``rbd mirror pool status --verbose``."""
    return {str(entry["name"]): mirror_status(entry, site_now) for entry in data.get("images") or ()}


def image_list(data: list[dict[str, Any]]) -> tuple[tuple[str, ...], dict[str, str]]:
    """``rbd ls -l``: image names (without the rows of their snapshots), and child -> parent for clones."""
    images = [entry for entry in data if "snapshot" not in entry]
    parents = {str(entry["image"]): _parent(entry["parent"]) for entry in images if entry.get("parent")}
    return tuple(intern(str(entry["image"])) for entry in images), {
        child: p for child, p in parents.items() if p is not None
    }


def journal(ref: ImageRef, answer: Answer, said: Any = None) -> JournalReading:
    return parsed(
        answer, lambda data: JournalReading(ref, tuple(map(_client, data["registered_clients"])), answer), said
    )


def _client(data: dict[str, Any]) -> JournalClient:
    positions = data["commit_position"].get("object_positions") or []
    newest = positions[0] if positions else None
    return JournalClient(
        client_id=str(data["id"]),
        state=str(data["state"]),
        position=JournalPosition(int(newest["tag_tid"]), int(newest["entry_tid"]), int(newest["object_number"]))
        if newest
        else None,
    )


def snapshots(ref: ImageRef, answer: Answer, said: Any = None) -> SnapshotReading:
    return parsed(answer, lambda data: _snapshots(ref, data, answer), said)


def _snapshots(ref: ImageRef, data: list[dict[str, Any]], answer: Answer) -> SnapshotReading:
    of_mirroring = [entry for entry in data if _namespace(entry).get("type") == "mirror"]
    others = [str(entry["name"]) for entry in data if _namespace(entry).get("type") != "mirror"]
    mirror = sorted(map(_mirror_snapshot, of_mirroring), key=lambda snapshot: snapshot.snap_id)
    return SnapshotReading(ref, tuple(mirror), tuple(others), answer)


def _namespace(entry: dict[str, Any]) -> dict[str, Any]:
    return entry.get("namespace") or {}


def _mirror_snapshot(entry: dict[str, Any]) -> MirrorSnapshot:
    namespace = _namespace(entry)
    complete = namespace.get("complete")
    return MirrorSnapshot(
        snap_id=int(entry["id"]),
        name=str(entry["name"]),
        state=str(namespace["state"]),
        complete=complete if isinstance(complete, bool) else None,
        on_primary=str(entry["name"]).startswith(".mirror.primary."),
        primary_mirror_uuid=namespace.get("primary_mirror_uuid"),
        primary_snap_id=_whole(namespace.get("primary_snap_id")),
        last_copied_object=_whole(namespace.get("last_copied_object_number")),
    )


def watchers(ref: ImageRef, answer: Answer, said: Any = None) -> WatcherReading:
    return parsed(
        answer,
        lambda data: WatcherReading(
            ref,
            tuple(Watcher(str(w["address"]), str(w["client"]), str(w["cookie"])) for w in data["watchers"]),
            answer,
        ),
        said,
    )


def mirror_clients(pool: str, answer: Answer) -> MirrorClients:
    """``rados listwatchers`` prints text whatever format is asked for: ``watcher=ADDRESS client.4111 cookie=N``."""
    lines = answer.stdout.splitlines()
    found = [re.fullmatch(r"watcher=\S+ client\.(\d+) cookie=\d+", line.strip()) for line in lines]
    if not all(found):
        raise Refused(
            f"{answer.host} said who mirrors pool {pool} in words that the portal does not know.",
            Reason.UNREADABLE,
            answer,
        )
    return MirrorClients(pool, frozenset(match[1] for match in found if match), answer)


def version(answer: Answer) -> str:
    """``16.2.15`` from ``ceph version 16.2.15 (hash) pacific (stable)``."""
    found = re.search(r"ceph version (\S+)", answer.stdout)
    if found is None:
        raise Refused(
            f"{answer.host} did not say which Ceph it runs: {answer.stdout[:200]!r}.", Reason.UNREADABLE, answer
        )
    return found[1]


def schedules(pool: str, answer: Answer) -> SnapshotSchedules:
    """Those of a namespace are left out: the portal sees no image there."""
    return parsed(answer, lambda data: SnapshotSchedules(pool, tuple(_schedule_lines(data)), answer))


def _schedule_lines(data: list[dict[str, Any]]) -> Iterator[ScheduleLine]:
    for entry in data:
        pool, namespace, image = (_named(entry.get(key)) for key in ("pool", "namespace", "image"))
        if namespace:
            continue
        for item in entry["items"]:
            yield ScheduleLine(pool, image, str(item["interval"]), str(item.get("start_time") or ""))


def _named(word: object) -> str:
    """``-`` stands for *all of them*."""
    return "" if word in (None, "-") else str(word)
