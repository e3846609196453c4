"""Runs under the system's own python3, which has Debian's `rados` and `rbd`: one ordinary client of one cluster.

    /usr/bin/python3 librbd_worker.py CEPH_CONF POOL [--guest-writes]

Standard input and output are lines of JSON: {"id": 1, "verb": "size", "args": {...}} is answered, in any order, by
{"id": 1, "result": ...} or {"id": 1, "error": "...", "errno": 2}. It ends when its input does. It is also the
hypervisor of the site: an image that a VM has open is open here, with a watch on it as librbd puts it there.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rados
import rbd

_MIB = 1 << 20
_GUEST_AREA = _MIB  # the last MiB of each image is where guests write, if they do
_BLOCK = 4096
_BLOCKS = _GUEST_AREA // _BLOCK
_PATIENCE_S = "15"


class Worker:
    """The verbs are the public methods; their arguments are JSON values."""

    def __init__(self, conf: str, pool: str) -> None:
        options = dict.fromkeys(("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"), _PATIENCE_S)
        self._cluster = rados.Rados(conffile=conf, name="client.admin", conf={**options, "log_to_stderr": "false"})
        self._cluster.connect()
        self._pool = pool
        self._io: Any = None
        self._open: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @property
    def io(self) -> Any:
        if self._io is None:
            self._io = self._cluster.open_ioctx(self._pool)
        return self._io

    # ---- the cluster

    def mon(self, prefix: str, **args: Any) -> Any:
        """A monitor command, as `ceph PREFIX ... --format json`."""
        code, out, err = self._cluster.mon_command(json.dumps({"prefix": prefix, "format": "json", **args}), b"")
        if code:
            raise OSError(-code, f"ceph {prefix}: {err.strip()}")
        return json.loads(out) if out.strip() else None

    def latest_map(self) -> None:
        """Know where the OSD is now."""
        self._cluster.wait_for_latest_osdmap()

    def init_pool(self, site_name: str) -> None:
        rbd.RBD().pool_init(self.io, False)
        rbd.RBD().mirror_mode_set(self.io, rbd.RBD_MIRROR_MODE_IMAGE)
        rbd.RBD().mirror_site_name_set(self._cluster, site_name)

    def bootstrap_create(self) -> Any:
        token = rbd.RBD().mirror_peer_bootstrap_create(self.io)
        return token.decode() if isinstance(token, bytes) else token

    def bootstrap_import(self, token: str) -> None:
        rbd.RBD().mirror_peer_bootstrap_import(self.io, rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX, token)

    # ---- images

    def create(self, name: str, size_bytes: int, mode: str | None) -> None:
        """`mode` is journal, snapshot, or None: not mirrored."""
        features = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
        if mode == "journal":
            features |= rbd.RBD_FEATURE_JOURNALING
        else:
            features |= rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF | rbd.RBD_FEATURE_DEEP_FLATTEN
        rbd.RBD().create(self.io, name, size_bytes, old_format=False, features=features)
        if mode is not None:
            with rbd.Image(self.io, name) as image:
                journal = mode == "journal"
                image.mirror_image_enable(
                    rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL if journal else rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT
                )
                # A journal without an entry has no position that the other side could ever be seen to have reached.
                image.write(b"a disk of the lab\n", 0)
                image.flush()

    def remove(self, name: str) -> None:
        rbd.RBD().remove(self.io, name)

    def exists(self, name: str) -> bool:
        return name in rbd.RBD().list(self.io)

    def image(self, name: str) -> dict[str, Any]:
        """Opened read-only, which leaves no watch behind. `primary` is None where it is not mirrored."""
        with rbd.Image(self.io, name, read_only=True) as image:
            info = image.mirror_image_get_info()
            mirrored = info["state"] != rbd.RBD_MIRROR_IMAGE_DISABLED
            mode = image.mirror_image_get_mode() if mirrored else None
            return {
                "name": name,
                "id": image.id(),
                "size_bytes": image.size(),
                "primary": info["primary"] if mirrored else None,
                "global_id": info["global_id"] if mirrored else None,
                "mode": {
                    rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL: "journal",
                    rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT: "snapshot",
                }.get(mode),
                "open_by": sorted(client for opened, client in list(self._open) if opened == name),
            }

    def images(self) -> list[dict[str, Any]]:
        """All that are there now; one that disappears while we look is left out."""
        with ThreadPoolExecutor(8) as readers:
            found = readers.map(self._image_or_none, rbd.RBD().list(self.io))
            return [image for image in found if image is not None]

    def _image_or_none(self, name: str) -> dict[str, Any] | None:
        try:
            return self.image(name)
        except rbd.ImageNotFound:
            return None

    def replaying(self) -> list[str]:
        """The images that this site's rbd-mirror says it replays."""
        return [
            status["name"]
            for status in rbd.RBD().mirror_image_status_list(self.io)
            if status["up"] and status["state"] == rbd.MIRROR_IMAGE_STATUS_STATE_REPLAYING
        ]

    def write(self, name: str, seed: str) -> None:
        """Fill the image with bytes that depend only on the seed."""
        source = random.Random(seed)
        with rbd.Image(self.io, name) as image:
            size = image.size()
            for at in range(0, size, 4 * _MIB):
                image.write(source.randbytes(min(4 * _MIB, size - at)), at)
            image.flush()

    def held(self, name: str) -> dict[str, Any]:
        """What this copy is worth: all of it, or of one that is just being copied in snapshot mode what it held before.

        `writes` are the numbers of the guest's writes found in it (see `guest_write`), in order.
        """
        with rbd.Image(self.io, name, read_only=True) as image:
            if before := _half_copied(image):
                image.set_snap_by_id(before)
            data = image.read(0, image.size())
        area = data[-_GUEST_AREA:]
        blocks = (area[at : at + _BLOCK] for at in range(0, _GUEST_AREA, _BLOCK))
        return {
            "sha256": hashlib.sha256(data).hexdigest(),
            "writes": sorted(number for block in blocks if (number := _number_of(name, block)) is not None),
        }

    # ---- the hypervisor

    def open(self, name: str, client: str) -> None:
        with self._lock:
            if (name, client) not in self._open:
                self._open[name, client] = rbd.Image(self.io, name)

    def close(self, name: str, client: str) -> None:
        with self._lock:
            image = self._open.pop((name, client), None)
            if image is not None:
                image.close()

    def guest_write(self, name: str, number: int, count: int) -> None:
        """The VM that has the image open writes numbered blocks, this one and those after it, and is told that they are
        written.

        Which block it is follows from the number, so a copy that lacks a write or has one too many shows it.
        """
        with self._lock:
            image = next(image for (opened, _), image in self._open.items() if opened == name)
            for each in range(number, number + count):
                at = image.size() - _GUEST_AREA + each % _BLOCKS * _BLOCK
                image.write(_numbered(name, each), at)
            image.flush()

    def write_as_guests(self) -> None:
        """Each second 4 KiB to each open image, in its last MiB; one that is no longer primary refuses, as it must."""
        while True:
            time.sleep(1)
            with self._lock:
                for image in self._open.values():
                    try:
                        size = image.size()
                        image.write(os.urandom(_BLOCK), max(0, size - _GUEST_AREA) + random.randrange(_BLOCKS) * _BLOCK)
                    except rbd.Error:
                        continue


def _half_copied(image: Any) -> int | None:
    """The id of the mirror snapshot that is being copied here, if there is one.

    It is made before its data arrive, so reading at it shows what was there before (measured on Ceph 16.2.15: at a
    snapshot that is complete too, so the image itself is what holds a complete one).
    """
    mirror = [snap for snap in image.list_snaps() if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR]
    newest = max(mirror, key=lambda snap: snap["id"], default=None)
    return newest["id"] if newest is not None and not newest["mirror"]["complete"] else None


def _numbered(name: str, number: int) -> bytes:
    """A block that says whose write it is, and is of use only whole."""
    words = f"{name} {number:010} ".encode()
    return words + random.Random(f"{name} {number}").randbytes(_BLOCK - len(words))


def _number_of(name: str, block: bytes) -> int | None:
    words = block[: len(name) + 12].decode(errors="replace").split()
    if len(words) != 2 or words[0] != name or not words[1].isdigit():
        return None
    number = int(words[1])
    if block != _numbered(name, number):
        raise OSError(5, f"write {number} of {name} is torn")
    return number


def main() -> None:
    worker = Worker(sys.argv[1], sys.argv[2])
    if "--guest-writes" in sys.argv[3:]:
        threading.Thread(target=worker.write_as_guests, daemon=True).start()
    out = threading.Lock()

    def answer(request: dict[str, Any]) -> None:
        try:
            if request["verb"].startswith("_"):
                raise AttributeError(request["verb"])
            reply = {"result": getattr(worker, request["verb"])(**request["args"])}
        except Exception as error:  # the boundary: the lab must hear of whatever it was
            reply = {"error": f"{type(error).__name__}: {error}", "errno": abs(getattr(error, "errno", None) or 0)}
        with out:
            print(json.dumps({"id": request["id"], **reply}), flush=True)

    pool = ThreadPoolExecutor(12)
    print(json.dumps({"id": 0, "result": "connected"}), flush=True)
    for line in sys.stdin:
        pool.submit(answer, json.loads(line))
    os._exit(0)  # no waiting for a cluster that may be dead


if __name__ == "__main__":
    main()
