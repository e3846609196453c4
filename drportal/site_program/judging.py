"""What a reading of the state says about an act. Asks nobody and changes nothing."""

import re
from typing import Callable, List, Optional

from drportal.site_program.wire import STARTS_FROM, Json

# What a client says by itself. Another end (a signal, a time-out, shut out) may leave its last words under way.
OWN_WORDS = (0, 1, 2, 13, 16, 22, 28, 30)


def newest_mirror_snapshot(snapshots: List[Json]) -> Optional[Json]:
    """Of ``rbd snap ls --all``: the mirror snapshot with the highest id, as ``expect`` and receipts speak of it."""
    mirror = [one for one in snapshots if (one.get("namespace") or {}).get("type") == "mirror"]
    if not mirror:
        return None
    newest = max(mirror, key=lambda one: int(one["id"]))
    said = newest["namespace"]
    return {
        "snap_id": int(newest["id"]),
        "state": said.get("state"),
        "complete": said.get("complete"),
        "primary_snap_id": said.get("primary_snap_id"),
    }


def role_of(info: Json, snapshots: Callable[[], List[Json]]) -> Json:
    """What a receipt keeps of an image before and after."""
    mirroring = info.get("mirroring") or {}
    enabled = mirroring.get("state") == "enabled"
    mode = mirroring.get("mode") if enabled else None
    return {
        "image_id": info["id"],
        "global_id": mirroring.get("global_id"),
        "mode": mode,
        "primary": mirroring.get("primary") if enabled else None,
        "newest_snapshot": newest_mirror_snapshot(snapshots()) if mode == "snapshot" else None,
    }


def reached(receipt: Json, now: Json, said: str) -> Optional[bool]:
    """Whether the state is what the act brings about; False: it is what it was; None: that can't be told.

    ``said``: the words of the client that acted, as far as they are known.
    """
    verb, before = receipt["verb"], receipt["before"] or {}
    if verb in ("fence", "unfence", "free"):
        return _shut_out(receipt, now)
    if verb == "salvage-export":
        return True if "path" in now else None if "image_id" in now else False
    if verb == "salvage-copy":
        return False if "copy" not in now else None if now["mirrored"] else True
    if now.get("absent"):
        return True if verb == "resync" else None
    if verb == "resync":
        # Carried out already, or ordered and waiting for a peer that is primary.
        return True if now["image_id"] != before.get("image_id") else now.get("resync_requested")
    if now["image_id"] != before.get("image_id"):
        return None
    goal = _snapshot_made(before, now, said) if verb == "mirror-snapshot" else now["primary"] is (verb != "demote")
    if goal is False and now["primary"] != before.get("primary"):
        return None
    return goal


def _shut_out(receipt: Json, now: Json) -> Optional[bool]:
    listed = {entry.split(" ")[0] for entry in now["blocklisted"]}
    there = [address in listed for address in receipt["addresses"]]
    unchanged = now["blocklisted"] == (receipt["before"] or {}).get("blocklisted")
    if receipt["verb"] == "unfence":
        return True if not any(there) else False if unchanged else None
    # Listed as before: their end is the old one.
    return False if unchanged else True if all(there) else None


def _snapshot_made(before: Json, now: Json, said: str) -> Optional[bool]:
    """By the number that was printed: a newer one alone may be that of the manager's schedule."""
    was, newest = ((one or {"snap_id": -1})["snap_id"] for one in (before["newest_snapshot"], now["newest_snapshot"]))
    printed = re.search(r"^Snapshot ID: (\d+)$", said, re.MULTILINE)
    if printed is not None and was < int(printed.group(1)) <= newest:
        return True
    return False if newest == was else None


def reason_of(verb: str, exit_status: int, after: Optional[Json]) -> str:
    """A word for why an act was not done."""
    if after is not None and after.get("absent"):
        return "not-found"
    if exit_status == 16 and verb == "promote":
        return "demotion-not-arrived"
    if exit_status in (16, 30):
        return "lock-held"
    if exit_status == 22 and after is not None and after.get("primary") is None and "blocklisted" not in after:
        return "not-mirrored"
    if exit_status == 22 and after is not None and after.get("primary") is not STARTS_FROM.get(verb):
        return "is-primary" if after.get("primary") else "is-not-primary"
    return {1: "no-rights", 2: "not-found", 13: "no-rights", 108: "unreachable", 110: "unreachable"}.get(
        exit_status, "other"
    )
