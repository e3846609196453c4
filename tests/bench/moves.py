"""Moves of all images of a lab from side to side, by the portal and by its peers, timed from power off to verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from drportal.drivers.base import ImageRef
from drportal.lab.control import LabClient
from tests.bench import sites
from tests.bench.peers import Kind, run_peer
from tests.stack import PortalClient, PortalStack

PRIORITIES = {"db": 1, "app": 2, "web": 3}
PEER_TITLES: dict[Kind, str] = {
    "loop": "published procedure: loop, image by image",
    "staged": "published procedure: loop, all demotes, then all promotes",
    "xargs": "the same, xargs -P 8",
    "pool": "whole pool, exit 0 believed: no gate",
}
PORTAL = "portal"
TO_DEMOTED = "portal, of that: until the last image is demoted"
WHOLE_RUN = "portal, whole run: request to last VM running"
RUN_PATIENCE_S = 900.0

# What the run itself wrote down, by the database's own clock of committed rows.
STEP_TIMES = """
import json
from drportal.recovery.models import Run, Step
run = Run.objects.get(pk={run_id})
last = lambda kind: max(Step.objects.filter(run=run, kind=kind).values_list("finished_at", flat=True))
print(json.dumps({{
    "demoted_s": (last("image.demote") - last("vm.power_off")).total_seconds(),
    "move_s": (last("image.promote") - last("vm.power_off")).total_seconds(),
    "whole_s": (run.finished_at - run.created_at).total_seconds(),
    "promoted": Step.objects.filter(run=run, kind="image.promote", state="succeeded").count(),
}}))
"""


class Mover:
    """Knows which side is active ("a" or "b") and leaves every image settled after each move."""

    def __init__(self, lab: LabClient, portal: PortalStack, say: Callable[[str], None]) -> None:
        self.lab, self.portal, self.say = lab, portal, say
        self.active = "a"
        self.runs = 0
        pool = lab.description.pool
        self.refs = [ImageRef(pool, name) for name in sorted(lab.status()["sites"]["a"]["images"])]
        self.operator: PortalClient = portal.client("operator")
        self.plan_id = self._plan_of_all()

    @property
    def passive(self) -> str:
        return "b" if self.active == "a" else "a"

    def _plan_of_all(self) -> int:
        """The demonstration's plan holds three VMs; this one holds all."""
        for plan in self.operator.get("/plans")["items"]:
            answer = self.operator.raw("DELETE", f"/plans/{plan['id']}", If_Match=f'"{plan["version"]}"')
            assert answer.status_code == 204, answer.text
        (pair,) = self.operator.get("/pairs")["items"]
        here, there = (
            next(
                net["one_id"]
                for net in self.operator.get(f"/sites/site-{side}/networks")["items"]
                if net["name"] == f"production-{side}"
            )
            for side in ("a", "b")
        )
        vms = self.operator.get("/sites/site-a/vms?limit=500")["items"]
        body = {
            "name": "bench",
            "group_name": "bench",
            "pair_id": pair["id"],
            "home_site": "site-a",
            "members": [{"vm_id": vm["id"], "priority": PRIORITIES[vm["name"].partition("-")[0]]} for vm in vms],
            "network_map": {str(here): there},
        }
        return int(self.operator.post("/plans", body)["id"])

    # --- moves

    def by_portal(self) -> dict[str, float]:
        """A planned failover or a failback; the figures by name."""
        kind = "planned_failover" if self.active == "a" else "failback"
        self.portal.wait_ready(self.operator, self.plan_id, kind)
        self.runs += 1
        run_id = self.portal.start_run(self.operator, self.plan_id, kind, f"bench-{self.runs}")
        self.portal.wait_run(self.operator, run_id, RUN_PATIENCE_S)
        told: dict[str, Any] = json.loads(
            self.portal.manage("shell", "-v", "0", "-c", STEP_TIMES.format(run_id=run_id)).stdout.splitlines()[-1]
        )
        if told["promoted"] != len(self.refs):
            raise AssertionError(f"run {run_id} promoted {told['promoted']} of {len(self.refs)} images")
        self._arrived()
        return {PORTAL: told["move_s"], TO_DEMOTED: told["demoted_s"], WHOLE_RUN: told["whole_s"]}

    def by_peer(self, kind: Kind) -> float:
        """The VMs must be off. The portal's poller rests meanwhile: its reads are no burden of the peer's."""
        poller = self.portal.programs["poller"]
        poller.stop()
        try:
            seconds = run_peer(self.lab, kind, [ref.name for ref in self.refs], self.active, self.passive)
        finally:
            poller.start()
        self._arrived()
        return seconds

    def power(self, *, on: bool) -> None:
        async def do() -> None:
            async with sites.ends(self.lab) as ends:
                await sites.power(ends[self.active], self.refs, on=on)

        asyncio.run(do())

    def settle(self) -> None:
        async def do() -> None:
            async with sites.ends(self.lab) as ends:
                await sites.settle(ends[self.active], ends[self.passive], self.refs)

        asyncio.run(do())

    # --- checks

    def _arrived(self) -> None:
        """Every image is primary at the side it was moved to and nowhere else, by the lab's word; then settled."""
        state = self.lab.status()["sites"]
        here, there = state[self.passive]["images"], state[self.active]["images"]
        wrong = [ref.name for ref in self.refs if not here[ref.name]["primary"] or there[ref.name]["primary"]]
        if wrong:
            raise AssertionError(f"not primary at {self.passive} alone: {', '.join(wrong)}")
        self.active = self.passive
        self.settle()
