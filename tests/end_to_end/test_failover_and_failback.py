"""The main job through every layer but the browser: web, Redis, worker, poller, SSH, rbd, XML-RPC.

On real Ceph it is done with the browser as well: ``test_in_the_browser``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stack import LabProcess, PortalStack
from tests.witness import PrimaryWitness


def image_names(plan: dict[str, Any]) -> list[str]:
    """The images (without pool) behind a plan's VMs."""
    sources = [disk["source"] for member in plan["members"] for disk in member["vm"]["disks"]]
    assert len(sources) == 5
    return [source.partition("/")[2] for source in sources]


@pytest.mark.slow
def test_it_moves_three_vms_there_and_home_with_their_data(tmp_path: Path) -> None:
    with LabProcess("embedded", tmp_path / "lab", vms=3, mode="mixed") as lab, PortalStack(tmp_path, lab) as portal:
        operator = portal.client("operator")
        plan_id = operator.get("/plans")["items"][0]["id"]
        images = image_names(operator.get(f"/plans/{plan_id}"))
        before = {
            name: lab.client.write("a", name, seed=f"home {name}") or lab.client.checksum("a", name) for name in images
        }

        with PrimaryWitness(lab.client) as witness:
            there = portal.start_run(operator, plan_id, "planned_failover", "there")
            portal.wait_run(operator, there, 240)
        witness.assert_clean()
        assert operator.get(f"/plans/{plan_id}")["active_site"] == "site-b"
        assert {name: lab.client.checksum("b", name) for name in images} == before

        changed = {
            name: lab.client.write("b", name, seed=f"away {name}") or lab.client.checksum("b", name) for name in images
        }
        assert all(changed[name] != before[name] for name in images)

        with PrimaryWitness(lab.client) as witness:
            portal.wait_ready(operator, plan_id, "failback")
            home = portal.start_run(operator, plan_id, "failback", "home")
            portal.wait_run(operator, home, 240)
        witness.assert_clean()
        assert operator.get(f"/plans/{plan_id}")["active_site"] == "site-a"
        assert {name: lab.client.checksum("a", name) for name in images} == changed

        states = {vm["name"]: vm["state"] for vm in lab.client.status()["sites"]["a"]["vms"].values()}
        assert set(states.values()) == {"RUNNING"}, states
        assert portal.client("manager").get("/audit/verify")["ok"] is True
