"""What the bindings leave out or say in their own way, in the shapes of ``rbd`` itself."""

from __future__ import annotations

import datetime as dt
import struct

import pytest

from drportal.site_program.clients import Clients
from drportal.site_program.encoding import (
    Decoder,
    decoded_journal,
    decoded_mirror_image,
    decoded_resync,
    decoded_snapshot,
)
from drportal.site_program.librbd import Librbd, _site_status
from drportal.site_program.wire import Fault


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


# As Ceph 16.2.15 tells them: `rbd journal status` of an image whose resync was ordered, and the answer of
# `journal.client_list` for the same (one client, its own).
RESYNC_ORDERED = (
    "00000000  02 01 0d 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
    "00000010  00 00 01                                          |...|\n"
    "00000013\n"
)
CLIENT_LIST = bytes.fromhex(
    "01000000"
    "01014400000000000000130000000201"
    "0d000000000000000000000000000000"
    "01010122000000010000000101180000"
    "00000000000000000008000000000000"
    "00000000000000000000"
)
NOT_ORDERED = CLIENT_LIST[:36] + b"\0" + CLIENT_LIST[37:]
PEER = {"id": "a-uuid", "data": "00000000  02 01  |..|\n", "state": "connected"}


def test_whether_a_journals_own_client_asks_for_a_resync() -> None:
    (client,) = decoded_journal(CLIENT_LIST)["registered_clients"]
    assert (client["id"], client["resync_requested"], client["state"]) == ("", True, "connected")
    assert client["commit_position"]["object_positions"] == [{"object_number": 0, "tag_tid": 8, "entry_tid": 0}]
    assert decoded_journal(NOT_ORDERED)["registered_clients"][0]["resync_requested"] is False


def test_a_clients_data_that_is_not_the_images_own_is_refused() -> None:
    own = CLIENT_LIST[18:37]
    assert decoded_resync(own) is True
    with pytest.raises(ValueError, match="own client"):
        decoded_resync(own[:6] + struct.pack("<I", 1) + own[10:])
    with pytest.raises(ValueError, match="reader of version 3"):
        decoded_resync(b"\x03\x03" + own[2:])
    for length in range(len(own)):
        with pytest.raises((ValueError, struct.error)):
            decoded_resync(own[:length])


@pytest.mark.parametrize(("flag", "ordered"), [("01", True), ("00", False)])
def test_a_resync_of_a_journal_as_the_client_tells_it(
    monkeypatch: pytest.MonkeyPatch, flag: str, ordered: bool
) -> None:
    own = {"id": "", "data": RESYNC_ORDERED.replace("00 00 01 ", f"00 00 {flag} "), "state": "connected"}
    said: dict[str, object] = {"registered_clients": [PEER, own]}
    monkeypatch.setattr(Clients, "read_json", lambda self, *words: said)
    assert Clients(None).resync_requested("one", "disk", "journal") is ordered
    said["registered_clients"] = [PEER]
    with pytest.raises(Fault, match="no client of its own"):
        Clients(None).resync_requested("one", "disk", "journal")


@pytest.mark.parametrize(
    ("answer", "ordered"),
    [(CLIENT_LIST, True), (NOT_ORDERED, False), (None, False)],
    ids=["ordered", "not ordered", "no journal"],
)
def test_a_resync_of_a_journal_as_the_storage_tells_it(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, ordered: bool
) -> None:
    monkeypatch.setattr(Librbd, "_image_id", lambda self, pool, image: "10a")
    monkeypatch.setattr(
        Librbd, "journal_of", lambda self, pool, image_id: None if answer is None else decoded_journal(answer)
    )
    assert Librbd(None).resync_requested("one", "disk", "journal") is ordered


def test_a_cluster_that_is_silent_is_asked_for_one_part_only() -> None:
    asked: list[str] = []

    def silent() -> object:
        asked.append("info")
        raise Fault("unreachable", "Ceph did not answer.", exit=110)

    def never() -> object:
        asked.append("snapshots")
        return []

    found = Clients.gathered([("info", silent), ("snapshots", never)])
    assert {part: error["code"] for part, error in found["errors"].items()} == {
        "info": "unreachable", "snapshots": "unreachable"
    }  # fmt: skip
    assert asked == ["info"]


def test_the_pools_entry_of_an_image() -> None:
    entry = structure(text("a-global-id") + struct.pack("<BB", 1, 1), version=2)
    assert decoded_mirror_image(entry) == ({"global_id": "a-global-id", "state": 1}, 1)
    for length in range(len(entry)):
        with pytest.raises((ValueError, struct.error)):
            decoded_mirror_image(entry[:length])


def test_a_journal_without_a_position() -> None:
    empty = structure(text("peer") + text("data") + structure(struct.pack("<I", 0)) + struct.pack("<B", 1))
    (client,) = decoded_journal(struct.pack("<I", 1) + empty)["registered_clients"]
    assert (client["id"], client["state"]) == ("peer", "disconnected")
    assert client["commit_position"] == {"object_positions": []}
    assert Decoder(struct.pack("<q", -1)).number("q") == -1
