"""Room is looked at before a salvage begins; a copy has a name of its own, and what a broken one leaves is named."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.rbd_commands import RbdCommands, one_line
from drportal.drivers.rbd_commands import kept_name as name_shown
from drportal.site_program.copies import kept_name
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess

HUGE = 1 << 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "salvage").mkdir()
    return tmp_path / "salvage"


@pytest.fixture
def program(tmp_path: Path, ceph: FakeCeph, folder: Path) -> Any:
    with SiteProcess(tmp_path, "--engine", "rbd", "--salvage", str(folder), env=ceph.env) as program:
        yield program


def asked(program: SiteProcess, verb: str, op: str = "operation-1") -> dict[str, Any]:
    return program.ask(verb, **order(verb, "disk", op, primary=False))


@pytest.mark.parametrize("verb", ["salvage-export", "salvage-copy"])
def test_what_has_no_room_is_refused_before_anything_is_begun(program: SiteProcess, ceph: FakeCeph, verb: str) -> None:
    ceph.image("disk", primary=False, used=HUGE)
    answer = asked(program, verb)
    assert (answer["ok"], answer["error"]["code"], answer["error"]["facts"]["failed"]) == (
        False,
        "precondition",
        "room",
    )
    assert "has room for" in answer["error"]["text"]
    assert "Nothing was done." in answer["error"]["text"]
    assert program.ask("receipt", op="operation-1")["error"]["code"] == "no-receipt"
    assert ceph.calls() == []


def test_a_quota_of_the_pool_counts(program: SiteProcess, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False)
    ceph.set(quota=1 << 20)
    assert asked(program, "salvage-copy")["error"]["facts"]["seen"] == (1 << 20) - 5
    ceph.set(quota=1 << 40)
    assert asked(program, "salvage-copy")["receipt"]["state"] == "done"


def test_a_directory_that_is_not_there_is_said(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False)
    with SiteProcess(tmp_path, "--engine", "rbd", "--salvage", str(tmp_path / "none"), env=ceph.env) as program:
        answer = asked(program, "salvage-export")
    assert (answer["error"]["code"], answer["error"]["facts"]["failed"]) == ("precondition", "directory")
    assert str(tmp_path / "none") in answer["error"]["text"]


def test_each_operation_has_a_copy_of_its_own_and_each_only_one(program: SiteProcess, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False)
    copies = [asked(program, "salvage-copy", op)["receipt"]["after"]["copy"] for op in ("operation-1", "operation-2")]
    assert asked(program, "salvage-copy", "operation-1")["receipt"]["after"]["copy"] == copies[0]
    assert {f"one/{name}" for name in ceph.read()["images"] if name != "disk"} == set(copies)
    assert len(set(copies)) == 2
    made, _ = [call for call in ceph.calls() if "copy" in call]
    assert made[made.index("--image-feature") + 1] == "layering,exclusive-lock,object-map,fast-diff,deep-flatten"


def test_what_was_shown_is_what_is_made_and_run(program: SiteProcess, ceph: FakeCeph) -> None:
    """The portal makes the name; the site makes it too, and refuses to be told another."""
    ceph.image("disk", primary=False)
    shown = one_line(RbdCommands().keep_copy(ImageRef("one", "disk"), name_shown("disk", "operation-1")))
    other = {**order("salvage-copy", "disk", "operation-2", primary=False), "shown": shown}
    refused = program.ask("salvage-copy", **other)["error"]
    assert (refused["code"], refused["facts"]["failed"]) == ("precondition", "name")
    assert not ceph.calls()
    told = {**order("salvage-copy", "disk", "operation-1", primary=False), "shown": shown}
    receipt = program.ask("salvage-copy", **told)["receipt"]
    assert receipt["after"]["copy"] == f"one/{name_shown('disk', 'operation-1')}"
    assert [shlex.join(call) for call in ceph.calls()] == [shown.partition(" && ")[0]]


def test_half_a_copy_is_no_copy_and_is_named_for_removal(program: SiteProcess, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False)
    half = kept_name({"image": "disk", "op": "operation-1"}) + ".part"
    ceph.image(half, primary=False)  # what a copy that broke off left
    receipt = asked(program, "salvage-copy")["receipt"]
    assert (receipt["state"], receipt["exit"], receipt["after"]) == ("not-done", 17, {"left": f"one/{half}"})
    assert receipt["text"].endswith(f"rbd rm one/{half}")
    assert half in ceph.read()["images"], "the program removes no image"


def test_the_longest_name_still_makes_a_name_that_may_be_used() -> None:
    names = {kept_name({"image": "x" * 96, "op": f"operation-{number}"}) for number in range(50)}
    assert len(names) == 50
    assert max(len(f"{name}.part") for name in names) <= 96, "more than Ceph takes"
