"""What it asks Ceph with: python3-rbd where there is one that will do, else the clients, else nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drportal.site_program import connection
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess


def test_without_python3_rbd_it_sees_and_acts_by_the_client(tmp_path: Path, ceph: FakeCeph) -> None:
    """The tests' own Python has no bindings (else the next one says so)."""
    ceph.image("disk", primary=True)
    with SiteProcess(tmp_path, env=ceph.env) as program:
        assert program.hello["engine"] == "rbd"
        seen = program.ask("observe-pool", pool="one", parts=["info"])["images"]
        assert seen["disk"]["info"]["mirroring"]["primary"] is True
        assert (
            program.ask("demote", **order("demote", "disk", "operation-1", primary=True))["receipt"]["state"] == "done"
        )
    assert ceph.calls() == [["rbd", "mirror", "image", "demote", "one/disk"]]


def test_an_engine_that_is_not_there_is_said_at_once(tmp_path: Path, ceph: FakeCeph) -> None:
    with SiteProcess(tmp_path, "--engine", "librbd", env=ceph.env) as program:
        assert program.hello == {}
        assert program.wait() == 2


def test_without_any_client_receipts_can_be_asked_for_and_nothing_else(tmp_path: Path, ceph: FakeCeph) -> None:
    (tmp_path / "nothing").mkdir()
    with SiteProcess(tmp_path, env={**ceph.env, "PATH": str(tmp_path / "nothing")}) as program:
        assert (program.hello["engine"], program.hello["ceph"]) == ("none", None)
        for verb, fields in {
            "observe-pool": {"pool": "one", "parts": ["info"]},
            "demote": order("demote", "disk", "operation-1", primary=True),
        }.items():
            error = program.refused(verb, **fields)
            assert error["code"] == "not-allowed" and "no Ceph client" in error["text"], verb
        assert program.receipt("operation-1", bar=True)["how"] == "barred"
        assert [one["op"] for one in program.ask("receipts", since=0, limit=9)["receipts"]] == ["operation-1"]


@pytest.mark.parametrize(
    ("has", "will_do"), [(["mirror_image_info_list"], True), (["mirror_image_status_list"], False)]
)
def test_bindings_of_an_older_ceph_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, has: list[str], will_do: bool
) -> None:
    monkeypatch.setitem(sys.modules, "rados", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "rbd", SimpleNamespace(RBD=type("RBD", (), dict.fromkeys(has))))
    loaded: dict[str, Any] = {"__name__": "connection"}
    exec(compile(Path(connection.__file__).read_text(), connection.__file__, "exec"), loaded)
    assert loaded["BINDINGS"] is will_do
