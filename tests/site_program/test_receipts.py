"""One operation id, one act, for ever; and what the site looks at again before it acts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from drportal.site_program import store as store_module
from drportal.site_program.store import SETTLE_US, Store
from drportal.site_program.wire import Fault
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess
from tests.site_program.worlds import freeing


def test_the_same_operation_again_is_answered_and_not_begun_again(
    tmp_path: Path, ceph: FakeCeph, program: SiteProcess
) -> None:
    ceph.image("disk", primary=True)
    fields = order("demote", "disk", "operation-1", primary=True)
    first = program.ask("demote", **fields)["receipt"]
    ceph.image("disk", primary=True)  # somebody promotes it behind our back
    again = program.ask("demote", **{**fields, "fence": 9, "shown": "in other words", "wait_s": 3})["receipt"]
    assert again == first
    assert (first["state"], first["how"], first["exit"]) == ("done", "answered", 0)
    assert (first["before"]["primary"], first["after"]["primary"]) == (True, False)
    assert ceph.calls() == [["rbd", "mirror", "image", "demote", "one/disk"]]
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as later:
        assert later.ask("demote", **fields)["receipt"] == first, "another connection knows it too"


def test_fifty_at_once_with_one_id_act_once(tmp_path: Path, ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    ceph.set(act_s=0.3)
    fields = order("demote", "disk", "operation-1", primary=True)
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as other:
        sent = [(one, one.send("demote", **fields, wait_s=30)) for one in (program, other) for _ in range(25)]
        for one, number in sent:
            answer = one.answer(number)
            assert answer["ok"] or answer["error"]["code"] == "busy"
    assert len(ceph.calls()) == 1
    assert program.receipt("operation-1")["state"] == "done"


def test_two_operations_on_one_image_do_not_run_side_by_side(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    ceph.set(act_s=1.0)
    slow = program.send("demote", **order("demote", "disk", "operation-1", primary=True))
    while program.ask("receipt", op="operation-1")["ok"] is False:
        time.sleep(0.02)
    assert program.receipt("operation-1")["alive"] is True
    busy = program.refused("mirror-snapshot", **order("mirror-snapshot", "disk", "operation-2", primary=True))
    assert (busy["code"], busy["facts"]["op"]) == ("busy", "operation-1")
    waits = program.ask("demote", **order("demote", "disk", "operation-3", primary=True), wait_s=30)
    assert waits["error"]["facts"] == {"failed": "primary", "expected": True, "seen": False}
    assert program.answer(slow)["receipt"]["state"] == "done"
    assert len(ceph.calls()) == 1


def test_a_lower_fencing_number_has_no_effect(tmp_path: Path, ceph: FakeCeph, program: SiteProcess) -> None:
    for name in ("disk", "other"):
        ceph.image(name, primary=True)
    assert program.ask("demote", **order("demote", "disk", "operation-1", primary=True, fence=7))["ok"]
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as stale:
        error = stale.refused("demote", **order("demote", "other", "operation-2", primary=True, fence=6))
        assert (error["code"], error["facts"]) == ("stale-fence", {"fence": 7})
        assert stale.ask("demote", **order("demote", "other", "operation-3", primary=True, fence=7))["ok"]
    assert [call[-1] for call in ceph.calls()] == ["one/disk", "one/other"]


def test_a_number_that_rises_while_an_older_one_waits_stops_it(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    ceph.image("other", primary=True)
    ceph.set(act_s=0.6)
    first = program.send("demote", **order("demote", "disk", "operation-1", primary=True, fence=1))
    while program.ask("receipt", op="operation-1")["ok"] is False:
        time.sleep(0.02)
    fields = {**order("promote", "disk", "operation-2", primary=False, fence=1), "wait_s": 30}
    waiting = program.send("promote", **fields)
    assert program.ask("demote", **order("demote", "other", "operation-3", primary=True, fence=2))["ok"]
    assert program.answer(first)["ok"]
    assert program.answer(waiting)["error"]["code"] == "stale-fence"
    assert [call[3] for call in ceph.calls()] == ["demote", "demote"]


def test_a_barred_operation_can_never_begin(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    receipt = program.receipt("operation-1", bar=True)
    assert (receipt["state"], receipt["how"]) == ("not-done", "barred")
    assert program.refused("demote", **order("demote", "disk", "operation-1", primary=True))["code"] == "barred"
    assert not ceph.calls()


@pytest.mark.parametrize(
    ("verb", "starts", "expect", "failed"),
    [
        ("demote", True, {"image_id": "id-another"}, "image_id"),
        ("demote", True, {"global_id": "another"}, "global_id"),
        ("demote", False, {"primary": True}, "primary"),
        ("promote", True, {"primary": False}, "primary"),
        (
            "promote",
            False,
            {"newest_snapshot": {"snap_id": 8, "state": "demoted", "complete": True}},
            "newest_snapshot",
        ),
        (
            "promote",
            False,
            {"newest_snapshot": {"snap_id": 7, "state": "primary", "complete": True}},
            "newest_snapshot",
        ),
        ("resync", True, {"primary": False}, "primary"),
        ("mirror-snapshot", False, {"primary": True}, "primary"),
    ],
)
def test_what_is_not_as_expected_is_refused(
    ceph: FakeCeph, program: SiteProcess, verb: str, starts: bool, expect: dict[str, object], failed: str
) -> None:
    ceph.image("disk", primary=starts)
    fields = order(verb, "disk", "operation-1", primary=bool(expect.get("primary", starts)))
    error = program.refused(verb, **{**fields, "expect": {**fields["expect"], **expect}})
    assert (error["code"], error["facts"]["failed"]) == ("precondition", failed)
    assert not ceph.calls()
    assert program.refused("receipt", op="operation-1")["code"] == "no-receipt"


def test_half_a_copy_is_never_promoted_without_force(ceph: FakeCeph, program: SiteProcess) -> None:
    half = {"id": 7, "state": "demoted", "complete": False}
    ceph.image("disk", primary=False, snapshots=[half])
    fields = order("promote", "disk", "operation-1", primary=False)
    for newest in ({"snap_id": 7, "state": "demoted", "complete": False}, fields["expect"]["newest_snapshot"]):
        expect = {**fields["expect"], "newest_snapshot": newest}
        assert program.refused("promote", **{**fields, "expect": expect})["facts"]["failed"] == "newest_snapshot"
    del fields["expect"]["newest_snapshot"]
    assert program.refused("promote", **fields)["facts"]["failed"] == "newest_snapshot"
    assert not ceph.calls()


def test_a_guest_that_has_the_image_open_is_told_from_a_mirror_daemon(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True, watchers=[4109, 5000])
    fields = order("demote", "disk", "operation-1", primary=True)
    error = program.refused("demote", **fields)
    assert error["facts"]["failed"] == "watchers"
    assert [watcher["client"] for watcher in error["facts"]["seen"]] == [5000]
    named = {**fields, "expect": {**fields["expect"], "watchers": ["5000"]}}
    assert program.ask("demote", **named)["receipt"]["state"] == "done"


def test_a_daemon_lets_go_of_an_image_and_a_vm_is_never_shut_out(program: SiteProcess, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False, watchers=[4109, 5000])

    def fields(op: str, client: int) -> dict[str, object]:
        return freeing(order("free", "disk", op, primary=False), f"127.0.0.1:0/{client}")

    error = program.refused("free", **fields("operation-1", 5000))
    assert (error["code"], error["facts"]["seen"]["client"]) == ("precondition", 5000)
    assert not ceph.calls(), "nothing was done"
    receipt = program.ask("free", **fields("operation-2", 4109))["receipt"]
    assert (receipt["state"], receipt["after"]["watching"]) == ("done", [])
    assert ceph.calls() == [ceph.calls()[0]], "one client was shut out, once"
    again = program.ask("free", **fields("operation-3", 4109))["receipt"]
    assert (again["state"], len(ceph.calls())) == ("done", 1), "who has let go is left alone"


def test_a_forced_promotion_may_need_what_the_sites_people_deposit(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=False)
    fields = order("force-promote", "disk", "operation-1", primary=False)
    for way in ("refused", "deposited"):
        with SiteProcess(tmp_path, "--engine", "rbd", "--force-promote", way, env=ceph.env) as program:
            assert program.refused("force-promote", **fields)["code"] == "not-allowed"
            assert program.refused("force-promote", **{**fields, "approval": "yes"})["code"] == "bad-request"
    deposit = tmp_path / "state" / "approvals" / ("a" * 64)
    with SiteProcess(tmp_path, "--engine", "rbd", "--force-promote", "deposited", env=ceph.env) as program:
        for text in ("", "one/other\n", "one/disk-2\n", "disk\n"):
            deposit.write_text(text)
            assert program.refused("force-promote", **fields)["code"] == "not-allowed", "not for this image"
        deposit.write_text("one/other\none/disk\n")
        yesterday = time.time() - 25 * 3600
        os.utime(deposit, (yesterday, yesterday))
        assert program.refused("force-promote", **fields)["code"] == "not-allowed", "too long ago"
        deposit.touch()
    assert ceph.calls() == []
    with SiteProcess(tmp_path, "--engine", "rbd", "--force-promote", "deposited", env=ceph.env) as program:
        assert program.ask("force-promote", **fields)["receipt"]["approval"] == "a" * 64
    assert ceph.calls() == [["rbd", "mirror", "image", "promote", "--force", "one/disk"]]


def test_while_ceph_is_away_nothing_is_begun(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    ceph.set(down=True)
    fields = order("demote", "disk", "operation-1", primary=True)
    assert program.refused("demote", **fields)["code"] == "unreachable"
    ceph.set(down=False)
    assert program.ask("demote", **fields)["receipt"]["state"] == "done", "a refused request has used up nothing"


def test_receipts_are_told_in_order_and_again_until_they_have_settled(ceph: FakeCeph, program: SiteProcess) -> None:
    for number in range(5):
        ceph.image(f"disk-{number}", primary=True)
        program.ask("demote", **order("demote", f"disk-{number}", f"operation-{number}", primary=True))
    first = program.ask("receipts", since=0, limit=3)
    assert [receipt["op"] for receipt in first["receipts"]] == ["operation-0", "operation-1", "operation-2"]
    assert first["rest"] is True
    second = program.ask("receipts", since=first["next"], limit=3)
    assert [receipt["op"] for receipt in second["receipts"]] == ["operation-3", "operation-4"]
    assert second["rest"] is False
    assert second["next"] == first["next"], "the last minute is told again"
    assert SETTLE_US == 60_000_000


def test_only_acknowledged_receipts_are_removed_and_their_ids_stay_known(
    tmp_path: Path, ceph: FakeCeph, program: SiteProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        ceph.image(f"disk-{number}", primary=True)
        program.ask("demote", **order("demote", f"disk-{number}", f"operation-{number}", primary=True))
    found = program.ask("receipts", since=0, limit=10)["receipts"]
    stale = [[found[0]["op"], found[0]["change"] - 1], ["operation-9", 1]]
    answer = program.ask("acknowledge", receipts=[[one["op"], one["change"]] for one in found[:4]] + stale)
    assert (answer["acknowledged"], answer["unknown"]) == (4, ["operation-0", "operation-9"])

    monkeypatch.setattr(store_module, "MOST_KEPT", 1)
    Store(str(tmp_path / "state"))._room()
    kept = sorted(file.name for file in (tmp_path / "state" / "ops").iterdir())
    assert kept == ["operation-3", "operation-4", "operation-5"], "the newest acknowledged one, and those that are not"
    gone = program.refused("demote", **order("demote", "disk-0", "operation-0", primary=True))
    assert gone["code"] == "conflict"
    assert len(ceph.calls()) == 6


def test_too_many_unacknowledged_receipts_stop_acts_and_not_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_OPEN", 2)
    store = Store(str(tmp_path / "state"))
    about = {"group": "g", "fence": 1, "state": "done", "acknowledged": False, "ended_at": time.time()}
    for number in range(2):
        assert store.begin({"op": f"operation-{number}", **about})
    store._counted = None
    with pytest.raises(Fault) as caught:
        store.begin({"op": "operation-2", **about})
    assert caught.value.code == "receipts-full"
    assert store.receipt("operation-1") is not None


def receipts(store: Store, count: int, **about: object) -> list[list[object]]:
    """So many, done; as ``acknowledge`` takes them."""
    made = []
    for number in range(count):
        op = f"{about.get('group', 'g')}-operation-{number}"
        plain = {"op": op, "group": "g", "fence": 1, "state": "done", "acknowledged": False, "ended_at": time.time()}
        assert store.begin({**plain, **about})
        kept = store.receipt(op)
        assert kept is not None
        made.append([op, kept["change"]])
    return made


def test_acknowledged_receipts_take_no_room_from_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of the old ones (MOST_KEPT) comes on top of what may wait (MOST_OPEN)."""
    monkeypatch.setattr(store_module, "MOST_KEPT", 5)
    monkeypatch.setattr(store_module, "MOST_OPEN", 10)
    store = Store(str(tmp_path / "state"))
    assert store.acknowledge(receipts(store, 5, group="old")) == (5, [])
    receipts(store, 10, group="new")
    store._counted = None
    with pytest.raises(Fault) as caught:
        receipts(store, 1, group="one-more")
    assert (caught.value.code, caught.value.facts) == ("receipts-full", {"receipts": 10})
    assert caught.value.text.startswith("10 receipts wait for the portal")


def test_an_old_acknowledged_receipt_goes_however_few_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "state"))
    long_ago = time.time() - store_module.KEPT_S - 60
    (waits,) = receipts(store, 1, group="waits", ended_at=long_ago)
    assert store.acknowledge(receipts(store, 2, group="old", ended_at=long_ago))[0] == 2
    assert store.acknowledge(receipts(store, 2, group="new"))[0] == 2
    later = Store(str(tmp_path / "state"))
    receipts(later, 1, group="next")
    kept = sorted(file.name.partition("-")[0] for file in (tmp_path / "state" / "ops").iterdir())
    assert kept == ["new", "new", "next", "waits"], waits
    assert later.was_retired("old-operation-0")


def test_an_id_is_remembered_whole_after_a_disk_that_took_half_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of an attempt that found no room (or no power) must not swallow the id that is written next."""
    monkeypatch.setattr(store_module, "MOST_KEPT", 0)
    store = Store(str(tmp_path / "state"))
    assert store.acknowledge(receipts(store, 2))[0] == 2
    (tmp_path / "state" / "retired").write_text("g-opera")
    store._retire()
    later = Store(str(tmp_path / "state"))
    assert later.receipt("g-operation-0") is None
    assert [later.was_retired(f"g-operation-{number}") for number in range(3)] == [True, True, False]


def test_of_too_many_remembered_ids_the_older_half_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_KEPT", 0)
    store = Store(str(tmp_path / "state"))
    for group in ("old", "new"):
        store.acknowledge(receipts(store, 2, group=group))
        store._retire()
    reader = Store(str(tmp_path / "state"))
    assert reader.was_retired("old-operation-0"), "it has read the file as it is now"
    monkeypatch.setattr(store_module, "_RETIRED_KEPT", 4)
    store.acknowledge(receipts(store, 2, group="newest"))
    store._retire()
    for each in (reader, Store(str(tmp_path / "state"))):
        known = [group for group in ("old", "new", "newest") if each.was_retired(f"{group}-operation-1")]
        assert known == ["new", "newest"]


def test_half_a_line_of_a_log_is_taken_back_and_swallows_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, write = Store(str(tmp_path / "state")), os.write
    store.log("refused.log", {"code": "first"})
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
        store.log("refused.log", {"code": "no room"})
    store.log("refused.log", {"code": "last"})
    lines = (tmp_path / "state" / "refused.log").read_text().splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["first", "last"]


def test_a_receipt_that_cannot_be_written_means_that_nothing_is_begun(
    tmp_path: Path, ceph: FakeCeph, program: SiteProcess
) -> None:
    ceph.image("disk", primary=True)
    program.ask("hello")
    (tmp_path / "state" / "tmp").rmdir()
    error = program.refused("demote", **order("demote", "disk", "operation-1", primary=True))
    assert error["code"] == "storage"
    assert not ceph.calls()


def test_the_log_tells_each_act_twice(tmp_path: Path, ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    program.ask("demote", **order("demote", "disk", "operation-1", primary=True))
    lines = [json.loads(line) for line in (tmp_path / "state" / "acts.log").read_text().splitlines()]
    assert [(line["what"], line["op"], line["state"]) for line in lines] == [
        ("begun", "operation-1", "begun"),
        ("ended", "operation-1", "done"),
    ]
