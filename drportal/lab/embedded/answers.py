"""Ceph's JSON answers, key for key and in Ceph's order."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from drportal.lab.embedded.copies import JOURNAL, SNAPSHOT, Copy, Published, Role, Snap
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.progress import replayed
from drportal.lab.embedded.world import World

VERSION = "16.2.15"
OBJECT_BYTES = 4 * 2**20
_STATES = ("unknown", "error", "syncing", "starting_replay", "replaying", "stopping_replay", "stopped")
_HEALTH = ("OK", "UNKNOWN", "WARNING", "ERROR")


@functools.lru_cache(maxsize=10_000)
def stamp(at: float) -> str:
    """As in `rbd info` and `rbd snap ls`; sites run in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%a %b %e %H:%M:%S %Y")


def short_stamp(at: float) -> str:
    """As in a mirror status."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def objects(pair: Pair) -> int:
    return -(-pair.size_bytes // OBJECT_BYTES)


def held_by_daemon(world: World, pair: Pair, copy: Copy) -> bool:
    """A replaying rbd-mirror has the image open and locked."""
    return (copy.replay is not None or copy.syncing) and world.daemon_works(copy.site)


def locked(world: World, pair: Pair, copy: Copy) -> bool:
    return held_by_daemon(world, pair, copy) or bool(copy.users and pair.writable(copy.site))


def info(world: World, pair: Pair, site: str) -> dict[str, Any]:
    copy = pair.copy(site)
    answer: dict[str, Any] = {
        "name": pair.name,
        "id": copy.image_id,
        "size": pair.size_bytes,
        "objects": objects(pair),
        "order": 22,
        "object_size": OBJECT_BYTES,
        "snapshot_count": len(copy.snaps),
        "block_name_prefix": f"rbd_data.{copy.image_id}",
        "format": 2,
        "features": _features(pair, copy),
        "op_features": [],
        "flags": [],
        "create_timestamp": stamp(copy.created),
        "access_timestamp": stamp(copy.modified),
        "modify_timestamp": stamp(copy.modified),
    }
    if pair.mode == JOURNAL and copy.role is not None:
        answer["journal"] = copy.image_id
    if copy.role is not None:
        answer["mirroring"] = {
            "mode": pair.mode,
            "state": "enabled",
            "global_id": pair.global_id,
            "primary": copy.role is Role.PRIMARY,
        }
    return answer


PLAIN_FEATURES = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten")


def _features(pair: Pair, copy: Copy) -> list[str]:
    if copy.role is not None and pair.mode == JOURNAL:
        return ["layering", "exclusive-lock", "journaling"]
    plain = [*PLAIN_FEATURES, *copy.switched_on]
    return [*plain, "non-primary"] if copy.role in (Role.REPLICA, Role.ORPHAN) else plain


def ls(world: World, site: str) -> list[dict[str, Any]]:
    """`rbd ls -l`: no word about who is primary."""
    rows = []
    for pair in world.pairs_at(site):
        copy = pair.copies[site]
        row: dict[str, Any] = {"image": pair.name, "id": copy.image_id, "size": pair.size_bytes, "format": 2}
        rows.append({**row, "lock_type": "exclusive"} if locked(world, pair, copy) else row)
    return rows


def watchers(world: World, pair: Pair, site: str) -> dict[str, Any]:
    """In snapshot mode the *other* site's rbd-mirror keeps the primary open too, as long as it follows it."""
    copy = pair.copy(site)
    handles = list(copy.users.values())
    if held_by_daemon(world, pair, copy) or copy.lock_until > world.clock():
        handles.append(world.daemon_watcher(site, site) or copy.daemon_handle)
    if pair.mode == SNAPSHOT and copy.role is Role.PRIMARY and (peer := world.daemon_watcher(world.other(site), site)):
        handles.append(peer)
    return {"watchers": [{"address": w.address, "client": w.client, "cookie": w.cookie} for w in handles]}


def mirroring_watchers(world: World, site: str) -> str:
    """`rados listwatchers rbd_mirroring`: each rbd-mirror that follows this pool, of either site, and nobody else."""
    found = (world.daemon_watcher(of, site) for of in sorted(world.sites))
    return "".join(f"watcher={w.address} client.{w.client} cookie={w.cookie}\n" for w in found if w)


def snaps(world: World, pair: Pair, site: str) -> list[dict[str, Any]]:
    return [_snap(world, pair, pair.copies[site], snap) for snap in pair.copy(site).snaps]


def snap_name(pair: Pair, snap: Snap) -> str:
    side = "primary" if snap.source_id is None else "non_primary"
    return f".mirror.{side}.{pair.global_id}.{snap.name_id}"


def _snap(world: World, pair: Pair, copy: Copy, snap: Snap) -> dict[str, Any]:
    mine = snap.source_id is None
    state = "demoted" if snap.demoted else "primary" if mine else "non-primary"
    peers = [world.sites[copy.site].peer_uuid] if snap.peer_linked and (mine or snap.demoted) else []
    space: dict[str, Any] = {
        "type": "mirror",
        "state": state,
        "mirror_peer_uuids": peers,
        "complete": snap.complete,
    }
    if not mine:
        space["primary_mirror_uuid"] = world.sites[world.other(copy.site)].mirror_uuid
        space["primary_snap_id"] = snap.source_id
        space["last_copied_object_number"] = objects(pair) if snap.complete else _copied_objects(pair, copy)
    return {
        "id": snap.id,
        "name": snap_name(pair, snap),
        "size": pair.size_bytes,
        "protected": "false",
        "timestamp": stamp(snap.created),
        "namespace": space,
    }


def _copied_objects(pair: Pair, copy: Copy) -> int:
    replay = copy.replay
    return (
        int(objects(pair) * replay.busy_done / replay.busy_amount) if replay is not None and replay.busy_amount else 0
    )


def peer_index(pair: Pair, site: str, now: float) -> int:
    """How far the other side's rbd-mirror has committed in this copy's journal."""
    copy, far = pair.copy(site), pair.far(site)
    if far is not None and far.replay is not None:
        return replayed(pair, far, now)
    return copy.peer_index or 0


def journal(world: World, pair: Pair, site: str, now: float) -> dict[str, Any]:
    """`rbd journal status`. The first client is the image's own writer, the second the other side's rbd-mirror."""
    copy, far = pair.copy(site), pair.far(site)
    if pair.mode != JOURNAL or copy.role is None:
        raise Refused(2, "no journal")
    own = copy.log.positions(copy.log.length_at(now))
    clients = [_client("", _OWN_DATA, own)]
    if far is not None:
        index = peer_index(pair, site, now)
        data = _peer_data(far.image_id)
        clients.append(_client(world.sites[far.site].mirror_uuid, data, copy.log.positions(index)))
    peer_first = clients[-1]["commit_position"]["object_positions"]
    return {
        "minimum_set": peer_first[0]["object_number"] // 4 if peer_first else 0,
        "active_set": own[0][0] // 4 if own else 0,
        "registered_clients": clients,
    }


def _client(client_id: str, data: bytes, positions: list[tuple[int, int, int]]) -> dict[str, Any]:
    listed = [{"object_number": number, "tag_tid": tag, "entry_tid": entry} for number, tag, entry in positions]
    return {
        "id": client_id,
        "data": hexdump(data),
        "commit_position": {"object_positions": listed},
        "state": "connected",
    }


_OWN_DATA = bytes.fromhex("02010d") + bytes(16)


def _peer_data(image_id: str) -> bytes:
    text = image_id.encode()
    inside = (1).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text + (1).to_bytes(4, "little") + bytes(16)
    return bytes((2, 1)) + len(inside).to_bytes(4, "little") + inside


@functools.lru_cache(maxsize=10_000)
def hexdump(data: bytes) -> str:
    """The way Ceph dumps a buffer: sixteen bytes a line, offset first, text behind, the length last."""
    lines = []
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        left = " ".join(f"{byte:02x}" for byte in row[:8])
        right = " ".join(f"{byte:02x}" for byte in row[8:])
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:08x}  {left:<23}  {right:<23}  |{text:<16}|")
    return "\n".join([*lines, f"{len(data):08x}\n"])


# ---- mirroring


def pool_info(world: World, site: str) -> dict[str, Any]:
    here, far = world.sites[site], world.sites[world.other(site)]
    peer = {
        "uuid": here.peer_uuid,
        "direction": "rx-tx",
        "site_name": far.name,
        "mirror_uuid": far.mirror_uuid,
        "client_name": "client.rbd-mirror-peer",
    }
    return {"mode": "image", "site_name": here.name, "peers": [peer]}


def image_status(world: World, pair: Pair, site: str, *, with_snaps: bool = True) -> dict[str, Any]:
    """Raises Refused(2) without the image, Refused(22) when it is not mirrored."""
    copy, far = pair.mirrored(site), world.other(site)
    word, said = world.shown(pair, site, site)
    answer: dict[str, Any] = {"name": pair.name, "global_id": pair.global_id, **_said(word, said)}
    if word == "up" and said is not None:
        answer["daemon_service"] = _service(world, site)
    answer["last_update"] = short_stamp(said.at) if said is not None else ""
    far_word, far_said = world.shown(pair, far, site)
    answer["peer_sites"] = [
        {
            "site_name": world.sites[far].name,
            "mirror_uuids": world.sites[far].mirror_uuid,
            **_said(far_word, far_said),
            "last_update": short_stamp(far_said.at) if far_said is not None else "",
        }
    ]
    if with_snaps and pair.mode == SNAPSHOT and copy.role is Role.PRIMARY:
        answer["snapshots"] = [
            {
                "id": row["id"],
                "name": row["name"],
                "demoted": row["namespace"]["state"] == "demoted",
                "mirror_peer_uuids": row["namespace"]["mirror_peer_uuids"],
            }
            for row in snaps(world, pair, site)
            if "primary_snap_id" not in row["namespace"]
        ]
    return answer


def _said(word: str, said: Published | None) -> dict[str, str]:
    if said is None:
        return {"state": "down+unknown", "description": "status not found"}
    return {"state": f"{word}+{said.state}", "description": said.description}


def _service(world: World, site: str) -> dict[str, str]:
    service = world.sites[site].daemon.service_id
    return {"service_id": str(service), "instance_id": str(service + 2), "daemon_id": site, "hostname": f"ceph-{site}"}


def pool_status(world: World, site: str, *, verbose: bool) -> dict[str, Any]:
    mirrored = [pair for pair in world.pairs_at(site) if pair.copies[site].role is not None]
    images = [image_status(world, pair, site, with_snaps=False) for pair in mirrored]
    services = _daemons(world, site)
    summary = _summary(images, services)
    return {"summary": summary, "daemons": services, "images": images} if verbose else {"summary": summary}


def _daemons(world: World, site: str) -> list[dict[str, Any]]:
    daemon, now, timing = world.sites[site].daemon, world.clock(), world.timing
    rows = []
    if daemon.works() and now >= daemon.first_tick - timing.watch_s / 2:
        rows.append(_daemon_row(site, daemon.service_id, alive=True))
    elif not daemon.works() and now < daemon.died + timing.lost_s:
        rows.append(_daemon_row(site, daemon.service_id, alive=now < daemon.died + timing.watch_s))
    if daemon.works() and daemon.old_service_id is not None and now < daemon.died + timing.lost_s:
        rows.append(_daemon_row(site, daemon.old_service_id, alive=False))
    return rows


def _daemon_row(site: str, service_id: int, *, alive: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "service_id": str(service_id),
        "instance_id": str(service_id + 2) if alive else "",
        "client_id": site,
        "hostname": f"ceph-{site}",
        "ceph_version": VERSION,
        "leader": alive,
        "health": "OK" if alive else "WARNING",
    }
    return row if alive else {**row, "callouts": ["not reporting status"]}


def _summary(images: list[dict[str, Any]], services: list[dict[str, Any]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for image in images:
        state = overall(image["state"], image["peer_sites"][0]["state"])
        counts[state] = counts.get(state, 0) + 1
    daemon = max((row["health"] for row in services), key=_HEALTH.index, default="UNKNOWN")
    bad = [state for state in counts if state not in ("replaying", "stopped")]
    image_health = "ERROR" if "error" in bad else "WARNING" if bad else "OK"
    return {
        "health": max(daemon, image_health, key=_HEALTH.index),
        "daemon_health": daemon,
        "image_health": image_health,
        "states": {state: counts[state] for state in _STATES if state in counts},
    }


def overall(here: str, there: str) -> str:
    """How Ceph adds up the two sides' words on one image, as read from its summaries.

    A peer that is down counts as unknown, a down local side as stopped: so a lost copy can look quiet.
    """
    words = [(side.split("+", 1)) for side in (here, there)]
    if any(state == "error" for _, state in words):
        return "error"
    (here_up, here_state), (there_up, there_state) = words
    if there_up == "down" or there_state == "unknown" or (here_up == "up" and here_state == "unknown"):
        return "unknown"
    if here == "down+unknown":
        return "unknown"
    live = {state for up, state in words if up == "up"}
    return next((state for state in _STATES if state in live and state != "stopped"), "stopped")
