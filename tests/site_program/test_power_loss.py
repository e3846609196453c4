"""The record of acts after a power cut at any moment: what it has promised is there, and nothing is half there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program import store as store_module
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
    assert store.begin(intent("op-4", fence=7))
    disk.promises.append(("begun", "op-4"))


def broken(store: Store, promise: tuple[Any, ...]) -> bool:
    word, *about = promise
    if word == "fence":
        try:
            store.fence(about[0], about[1] - 1)
        except Fault as fault:
            return fault.code != "stale-fence"
        return True
    (op,) = about
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
