"""What a receipt says of an act whose end does not speak for itself: by the state, or not at all."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program import acts as acts_module
from drportal.site_program import clients as clients_module
from drportal.site_program.acts import Acts
from drportal.site_program.clients import Clients
from drportal.site_program.judging import reached
from drportal.site_program.serve import settings_of
from drportal.site_program.store import Store
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess
from tests.site_program.worlds import blocking


@pytest.fixture
def acts(tmp_path: Path, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch) -> Acts:
    """In this process, so that its patience can be shortened."""
    for name, value in ceph.env.items():
        monkeypatch.setenv(name, value)
    state = str(tmp_path / "state")
    settings = settings_of(["--rights", "act", "--engine", "rbd", "--state", state])
    return Acts(settings, Store(state), Clients(None), lambda: False)


@pytest.mark.parametrize("verb", ["fence", "unfence"])
def test_a_slow_blocklist_command_is_waited_for_and_never_killed(
    acts: Acts, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(clients_module, "READ_DEADLINE_S", 3.0)
    fields = blocking(verb, 1)
    if verb == "unfence":
        assert acts.perform("fence", {**blocking("fence", 1), "op": "operation-0"})["state"] == "done"
    ceph.set(act_s=5.0)
    receipt = acts.perform(verb, fields)
    assert (receipt["state"], receipt["exit"]) == ("done", 0)
    assert len(receipt["after"]["blocklisted"]) == (1 if verb == "fence" else 0)
    assert ceph.most_at_once() == 1 and len(ceph.calls()) == (1 if verb == "fence" else 2)


def test_a_fence_whose_program_is_killed_goes_on_and_is_read_afterwards(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.set(act_s=2.0)
    fields = blocking("fence", 1)
    begun = {"TEST_BEGUN": str(ceph.begun(fields["addresses"][0]))}
    point = f"during-act fence {int(signal.SIGKILL)}"
    with SiteProcess(tmp_path, "--engine", "rbd", env={**ceph.env, **begun}, point=point) as doomed:
        doomed.send("fence", **fields)
        doomed.killed()
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as later:
        going_on = later.receipt(fields["op"])
        assert (going_on["state"], going_on["alive"]) == ("begun", True), "its client goes on, and holds the lock"
        settled = later.receipt(fields["op"], wait_s=30)
        assert (settled["state"], settled["how"]) == ("done", "found")
    assert ceph.effects(fields["addresses"][0]) == 1


@pytest.mark.parametrize("exit_status", [1, 2, 13, 16, 22, 30])
def test_an_exit_status_alone_decides_nothing(
    acts: Acts, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch, exit_status: int
) -> None:
    """Done, told otherwise, and then nobody answers: not done is not what may be said."""
    monkeypatch.setattr(acts_module, "_READ_AGAIN_S", (0.1,))
    ceph.image("disk", primary=True)
    ceph.set(ends_with=exit_status, down_after=True)
    fields = order("demote", "disk", "operation-1", primary=True)
    receipt = acts.perform("demote", fields)
    assert (receipt["state"], receipt["alive"], receipt["exit"]) == ("begun", False, exit_status)
    assert "the state can't be read" in receipt["text"]
    unread = acts.known("operation-1")
    assert unread is not None and unread["state"] == "begun"
    ceph.set(down=False, ends_with=None)
    settled = acts.known("operation-1")
    assert settled is not None
    assert (settled["state"], settled["how"], settled["exit"]) == ("done", "found", exit_status)
    assert settled["after"]["primary"] is False
    assert acts.perform("demote", fields) == settled
    assert ceph.effects("disk") == 1


def test_what_was_refused_and_cannot_be_read_is_found_not_done_when_it_can(
    acts: Acts, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts_module, "_READ_AGAIN_S", (0.1,))
    ceph.image("disk", primary=False)
    ceph.set(refuses=16, down_after=True)
    assert acts.perform("promote", order("promote", "disk", "operation-1", primary=False))["state"] == "begun"
    ceph.set(down=False)
    settled = acts.known("operation-1")
    assert settled is not None
    assert (settled["state"], settled["reason"]) == ("not-done", "demotion-not-arrived")


def test_nothing_is_begun_on_an_image_whose_last_act_is_undecided(
    acts: Acts, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts_module, "_READ_AGAIN_S", (0.1,))
    ceph.image("disk", primary=True)
    ceph.set(ends_with=22, down_after=True)
    acts.perform("demote", order("demote", "disk", "operation-1", primary=True))
    with pytest.raises(clients_module.Fault) as caught:
        acts.perform("resync", order("resync", "disk", "operation-2", primary=False))
    assert (caught.value.code, caught.value.facts["op"]) == ("unreachable", "operation-1")
    assert len(ceph.calls()) == 1


@pytest.mark.parametrize("scheduled", [False, True])
def test_a_snapshot_of_the_managers_schedule_is_not_taken_for_ours(
    tmp_path: Path, ceph: FakeCeph, scheduled: bool
) -> None:
    """The program is killed and its client too, before it made one: the schedule makes one, or does not."""
    ceph.image("disk", primary=True)
    ceph.set(act_s=20.0)
    fields = order("mirror-snapshot", "disk", "operation-1", primary=True)
    point = f"during-act mirror-snapshot {int(signal.SIGSTOP)}"
    begun = {"TEST_BEGUN": str(ceph.begun("disk"))}
    with SiteProcess(tmp_path, "--engine", "rbd", env={**ceph.env, **begun}, point=point) as doomed:
        doomed.send("mirror-snapshot", **fields)
        doomed.stopped()
        for client in doomed.clients():
            os.kill(client, signal.SIGKILL)
    if scheduled:
        there = ceph.read()["images"]["disk"]["snapshots"]
        ceph.image("disk", primary=True, snapshots=[*there, {"id": 8, "state": "primary", "complete": True}])
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as later:
        receipt = later.receipt("operation-1", wait_s=30)
    assert (receipt["state"], receipt["how"]) == ("unknown" if scheduled else "not-done", "found")
    assert ceph.effects("disk") == 0


def test_our_own_snapshot_is_known_by_the_number_that_its_client_printed(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=True)
    fields = order("mirror-snapshot", "disk", "operation-1", primary=True)
    point = f"before-receipt mirror-snapshot {int(signal.SIGKILL)}"
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env, point=point) as doomed:
        doomed.send("mirror-snapshot", **fields)
        doomed.killed()
    there = ceph.read()["images"]["disk"]["snapshots"]
    ceph.image("disk", primary=True, snapshots=[*there, {"id": 9, "state": "primary", "complete": True}])
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as later:
        assert later.receipt("operation-1")["state"] == "done"
    assert not list((tmp_path / "state" / "tmp").glob("*.out")), "read, written down, and gone"


def snapshots(was: int | None, now: int | None, said: str) -> bool | None:
    def state(number: int | None) -> dict[str, Any]:
        newest = None if number is None else {"snap_id": number}
        return {"image_id": "1", "primary": True, "newest_snapshot": newest}

    return reached({"verb": "mirror-snapshot", "before": state(was)}, state(now), said)


def test_which_snapshot_is_ours() -> None:
    assert snapshots(7, 8, "Snapshot ID: 8") is True
    assert snapshots(None, 8, "Snapshot ID: 8") is True
    assert snapshots(7, 9, "warning\nSnapshot ID: 8\n") is True, "and a later one"
    assert snapshots(7, 7, "") is False
    assert snapshots(7, 8, "") is None, "somebody's"
    assert snapshots(7, 8, "Snapshot ID: 6") is None, "an older number is not that of this act"
    assert snapshots(7, 8, "Snapshot ID: 80") is None, "nor is one that this image has not got"


def listed(verb: str, before: list[str], now: list[str]) -> bool | None:
    addresses = ["10.0.0.1:0/1", "10.0.0.2:0/2"]
    receipt = {"verb": verb, "addresses": addresses, "before": {"blocklisted": before}}
    return reached(receipt, {"blocklisted": now}, "")


def test_half_a_fence_is_unknown_and_an_old_one_is_no_new_one() -> None:
    one, two = "10.0.0.1:0/1 until T", "10.0.0.2:0/2 until T"
    assert listed("fence", [], [one, two]) is True
    assert listed("fence", [], []) is False
    assert listed("fence", [], [one]) is None
    assert listed("fence", [one, two], [one, two]) is False, "its end is the old one"
    assert listed("unfence", [one, two], []) is True
    assert listed("unfence", [one, two], [two]) is None
    assert listed("unfence", [one, two], [one, two]) is False


def test_the_acts_at_once_are_bounded_by_the_site_and_by_each_request(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.set(act_s=0.5)
    batches = {"site's": ({}, 3), "request's": ({"at_once": 2}, 2), "capped": ({"at_once": 64}, 3)}
    with SiteProcess(tmp_path, "--engine", "rbd", "--acts-at-once", "3", env=ceph.env) as program:
        assert program.hello["limits"]["acts_at_once"] == 3
        for batch, (fields, most) in batches.items():
            (ceph.folder / "spans").unlink(missing_ok=True)
            sent = []
            for number in range(7):
                ceph.image(f"{batch[:3]}-{number}", primary=True)
                about = order("demote", f"{batch[:3]}-{number}", f"operation-{batch[:3]}-{number}", primary=True)
                sent.append(program.send("demote", **about, **fields))
            assert [program.answer(one)["receipt"]["state"] for one in sent] == ["done"] * 7
            assert ceph.most_at_once() == most, batch
        assert program.refused("demote", **about, at_once=0)["code"] == "bad-request"
        assert program.ask("demote", **about, at_once=9)["ok"], "it is no part of what makes it the same act"


def test_one_that_wants_to_be_alone_does_not_hold_up_the_others(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.set(act_s=2.0)
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as program:
        numbers = []
        for name, fields in (("first", {}), ("alone", {"at_once": 1}), ("third", {})):
            ceph.image(name, primary=True)
            numbers.append(program.send("demote", **order("demote", name, f"operation-{name}", primary=True), **fields))
        ends = time.monotonic() + 30
        while not ceph.begun("third").exists():
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert not ceph.begun("alone").exists()
        assert all(program.answer(number)["receipt"]["state"] == "done" for number in numbers)
        assert ceph.begun("alone").exists()
