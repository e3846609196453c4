"""Ceph's wire encoding, as far as the site program reads it: the answers of a few class methods of its OSDs.

Every structure carries its version and the lowest version of a reader that may read it (Ceph: ENCODE_START); what a
later version added at its end is skipped. Anything that does not fit raises ValueError or struct.error.
"""

import struct
from typing import List, Tuple

from drportal.site_program.wire import Json

_CLIENT_STATES = ("connected", "disconnected")
_SNAP_TYPES = ("user", "group", "trash", "mirror")
_SNAP_STATES = ("primary", "demoted", "non-primary", "demoted")  # primary, its demotion, copied, a copied demotion


class Decoder:
    """Ceph's wire encoding: little-endian, strings and lists with a 32-bit length in front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return int(value)

    def text(self) -> str:
        return self.raw(self.number("I")).decode("utf-8", "replace")

    def raw(self, length: int) -> bytes:
        found = self._data[self._at : self._at + length]
        if len(found) != length:
            raise ValueError("it is cut off")
        self._at += length
        return found

    def versioned(self, known: int) -> "Decoder":
        """The body of a structure that a reader of version ``known`` may read; fields added later are skipped."""
        self.number("B")
        compatible = self.number("B")
        body = Decoder(self.raw(self.number("I")))
        if compatible > known:
            raise ValueError("it needs a reader of version %d" % compatible)
        return body


def decoded_journal(data: bytes) -> Json:
    """The answer of ``journal.client_list`` in the shape of ``rbd journal status``."""
    decoder = Decoder(data)
    return {"registered_clients": [_journal_client(decoder.versioned(1)) for _ in range(decoder.number("I"))]}


def _journal_client(client: Decoder) -> Json:
    found: Json = {"id": client.text()}
    data = client.raw(client.number("I"))
    if found["id"] == "":
        found["resync_requested"] = decoded_resync(data)
    position = client.versioned(1)
    positions = []
    for _ in range(position.number("I")):
        one = position.versioned(1)
        number, tag, entry = one.number("Q"), one.number("Q"), one.number("Q")
        positions.append({"object_number": number, "tag_tid": tag, "entry_tid": entry})
    return dict(found, commit_position={"object_positions": positions}, state=_CLIENT_STATES[client.number("B")])


def decoded_resync(data: bytes) -> bool:
    """Of the local client's own data in a journal: whether the image is to be discarded and copied again."""
    about = Decoder(data).versioned(2)
    if about.number("I") != 0:
        raise ValueError("it is not the data of the image's own client")
    about.number("Q")
    return bool(about.number("B"))


def decoded_snapshot(data: bytes) -> Json:
    """The answer of ``rbd.snapshot_get`` in the shape of an entry of ``rbd snap ls --all``."""
    snapshot = Decoder(data).versioned(1)
    number = snapshot.number("Q")
    namespace = snapshot.versioned(1)
    kind = namespace.number("I")
    said: Json = {"type": _SNAP_TYPES[kind] if kind < len(_SNAP_TYPES) else "unknown"}
    if said["type"] == "mirror":
        state = namespace.number("B")
        said["state"] = _SNAP_STATES[state] if state < len(_SNAP_STATES) else "state %d" % state
        said["complete"] = bool(namespace.number("B"))
        said["mirror_peer_uuids"] = [namespace.text() for _ in range(namespace.number("I"))]
        said["primary_mirror_uuid"] = namespace.text()
        said["primary_snap_id"] = namespace.number("Q")
        said["last_copied_object_number"] = namespace.number("Q")
        if said["primary_mirror_uuid"] == "":
            del said["primary_mirror_uuid"], said["primary_snap_id"], said["last_copied_object_number"]
    name = snapshot.text()
    return {"id": number, "name": name, "size": snapshot.number("Q"), "namespace": said}


def decoded_mirror_image(data: bytes) -> Tuple[Json, int]:
    """The answer of ``rbd.mirror_image_get``: ``global_id`` and ``state`` as librbd gives them, and the mode."""
    image = Decoder(data).versioned(2)
    global_id, state = image.text(), image.number("B")
    return {"global_id": global_id, "state": state}, image.number("B")


def decoded_snap_ids(data: bytes) -> List[int]:
    decoder = Decoder(data)
    decoder.number("Q")
    return sorted(decoder.number("Q") for _ in range(decoder.number("I")))
