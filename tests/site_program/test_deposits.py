"""A deposit of the site's own people is for one forced promotion of each image that it names, whatever happens."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from drportal.site_program.deposits import use_deposit
from drportal.site_program.store import Store
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import POINTS, SiteProcess
from tests.site_program.test_faults import CERTAIN
from tests.site_program.worlds import ended
from tests.stack import wait_until

APPROVAL = "a" * 64


@pytest.fixture
def site(tmp_path: Path, ceph: FakeCeph) -> Path:
    """Two images that an approval is deposited for, and one that it is not."""
    for name in ("disk", "other", "third"):
        ceph.image(name, primary=False)
    deposit(tmp_path)
    return tmp_path


def deposit(site: Path) -> None:
    folder = site / "state" / "approvals"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / APPROVAL).write_text("one/disk\none/other\n")


def start(site: Path, ceph: FakeCeph, **options: Any) -> SiteProcess:
    env = {**ceph.env, **options.pop("env", {})}
    return SiteProcess(site, "--engine", "rbd", "--force-promote", "deposited", env=env, **options)


def forced(op: str, image: str = "disk") -> dict[str, Any]:
    return order("force-promote", image, op, primary=False)


def demoted_again(program: SiteProcess, image: str = "disk") -> None:
    demotion = order("demote", image, f"demotion-{image}", primary=True)
    assert program.ask("demote", **demotion)["receipt"]["state"] == "done"


def forcings(ceph: FakeCeph, image: str = "disk") -> int:
    """How often it was started."""
    return ceph.calls().count(["rbd", "mirror", "image", "promote", "--force", f"one/{image}"])


def test_it_is_used_once_and_the_same_id_is_still_answered(site: Path, ceph: FakeCeph) -> None:
    with start(site, ceph) as program:
        first = program.ask("force-promote", **forced("operation-1"))["receipt"]
        assert first["state"] == "done"
        demoted_again(program)
        error = program.refused("force-promote", **forced("operation-2"))
        assert (error["code"], error["facts"]) == ("not-allowed", {"op": "operation-1"})
        assert "has been used for one/disk already (by operation-1). Nothing was done." in error["text"]
        assert program.refused("receipt", op="operation-2")["code"] == "no-receipt"
        assert program.ask("force-promote", **forced("operation-1"))["receipt"]["change"] == first["change"]
        assert program.ask("force-promote", **forced("operation-3", "other"))["receipt"]["state"] == "done"
        assert program.refused("force-promote", **forced("operation-4", "third"))["code"] == "not-allowed"
    deposit(site)
    with start(site, ceph) as later:
        again = later.refused("force-promote", **forced("operation-5"))
        assert again["facts"] == {"op": "operation-1"}, "written anew it is the same one"
    assert (forcings(ceph), forcings(ceph, "other"), forcings(ceph, "third")) == (1, 1, 0)


def test_an_act_that_had_no_effect_gives_it_back(site: Path, ceph: FakeCeph) -> None:
    with start(site, ceph) as program:
        ceph.set(refuses=30)
        assert program.ask("force-promote", **forced("operation-1"))["receipt"]["state"] == "not-done"
        ceph.set(refuses=0)
        assert program.ask("force-promote", **forced("operation-2"))["receipt"]["state"] == "done"
        assert program.ask("force-promote", **forced("operation-1"))["receipt"]["state"] == "not-done"
        demoted_again(program)
        assert program.refused("force-promote", **forced("operation-3"))["facts"] == {"op": "operation-2"}


def test_a_receipt_that_was_acknowledged_and_removed_has_used_it_all_the_same(
    site: Path, ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(site, ceph) as program:
        receipt = program.ask("force-promote", **forced("operation-1"))["receipt"]
        assert program.ask("acknowledge", receipts=[["operation-1", receipt["change"]]])["acknowledged"] == 1
        demoted_again(program)
        monkeypatch.setattr("drportal.site_program.store.MOST_KEPT", 0)
        Store(str(site / "state"))._retire()
        assert program.refused("receipt", op="operation-1")["code"] == "no-receipt"
        assert program.refused("force-promote", **forced("operation-2"))["facts"] == {"op": "operation-1"}
    assert forcings(ceph) == 1


def test_taken_back_while_another_act_was_waited_for_it_counts_no_more(site: Path, ceph: FakeCeph) -> None:
    ceph.set(act_s=3.0)
    with start(site, ceph) as program:
        slow = program.send("resync", **order("resync", "disk", "operation-2", primary=False))
        wait_until("the first one acts", ceph.begun("disk").exists, 30, 0.02)
        waiting = program.send("force-promote", **forced("operation-3"), wait_s=60)
        (site / "state" / "approvals" / APPROVAL).unlink()
        assert program.answer(slow)["receipt"]["state"] == "done"
        assert program.answer(waiting)["error"]["code"] == "not-allowed"
    assert forcings(ceph) == 0


def test_one_whose_process_died_before_its_intent_does_not_keep_it(site: Path, ceph: FakeCeph) -> None:
    """Killed between the two: who used it is written down, and no receipt."""
    use_deposit(Store(str(site / "state")), APPROVAL, "one/disk", "operation-1")
    with start(site, ceph) as program:
        assert program.ask("force-promote", **forced("operation-2"))["receipt"]["state"] == "done"
        assert program.ask("receipt", op="operation-1", bar=True)["receipt"]["how"] == "barred"
    assert forcings(ceph) == 1


def test_where_it_cannot_be_read_who_used_it_nothing_is_begun(site: Path, ceph: FakeCeph) -> None:
    with start(site, ceph) as program:
        assert program.ask("force-promote", **forced("operation-1"))["receipt"]["state"] == "done"
        demoted_again(program)
        (used,) = (site / "state" / "deposits-used").iterdir()
        used.write_text("{")
        assert program.refused("force-promote", **forced("operation-2"))["code"] == "storage"
    assert forcings(ceph) == 1


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point_it_has_one_effect_at_most(site: Path, ceph: FakeCeph, point: str) -> None:
    """Then another id tries with the same deposit, whatever the first one came to."""
    ceph.set(act_s=0.4)
    env = {"TEST_BEGUN": str(ceph.begun("disk"))}
    with start(site, ceph, point=f"{point} force-promote {int(signal.SIGKILL)}", env=env) as doomed:
        doomed.send("force-promote", **forced("operation-1"))
        doomed.killed()
    with start(site, ceph) as program:
        program.ask("receipt", op="operation-1", bar=True, wait_s=30)
        had = ended(program, "operation-1")["state"] == "done"
        assert had == (point == "during-act" or bool(CERTAIN[point])) or point == "before-intent"
        if had:
            demoted_again(program)
        second = program.ask("force-promote", **forced("operation-2"), wait_s=30)
        if had:
            assert second["error"]["facts"] == {"op": "operation-1"}
        else:
            assert second["receipt"]["state"] == "done"
            demoted_again(program)
        assert program.refused("force-promote", **forced("operation-3"))["code"] == "not-allowed"
    demotions = 1
    assert ceph.effects("disk") - demotions == 1
