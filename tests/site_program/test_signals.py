"""What a site's host sends to a program whose login has ended, or that is to end: no act is broken off by it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess
from tests.stack import wait_until


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_an_act_that_has_begun_is_carried_to_its_end(tmp_path: Path, ceph: FakeCeph, number: signal.Signals) -> None:
    """To its whole group, as a terminal that is closed would: the client of the act has one of its own."""
    ceph.image("disk", primary=True)
    ceph.image("other", primary=True)
    ceph.set(act_s=1.0)
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env) as program:
        under_way = program.send("demote", **order("demote", "disk", "operation-1", primary=True))
        wait_until("the act has begun", ceph.begun("disk").exists, 20, 0.02)
        waiting = program.send("demote", **order("demote", "other", "operation-2", primary=True), at_once=1)
        program.ask("hello")  # it has read that, too
        os.killpg(program.process.pid, number)
        assert program.answer(under_way)["receipt"]["state"] == "done"
        if number is signal.SIGHUP:
            assert program.answer(waiting)["receipt"]["state"] == "done", "nothing ends by it"
        else:
            assert program.answer(waiting)["error"]["code"] == "ending"
            assert program.wait() == 0
    assert len(ceph.calls()) == (2 if number is signal.SIGHUP else 1)
