"""The record of acts after a power cut at any moment: what it has promised is there, and nothing is half there."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program import store as store_module
from drportal.site_program.clients import Clients
from drportal.site_program.deposits import use_deposit, used_by
from drportal.site_program.exports import export, written
from drportal.site_program.store import Store
from drportal.site_program.wire import Fault
from tests.site_program.power import Disk


def intent(op: str, fence: int = 1, **more: Any) -> dict[str, Any]:
    about = {"op": op, "group": "g", "fence": fence, "state": "begun", "how": None, "acknowledged": False}
    return {**about, "ended_at": None, **more}


def lived_through(disk: Disk, patch: pytest.MonkeyPatch) -> None:
    """Everything that the record is used for, each promise noted when the program would answer by it."""
    disk.watch(patch)
    store = Store(str(disk.root / "state"))
    store.fence("g", 1)
    disk.promises.append(("fence", "g", 1))
    for number in (1, 2):
        op = f"op-{number}"
        assert store.begin(intent(op))
        disk.promises.append(("begun", op))
        store.replace(intent(op, state="done", ended_at=1.0))
        disk.promises.append(("done", op))
    store.fence("g", 7)
    disk.promises.append(("fence", "g", 7))
    assert store.bar(intent("op-3", state="not-done", how="barred"))
    disk.promises.append(("barred", "op-3"))
    change = store.receipt("op-1")
    assert change is not None
    assert store.acknowledge([["op-1", change["change"]]]) == (1, [])
    store._retire()
    disk.promises.append(("never again", "op-1"))
    (disk.root / "state" / "approvals" / "approval").write_text("one/disk")
    use_deposit(store, "approval", "one/disk", "op-4")
    disk.promises.append(("used", "op-4"))
    assert store.begin(intent("op-4", fence=7))
    disk.promises.append(("begun", "op-4"))


class Exporter(Clients):
    """``rbd export-diff`` as it is to a disk: written, and not synced."""

    def read_json(self, *words: str) -> Any:
        return {"images": [{"used_size": 4}]}

    def run_act(self, program: str, words: Any, output: str, lock: int) -> tuple[int, str]:
        fd = os.open(words[-1], os.O_WRONLY | os.O_CREAT, 0o600)
        for part in (b"half of it, ", b"all of it"):
            os.write(fd, part)
        os.close(fd)
        return 0, ""


def salvaged(disk: Disk, patch: pytest.MonkeyPatch) -> None:
    """An export, whose receipt is what a resync rests on."""
    (disk.root / "salvage").mkdir()
    disk.names[(disk.root / "salvage").stat().st_ino] = {}
    disk.names[disk.root.stat().st_ino] = {"salvage": (disk.root / "salvage").stat().st_ino}
    disk.watch(patch)
    store = Store(str(disk.root / "state"))
    receipt = intent("op-1", pool="one", image="disk")
    assert store.begin(receipt)
    output = str(disk.root / "state" / "tmp" / "op-1.out")
    exit_status, _, found = export(Exporter(None), str(disk.root / "salvage"), output, receipt, -1)
    assert exit_status == 0
    store.replace({**receipt, "state": "done", "after": found})
    disk.promises.append(("done", "op-1"))


def lost(root: Path) -> list[str]:
    """What a receipt or the program itself says is saved, and is not."""
    receipt = Store(str(root / "state")).receipt("op-1") if (root / "state").exists() else None
    folder = root / "salvage"
    whole = b"half of it, all of it"
    # Whoever is asked after a dead process looks at the directory; what it finds there it takes for whole.
    found = written(str(folder), intent("op-1", image="disk")) if receipt is not None else None
    said = [] if receipt is None or receipt["state"] != "done" else [Path(receipt["after"]["path"]).name]
    said += [Path(found["path"]).name] if found is not None else []
    wrong = []
    for name in said:
        file, beside = folder / name, folder / f"{name}.sha256"
        if not file.exists() or file.read_bytes() != whole:
            wrong.append(f"{name} is not there, or not whole")
        elif not beside.exists() or beside.read_text().split() != [hashlib.sha256(whole).hexdigest(), name]:
            wrong.append(f"{name}.sha256 is not there, or not whole")
    return wrong


def test_a_salvage_that_is_done_is_there_after_a_power_cut_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    with monkeypatch.context() as patch:
        salvaged(disk, patch)
    disk.close()
    assert len(disk.losses) > 80
    found = []
    for number, (promises, left) in enumerate(disk.losses):
        root = tmp_path / f"after-{number}"
        left.put(root)
        (root / "salvage").mkdir(exist_ok=True)
        found += [f"loss {number}, {promises}: {one}" for one in lost(root)]
    assert not found, found[:10]


def broken(store: Store, promise: tuple[Any, ...]) -> bool:
    word, *about = promise
    if word == "fence":
        try:
            store.fence(about[0], about[1] - 1)
        except Fault as fault:
            return fault.code != "stale-fence"
        return True
    (op,) = about
    if word == "used":
        return used_by(store, "approval", "one/disk") != op
    receipt = store.receipt(op)
    if receipt is None:
        return not store.was_retired(op)
    if word == "never again":
        return False  # its receipt is still there, which says the same
    return receipt["state"] not in {"begun": ("begun", "done"), "done": ("done",), "barred": ("not-done",)}[word]


def test_whatever_it_has_promised_is_there_after_a_power_cut_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_KEPT", 0)
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    with monkeypatch.context() as patch:
        lived_through(disk, patch)
    disk.close()
    assert len(disk.losses) > 200
    found = []
    for number, (promises, left) in enumerate(disk.losses):
        root = tmp_path / f"after-{number}"
        left.put(root)
        store = Store(str(root / "state"))
        found += [f"loss {number}: {promise}" for promise in promises if broken(store, promise)]
        for file in (root / "state" / "ops").iterdir():
            store.receipt(file.name)  # raises where it is half there
    assert not found, found[:10]


def test_changes_go_on_growing_when_their_counter_is_lost_and_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the portal, which asks for what has changed since, would never hear of what comes next."""
    store = Store(str(tmp_path / "state"))
    assert store.begin(intent("op-1"))
    before = store.receipt("op-1")
    (tmp_path / "state" / "locks" / "change").write_bytes(b"")
    long_ago = time.time() - 86400
    monkeypatch.setattr(time, "time", lambda: long_ago)
    later = Store(str(tmp_path / "state"))
    assert later.begin(intent("op-2"))
    after = later.receipt("op-2")
    assert before is not None
    assert after is not None
    assert after["change"] > before["change"]


@pytest.mark.parametrize("failing", ["write", "link", "fsync"])
def test_where_the_intent_cannot_be_stored_nothing_is_begun(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, at each call that could say so."""
    store = Store(str(tmp_path / "state"))

    def no_room(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, no_room)
        with pytest.raises(Fault) as caught:
            store.begin(intent("op-1"))
    assert caught.value.code == "storage"
    assert "Nothing was begun" in caught.value.text
    assert store.begin(intent("op-2")), "and it goes on when there is room again"
