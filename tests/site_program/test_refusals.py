"""What a site tells of the requests that it refused: in groups, once, and bounded whatever was sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program import refusals
from drportal.site_program.refusals import refusals_since
from drportal.site_program.store import LOG_BYTES, Store
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess


def kinds(told: dict[str, Any]) -> list[tuple[str, str, bool, int]]:
    return [(group["code"], group["rights"], group["named"], group["count"]) for group in told["groups"]]


def test_what_was_refused_is_told_in_groups_and_once(tmp_path: Path, ceph: FakeCeph) -> None:
    """To either key, of both, with where it came from."""
    ceph.image("disk", primary=True)
    env = {**ceph.env, "SSH_CLIENT": "192.0.2.7 40000 22"}
    with SiteProcess(tmp_path, "--engine", "rbd", env=env) as acting:
        for name in ("a;reboot", "$(id)"):
            acting.refused("observe-image", pool="one", image=name, parts=["info"])
        acting.refused("promote", **order("promote", "disk", "operation-1", primary=False))
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env, rights="read") as program:
        assert program.hello["refusals"] is True
        program.refused("demote", **order("demote", "disk", "operation-2", primary=True))
        program.refused("receipt", op="operation-3")  # an answer, if not a welcome one
        told = program.ask("refusals", since=0)
        assert kinds(told) == [
            ("not-allowed", "read", True, 1), ("precondition", "act", True, 1), ("bad-request", "act", False, 2),
        ]  # fmt: skip
        assert (told["whole"], told["more"], told["address"]) == (True, 0, "")
        newest, act, bad = told["groups"]
        assert (newest["ops"], act["ops"], bad["ops"]) == (["operation-2"], ["operation-1"], [])
        assert (newest["address"], bad["address"]) == ("", "192.0.2.7")
        assert '"$(id)"' in bad["line"] and "image must be a name" in bad["text"]
        assert 0 < bad["first_at"] <= bad["last_at"] <= newest["last_at"]
        again = program.ask("refusals", since=told["next"])
        assert (again["groups"], again["next"], again["whole"]) == ([], told["next"], True)
        program.refused("resync", **order("resync", "disk", "operation-4", primary=False))
        assert kinds(program.ask("refusals", since=told["next"])) == [("not-allowed", "read", True, 1)]


def test_a_flood_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From many addresses, with long lines, through rotated files: the answer stays small, and says what it lacks."""
    store = Store(str(tmp_path / "state"))
    monkeypatch.setattr("drportal.site_program.store.LOG_BYTES", 12_000)
    for number in range(200):
        client = f"192.0.2.{number} 1 22"
        store.log("refused.log", {"code": "bad-request", "rights": "read", "client": client, "line": "x" * 400})
    first = next(store.logged("refused.log"))[0]
    told = refusals_since(store, 0)
    assert len(told["groups"]) == 50 and told["groups"][0]["address"] == "192.0.2.199"
    assert 0 < told["more"] < 150, "the oldest files are gone"
    assert len(json.dumps(told)) < 50_000 < LOG_BYTES
    assert told["whole"] is True and told["next"] == first
    oldest = list(store.logged("refused.log"))[-1][0]
    assert refusals_since(store, oldest - 1)["whole"] is False, "something may have been before it that is gone"
    assert refusals_since(store, oldest)["whole"] is True
    monkeypatch.setattr(refusals, "_LINES", 20)
    told = refusals_since(store, oldest)
    assert (len(told["groups"]), told["whole"], told["next"]) == (20, False, first)


def test_a_log_of_an_older_program_and_a_torn_line_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "state"))
    older = {"code": "version", "text": "no", "client": "192.0.2.1 1 22", "line": "{}", "at": 1700000000.123, "pid": 1}
    (tmp_path / "state" / "refused.log").write_text(json.dumps(older) + "\n" + '{"code": "bad-req' + "\n[1]\n\n")
    told = refusals_since(store, 0)
    assert kinds(told) == [("version", "", False, 1)]
    assert told["next"] == 1700000000123000
    assert refusals_since(store, told["next"])["groups"] == []
