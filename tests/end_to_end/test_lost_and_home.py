"""A site is killed on real Ceph, its VMs are forced to the other; it returns, is made whole, and all goes home.

Through every layer but the browser, both modes of mirroring at once. The embedded lab has the same in the browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_failover_and_failback import image_names
from tests.stack import LabProcess, PortalClient, PortalStack, wait_until


def door(operator: PortalClient) -> dict[str, Any]:
    answer: dict[str, Any] = operator.get("/plans/1/disaster")
    return answer


def force_there(portal: PortalStack, operator: PortalClient) -> int:
    """Two people; the evidence is taken again for as long as it still moves."""
    approver = portal.client("approver")

    def asked_and_approved() -> int | None:
        seen = door(operator)
        if seen["blockers"]:
            return None
        body = {
            "plan_version": seen["plan_version"], "phrase": seen["phrase"], "reason": "fire",
            "attestation": "olga had the power cut", "request_key": f"lost-{seen['evidence']['taken_at']}"[:60],
        }  # fmt: skip
        page = operator.post("/plans/1/disaster", body)
        yes = approver.raw(
            "POST",
            f"/approvals/{page['id']}/approve",
            {
                "password": portal.password("approver"),
                "evidence_sha256": page["evidence_sha256"],
                "commands_sha256": page["commands_sha256"],
            },
        )
        return int(page["run_id"]) if yes.status_code == 200 else None

    found: int = wait_until("asked for and approved", asked_and_approved, 240, 3.0)
    return found


def two_primaries(operator: PortalClient) -> int:
    return len(operator.get("/overview")["two_primaries"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("ceph", marks=pytest.mark.ceph)])
def test_a_lost_site_s_group_is_forced_made_whole_and_brought_home(
    kind: str, tmp_path: Path, require_ceph: None
) -> None:
    with LabProcess(kind, tmp_path / "lab", vms=3, mode="mixed") as lab, PortalStack(tmp_path, lab) as portal:
        operator = portal.client("operator")
        images = image_names(operator.get("/plans/1"))
        before = {
            name: lab.client.write("a", name, f"home {name}") or lab.client.checksum("a", name) for name in images
        }
        # Its VMs write on; what was written into the image before must be at the other side when the site dies.
        portal.wait_ready(operator, 1, "planned_failover")
        lab.client.fail("a", "site-down", power="lost")
        portal.wait_run(operator, force_there(portal, operator), 300)
        assert operator.get("/plans/1")["active_site"] == "site-b"
        states = {vm["name"]: vm["state"] for vm in lab.client.status()["sites"]["b"]["vms"].values()}
        assert set(states.values()) == {"RUNNING"}, states
        away = {name: lab.client.write("b", name, f"away {name}") or lab.client.checksum("b", name) for name in images}
        assert all(away[name] != before[name] for name in images)

        lab.client.restore("a")
        wait_until("both sides are seen to be primary", lambda: two_primaries(operator) == len(images), 180, 1.0)
        portal.wait_ready(operator, 1, "reprotect")
        portal.wait_run(operator, portal.start_run(operator, 1, "reprotect", "whole"), 400)
        saved = {file.name.split(".")[0] for file in Path(lab.client.description.sites["a"].salvage).glob("*.rbd-diff")}
        assert saved == set(images), "what was discarded was saved before"
        assert two_primaries(operator) == 0

        portal.wait_ready(operator, 1, "failback", 300)
        portal.wait_run(operator, portal.start_run(operator, 1, "failback", "home"), 300)
        assert operator.get("/plans/1")["active_site"] == "site-a"
        assert {name: lab.client.checksum("a", name) for name in images} == away
        states = {vm["name"]: vm["state"] for vm in lab.client.status()["sites"]["a"]["vms"].values()}
        assert set(states.values()) == {"RUNNING"}, states
        assert portal.client("manager").get("/audit/verify")["ok"] is True
