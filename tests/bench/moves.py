"""Moves of all images of a lab from side to side, by the portal and by its peers, timed from power off to verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from drportal.drivers.base import ImageRef
from drportal.drivers.errors import DriverError
from drportal.lab.control import LabClient
from tests.bench import sites
from tests.bench.peers import Kind, PeerFailed, run_peer
from tests.stack import PortalClient, PortalStack

PRIORITIES = {"db": 1, "app": 2, "web": 3}
PEER_TITLES: dict[Kind, str] = {
    "loop": "(a) published procedure: loop over ssh, image by image",
    "staged": "published procedure: loop, all demotes, then all promotes",
    "xargs": "(b) the same, xargs -P 8 ssh",
    "pool": "(c) whole pool, retried each second, exit 0 believed: no gate",
}
PORTAL = "portal"
TO_DEMOTED = "portal, of that: until the last image is demoted"
WHOLE_RUN = "portal, whole run: request (VMs are off) to last VM running"
COMMANDS = "portal, demotes and promotes alone, as it sent them"
VERBS = "bare rbd mirror pool demote and promote alone, at the site"
RUN_PATIENCE_S = 900.0


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
        """A planned failover or a failback; the figures by name. The VMs must be off and mirroring settled, as peers
        find them: the run's own power-offs find themselves done.
        """
        kind = "planned_failover" if self.active == "a" else "failback"
        self.portal.wait_ready(self.operator, self.plan_id, kind)
        self.runs += 1
        run_id = self.portal.start_run(self.operator, self.plan_id, kind, f"bench-{self.runs}")
        # Seldom: who asks takes time from the move, and what it took is in its records.
        self.portal.wait_run(self.operator, run_id, RUN_PATIENCE_S, every_s=10.0)
        asked = f"from tests.bench.run_facts import told; print(told({run_id}))"
        told: dict[str, Any] = json.loads(self.portal.manage("shell", "-v", "0", "-c", asked).stdout.splitlines()[-1])
        if told["promoted"] != len(self.refs):
            raise AssertionError(f"run {run_id} promoted {told['promoted']} of {len(self.refs)} images")
        demote, promote = told["demote"], told["promote"]
        for word, act in (("demotes", demote), ("promotes", promote)):
            self.say(
                f"  {word} sent {act['first_sent_s']:.1f} to {act['last_sent_s']:.1f} s after power off, answered by "
                f"{act['last_answered_s']:.1f} s, recorded by {act['recorded_s']:.1f} s"
            )
        self._arrived()
        return {
            PORTAL: promote["recorded_s"],
            TO_DEMOTED: demote["recorded_s"],
            WHOLE_RUN: told["whole_s"],
            COMMANDS: demote["command_s"] + promote["command_s"],
        }

    def by_peer(self, kind: Kind) -> float:
        """The VMs must be off. Raises PeerFailed; then ``put_right`` is due."""
        names = [ref.name for ref in self.refs]
        with self._without_poller():
            seconds = run_peer(self.lab, kind, names, self.active, self.passive)
        self._arrived()
        return seconds

    def by_pool_verbs(self) -> float:
        """The two commands alone, each timed at its site; between them the demotions are given all the time they need.

        Raises PeerFailed; then ``put_right`` is due.
        """

        async def do() -> float:
            async with sites.ends(self.lab) as ends:
                return await sites.pool_verbs(ends[self.active], ends[self.passive], self.refs)

        try:
            with self._without_poller():
                seconds = asyncio.run(do())
        except (TimeoutError, DriverError, sites.CommandFailed) as error:
            raise PeerFailed(str(error)) from error
        self._arrived()
        return seconds

    def put_right(self) -> None:
        """Finish a peer's move that broke off, by the published procedure from wherever each image stands."""
        run_peer(self.lab, "finish", [ref.name for ref in self.refs], self.active, self.passive)
        self._arrived()

    @contextmanager
    def _without_poller(self) -> Iterator[None]:
        """The portal's poller rests meanwhile: its reads are no burden of a peer's."""
        poller = self.portal.programs["poller"]
        poller.stop()
        try:
            yield
        finally:
            poller.start()

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
