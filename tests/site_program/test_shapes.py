"""What the bindings leave out or say in their own way, in the shapes of ``rbd`` itself."""

from __future__ import annotations

import datetime as dt
import struct

import pytest

from drportal.site_program.encoding import Decoder, decoded_journal, decoded_snapshot
from drportal.site_program.librbd import _site_status


def test_a_status_that_no_daemon_has_written_yet() -> None:
    assert _site_status({"name": "one-1", "remote_statuses": []}) == {
        "state": "down+unknown",
        "description": "status not found",
        "last_update": "",
    }


def test_a_status_that_is_there() -> None:
    status = {"up": True, "state": 4, "description": "replaying, {}", "last_update": dt.datetime(2026, 5, 4, 1, 2, 3)}
    assert _site_status(status) == {
        "state": "up+replaying",
        "description": "replaying, {}",
        "last_update": "2026-05-04 01:02:03",
    }
    assert _site_status({**status, "state": 99})["state"] == "up+state 99", "one of a later Ceph"


def structure(body: bytes, compatible: int = 1, version: int = 1) -> bytes:
    return struct.pack("<BBI", version, compatible, len(body)) + body


def text(word: str) -> bytes:
    return struct.pack("<I", len(word)) + word.encode()


def mirror_snapshot(*, complete: bool, extra: bytes = b"", compatible: int = 1) -> bytes:
    namespace = struct.pack("<IBBI", 3, 3, complete, 0) + text("uuid") + struct.pack("<QQI", 17, 4, 0) + extra
    head = struct.pack("<Q", 9) + structure(namespace, compatible)
    return structure(head + text(".mirror.non_primary.x") + struct.pack("<QIII", 4096, 1, 2, 0) + extra)


@pytest.mark.parametrize("complete", [True, False])
def test_a_mirror_snapshot_is_read_with_what_a_later_ceph_adds(complete: bool) -> None:
    for extra in (b"", b"more of a later version"):
        snapshot = decoded_snapshot(mirror_snapshot(complete=complete, extra=extra))
        assert (snapshot["id"], snapshot["name"]) == (9, ".mirror.non_primary.x")
        assert snapshot["namespace"]["complete"] is complete
        assert (snapshot["namespace"]["state"], snapshot["namespace"]["primary_snap_id"]) == ("demoted", 17)


def test_what_needs_a_newer_reader_or_is_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="reader of version 2"):
        decoded_snapshot(mirror_snapshot(complete=True, compatible=2))
    whole = mirror_snapshot(complete=True)
    for length in range(len(whole)):
        with pytest.raises((ValueError, struct.error)):
            decoded_snapshot(whole[:length])


def test_a_journal_without_a_position() -> None:
    empty = structure(text("peer") + text("data") + structure(struct.pack("<I", 0)) + struct.pack("<B", 1))
    (client,) = decoded_journal(struct.pack("<I", 1) + empty)["registered_clients"]
    assert (client["id"], client["state"]) == ("peer", "disconnected")
    assert client["commit_position"] == {"object_positions": []}
    assert Decoder(struct.pack("<q", -1)).number("q") == -1
