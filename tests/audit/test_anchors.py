"""Heads noted outside on a schedule: a chain that does not hold is not vouched for, and a cut tail is found by them."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from drportal.audit.anchors import anchor_due, due
from drportal.audit.check import head
from drportal.audit.models import AuditEntry, TrailAnchor
from drportal.audit.record import Fact, record_many
from drportal.people.paced import WHOLE_TRAIL
from tests.audit.test_chain import tamper
from tests.conftest import Person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def verified_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drportal.audit.api.WHOLE_TRAIL", replace(WHOLE_TRAIL, every_s=0))


def add(number: int = 3) -> None:
    with transaction.atomic():
        record_many([Fact("note", str(count), "olga") for count in range(number)])


@pytest.fixture
def noted(tmp_path: Path, settings: Any) -> Path:
    settings.ANCHORS = [f"file:{tmp_path / 'anchors.jsonl'}"]
    settings.ANCHOR_INTERVAL_S = 0
    return tmp_path / "anchors.jsonl"


def lines(path: Path) -> list[tuple[int, str]]:
    return [(each["seq"], each["hash"]) for each in map(json.loads, path.read_text().splitlines())]


def test_each_new_head_is_noted_once(noted: Path) -> None:
    assert anchor_due() == [], "an empty trail has no head"
    add()
    first = head()
    assert [made.ok for made in anchor_due()] == [True]
    assert anchor_due() == []
    add()
    anchor_due()
    assert lines(noted) == [first, head()]


def test_it_waits_for_the_interval(noted: Path, settings: Any) -> None:
    settings.ANCHOR_INTERVAL_S = 900
    add()
    anchor_due()
    add()
    now = timezone.now()
    assert not due(now)
    assert due(now + dt.timedelta(seconds=901))


def test_a_broken_chain_is_not_vouched_for(noted: Path, manager: Person) -> None:
    add()
    anchor_due()
    add()
    tamper("UPDATE audit_auditentry SET actor = 'mallory' WHERE seq = 5")
    made = anchor_due()[0]
    assert not made.ok
    assert "Entry 5 was changed" in made.sentence
    assert len(lines(noted)) == 1
    place = manager.read("/audit/chain")["places"][0]
    assert (place["ok"], place["noted_seq"]) == (False, 3)


@pytest.mark.parametrize("rows_too", [False, True], ids=["rows kept", "rows removed"])
def test_a_cut_tail_is_found_by_what_was_noted(noted: Path, manager: Person, rows_too: bool) -> None:
    add(5)
    anchor_due()
    assert manager.read("/audit/verify")["ok"]
    tamper("DELETE FROM audit_auditentry WHERE seq > 3")
    if rows_too:
        TrailAnchor.objects.exclude(seq=1).update(seq=3, hash=AuditEntry.objects.get(seq=3).hash)
    found = manager.read("/audit/verify")
    assert not found["ok"]
    assert "cut off" in found["sentence"]


def test_a_file_of_anchors_that_is_gone_is_said(noted: Path, manager: Person) -> None:
    add()
    anchor_due()
    noted.unlink()
    found = manager.read("/audit/verify")
    assert not found["ok"]
    assert "is gone" in found["sentence"]


def test_a_file_counts_though_no_row_vouches_for_it(noted: Path, manager: Person) -> None:
    add(5)
    anchor_due()
    kept = noted.read_text()
    TrailAnchor.objects.all().delete()
    tamper("DELETE FROM audit_auditentry WHERE seq > 3")
    found = manager.read("/audit/verify")
    assert (found["ok"], found["anchors"]) == (False, 1)
    assert "cut off" in found["sentence"]
    made = anchor_due()[0]
    assert not made.ok
    assert "Entry 5, whose hash was noted, is not there any more" in made.sentence
    assert noted.read_text() == kept


@pytest.mark.parametrize("left", [None, 0, 1], ids=["gone", "emptied", "shortened"])
def test_a_file_that_lost_what_was_noted_is_said_for_good_and_other_places_go_on(
    noted: Path, manager: Person, settings: Any, left: int | None
) -> None:
    for _ in range(2):
        add()
        anchor_due()
    noted.write_text("".join(noted.read_text().splitlines(keepends=True)[:left]))
    if left is None:
        noted.unlink()
    other = noted.with_name("other.jsonl")
    settings.ANCHORS = [*settings.ANCHORS, f"file:{other}"]
    add()
    made = {one.place: one for one in anchor_due()}
    assert not made[f"file:{noted}"].ok
    assert made[f"file:{other}"].ok
    assert head() in lines(other)
    assert not manager.read("/audit/verify")["ok"], "not hidden by what is noted later"


def test_two_files_that_contradict_each_other_are_said(noted: Path, manager: Person, settings: Any) -> None:
    add()
    anchor_due()
    other = noted.with_name("other.jsonl")
    other.write_text(json.dumps({"seq": 3, "hash": "0" * 64}) + "\n")
    settings.ANCHORS = [f"file:{other}", *settings.ANCHORS]
    assert "Two hashes were noted for entry 3" in manager.read("/audit/verify")["sentence"]
    add()
    assert [one.ok for one in anchor_due()] == [False, False]


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"seq": 1e999, "hash": ""}', b"[]", b"[" * 100_000, None])
def test_a_file_that_cannot_be_read_is_said(noted: Path, manager: Person, content: bytes | None) -> None:
    add()
    anchor_due()
    if content is None:
        noted.unlink()
        noted.mkdir()
    else:
        noted.write_bytes(content)
    said = manager.read("/audit/verify")["sentence"]
    assert "cannot be read" in said if content is None else "Line 1 of" in said


class Hook(BaseHTTPRequestHandler):
    taken: list[str] = []

    def do_POST(self) -> None:
        self.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"])
        self.send_response(200)
        self.end_headers()


def test_syslog_and_a_message_get_the_head_and_a_place_that_fails_says_so(settings: Any, tmp_path: Path) -> None:
    hook, taken = HTTPServer(("127.0.0.1", 0), Hook), Hook.taken
    threading.Thread(target=hook.handle_request, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        port = listener.getsockname()[1]
        webhook = f"json://user:planted-secret@127.0.0.1:{hook.server_port}/"
        places = (f"syslog:127.0.0.1:{port}", webhook, "file:/nowhere/at/all", "fax:123", f"syslog:{tmp_path}/none")
        settings.ANCHORS = list(places)
        add()
        made = {one.place.partition(":")[0]: one for one in anchor_due()[:4]}
        heard = listener.recv(4096).decode()
    hook.server_close()
    seq, digest = head()
    assert f"drportal: trail head {seq}:{digest}" in heard
    assert f"{seq}:{digest}" in taken[0]
    assert {kind: one.ok for kind, one in made.items()} == {"syslog": True, "json": True, "file": False, "fax": False}
    assert made["json"].place == "json://127.0.0.1", "a place is kept without its secrets"
    assert "No such file" in made["file"].sentence
    assert not TrailAnchor.objects.get(place__endswith="none").ok


def test_the_chain_tells_its_head_its_key_and_its_places(noted: Path, manager: Person, settings: Any) -> None:
    add()
    chain = manager.read("/audit/chain")
    assert chain["head"] == {"seq": head()[0], "hash": head()[1]}
    assert len(chain["public_key"]) == 64
    assert chain["places"][0]["ok"] is None
    settings.SIGNING_KEY = ""
    assert manager.read("/audit/chain")["public_key"] is None
    refused = manager.api("GET", "/audit/export")
    assert (refused.status_code, refused.json()["code"]) == (503, "no_signing_key")
