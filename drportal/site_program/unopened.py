"""What is true of an image, asked of the OSDs as librbd itself asks it, without opening the image.

The class methods ``journal.client_list``, ``rbd.get_snapcontext``, ``rbd.snapshot_get``, ``rbd.get_size``,
``rbd.get_features``, ``rbd.parent_get`` and ``rbd.mirror_image_get``. Opening an image costs some 20 times such a
question: measured on 16.2.15.
"""

import struct
from typing import Any, List, Optional, Tuple

from drportal.site_program.clients import Clients
from drportal.site_program.connection import Connection, rados, rbd
from drportal.site_program.encoding import (
    Decoder,
    decoded_journal,
    decoded_mirror_image,
    decoded_snap_ids,
    decoded_snapshot,
)
from drportal.site_program.judging import newest_mirror_snapshot
from drportal.site_program.wire import Json

_NO_SNAP = (1 << 64) - 2
_FEATURES = (
    "layering",
    "striping",
    "exclusive-lock",
    "object-map",
    "fast-diff",
    "deep-flatten",
    "journaling",
    "data-pool",
    "operations",
    "migrating",
    "non-primary",
    "dirty-cache",
)


def mirroring_words(mirror: Json, mode: int) -> Json:
    states = {
        rbd.RBD_MIRROR_IMAGE_ENABLED: "enabled",
        rbd.RBD_MIRROR_IMAGE_DISABLING: "disabling",
        rbd.RBD_MIRROR_IMAGE_DISABLED: "disabled",
    }
    modes = {rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL: "journal", rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT: "snapshot"}
    return {
        "mode": modes.get(mode, "mode %d" % mode),
        "global_id": mirror["global_id"],
        "state": states.get(mirror["state"], "state %d" % mirror["state"]),
        "primary": bool(mirror["primary"]),
    }


def feature_words(bits: int) -> List[str]:
    return [word for place, word in enumerate(_FEATURES) if bits >> place & 1]


class Unopened(Clients):
    """Those questions. ``reading``: the connection that they are asked through."""

    def __init__(self, ceph_user: Optional[str], reading: Connection) -> None:
        Clients.__init__(self, ceph_user)
        self.reading = reading

    def _image_id(self, pool: str, image: str) -> str:
        return str(self.reading.ask(lambda: Decoder(self.reading.pool(pool).read("rbd_id." + image)).text()))

    def _ask(self, ioctx: Any, thing: str, image_id: str, method: str, question: bytes, room: int = 4096) -> bytes:
        """One class method. A longer answer than there is room for makes it ask again with more."""
        while True:
            length, answer = ioctx.execute(
                thing + image_id, "journal" if thing == "journal." else "rbd", method, question, room
            )
            if length <= room:
                return bytes(answer)
            room = length

    def snapshots_of(self, ioctx: Any, image_id: str) -> List[Json]:
        """Within a question. Raises rados.Error, ValueError, struct.error."""
        return self._snapshots_now(ioctx, image_id)[0]

    def _snapshots_now(self, ioctx: Any, image_id: str) -> Tuple[List[Json], bool]:
        """And whether they are all that there were when this was asked."""
        found = []
        numbers = decoded_snap_ids(self._ask(ioctx, "rbd_header.", image_id, "get_snapcontext", b""))
        for number in numbers:
            try:
                answer = self._ask(ioctx, "rbd_header.", image_id, "snapshot_get", struct.pack("<Q", number))
                found.append(decoded_snapshot(answer))
            except rados.ObjectNotFound:
                continue  # removed since we asked which there are
        return found, len(found) == len(numbers)

    def snapshots(self, pool: str, image: str) -> List[Json]:
        return self._snapshots(pool, self._image_id(pool, image))

    def _snapshots(self, pool: str, image_id: str) -> List[Json]:
        return self.reading.ask(lambda: self.snapshots_of(self.reading.pool(pool), image_id))

    def journal_of(self, pool: str, image_id: str) -> Optional[Json]:
        def read() -> Optional[Json]:
            question = struct.pack("<IQ", 0, 1000)
            try:
                return decoded_journal(
                    self._ask(self.reading.pool(pool), "journal.", image_id, "client_list", question, 8192)
                )
            except rados.ObjectNotFound:
                return None

        return self.reading.ask(read)

    def _cheap_info(self, pool: str, name: str, image_id: str, role: Optional[Tuple[int, Json]]) -> Optional[Json]:
        """``rbd info`` without opening the image; None for a clone, whose parent's name only an opening tells."""
        head = struct.pack("<Q", _NO_SNAP)

        def read() -> Optional[Json]:
            ioctx = self.reading.pool(pool)
            if Decoder(self._ask(ioctx, "rbd_header.", image_id, "parent_get", b"")).versioned(1).number("q") >= 0:
                return None
            size = Decoder(self._ask(ioctx, "rbd_header.", image_id, "get_size", head))
            size.number("B")
            features = Decoder(self._ask(ioctx, "rbd_header.", image_id, "get_features", head + b"\0"))
            found = {
                "name": name,
                "id": image_id,
                "size": size.number("Q"),
                "features": feature_words(features.number("Q")),
            }
            return dict(found, mirroring=mirroring_words(role[1], role[0])) if role else found

        return self.reading.ask(read)

    def _told_info(self, pool: str, name: str, image_id: str) -> Optional[Tuple[Json, List[Json]]]:
        """Info with the role, and the snapshots that tell it, of an image that is mirrored by snapshots; None for all
        others, whose role only librbd tells. It goes by the same: the newest mirror snapshot is the last word."""

        def read() -> Optional[Tuple[Json, List[Json]]]:
            ioctx = self.reading.pool(pool)
            try:
                answer = self._ask(ioctx, "rbd_mirroring", "", "mirror_image_get", _text(image_id))
            except rados.ObjectNotFound:
                return None
            mirror, mode = decoded_mirror_image(answer)
            if (mirror["state"], mode) != (rbd.RBD_MIRROR_IMAGE_ENABLED, rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT):
                return None
            snapshots, all_of_them = self._snapshots_now(ioctx, image_id)
            newest = newest_mirror_snapshot(snapshots)
            if not all_of_them or newest is None or newest["state"] not in ("primary", "demoted", "non-primary"):
                return None
            mirror["primary"] = newest["state"] == "primary"
            info = self._cheap_info(pool, name, image_id, (mode, mirror))
            return None if info is None else (info, snapshots)

        return self.reading.ask(read)


def _text(words: str) -> bytes:
    data = words.encode()
    return struct.pack("<I", len(data)) + data
