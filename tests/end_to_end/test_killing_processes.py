"""Worker, poller, web server and Redis die at random moments of a run and come back: it ends right, nothing is twice.

Twenty runs, two at a time, there and home in turn, on one lab and one portal (on two where tests run side by side).
Each process dies once in each two, one after the other, in every fifth time all at the same moment, when a random part
of the runs' steps is done: so that they are really on their way then, however fast the machine is. The seed is in the
test's name: to see one again, run the file with ``-k`` and the seeds before it, or that one alone on a fresh lab.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from drportal.lab.control import LabClient
from tests.stack import LabProcess, PortalClient, PortalStack, wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow

SEEDS = range(10)
VICTIMS = ("worker", "poller", "web", "redis")
ALL_AT_ONCE = 5
RUN_PATIENCE_S = 120.0
AWAY_S = 2.0  # at most
# As in life, only quicker, like the lab.
QUICK = {
    "DRPORTAL_LEASE": "4",
    "DRPORTAL_PACE_POLL_FIRST": "0.2",
    "DRPORTAL_PACE_POLL_LAST": "0.5",
    "DRPORTAL_PACE_CONFIRM": "0.1",
    "DRPORTAL_PACE_SHARED_READ": "0.5",
    "DRPORTAL_PACE_SETTLE": "3",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What all runs share."""

    lab: LabClient
    portal: PortalStack
    plans: tuple[int, ...]
    images: frozenset[str]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("killing")
    with (
        LabProcess("embedded", folder / "lab", "--speed", "20", vms=6) as lab,
        PortalStack(folder, lab, **QUICK) as portal,
    ):
        operator = portal.client("operator")
        (plan,) = operator.get("/plans")["items"]
        plans = (plan["id"], second_plan(operator, plan["id"]))
        images = frozenset(lab.client.status()["sites"]["a"]["images"])
        yield Standing(lab.client, portal, plans, images)


def second_plan(operator: PortalClient, like: int) -> int:
    """Of the VMs that the demo's plan leaves, in its order."""
    plan = operator.get(f"/plans/{like}")
    first = {member["vm"]["name"].partition("-")[0]: member["priority"] for member in plan["members"]}
    members = [
        {"vm_id": vm["id"], "priority": first[vm["name"].partition("-")[0]]}
        for vm in operator.get("/sites/site-a/vms")["items"]
        if vm["name"].endswith("-2")
    ]
    assert len(members) == len(first) == 3
    (pair,) = operator.get("/pairs")["items"]
    body = {"name": "second", "group_name": "second", "pair_id": pair["id"], "members": members}
    kept = {name: plan[name] for name in ("home_site", "network_map")}
    return int(operator.post("/plans", body | kept)["id"])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_ends_right_although_a_process_is_killed(standing: Standing, seed: int) -> None:
    chance = random.Random(seed)
    victims: list[tuple[str, ...]] = [(name,) for name in chance.sample(VICTIMS, len(VICTIMS))]
    if seed % ALL_AT_ONCE == ALL_AT_ONCE - 1:  # as when their host loses its power
        victims = [VICTIMS]
    moments = sorted(chance.uniform(0, 0.9) for _ in victims)
    wait_until("the web server answers", standing.portal.web_answers, 40)
    person = standing.portal.client("operator")
    plan = person.get(f"/plans/{standing.plans[0]}")
    kind = "planned_failover" if plan["active_site"] == plan["home_site"] else "failback"
    source, target = ("a", "b") if kind == "planned_failover" else ("b", "a")
    for plan_id in standing.plans:
        standing.portal.wait_ready(person, plan_id, kind, 60)
    before = {site: len(standing.lab.acts(site)) for site in ("a", "b")}

    with PrimaryWitness(standing.lab, pause_s=0.05) as witness:
        runs = [standing.portal.start_run(person, plan, kind, f"seed-{seed}-{plan}") for plan in standing.plans]
        on_their_way = [
            kill(standing.portal, person, runs, names, moment, chance.uniform(0, AWAY_S))
            for names, moment in zip(victims, moments, strict=True)
        ]
        assert on_their_way[0], "the first death came when both runs were over"
        for run_id in runs:
            standing.portal.wait_run(person, run_id, RUN_PATIENCE_S)

    witness.assert_clean()
    all_is_at(standing, target)
    assert acted(standing.lab, source, before[source]) == {("demote", name): 1 for name in standing.images}
    assert acted(standing.lab, target, before[target]) == {("promote", name): 1 for name in standing.images}
    assert standing.portal.client("manager").get("/audit/verify")["ok"] is True
    assert {person.get(f"/plans/{plan}")["active_site"] for plan in standing.plans} == {f"site-{target}"}


def kill(
    portal: PortalStack, person: PortalClient, runs: list[int], names: tuple[str, ...], moment: float, away_s: float
) -> bool:
    """When that part of the runs' steps is done; True when not all of them were over then."""
    seen: list[dict[str, Any]] = []

    def due() -> bool:
        seen[:] = [person.get(f"/runs/{run_id}") for run_id in runs]
        tallies: list[dict[str, int]] = [run["tally"]["steps"] for run in seen]
        done = sum(steps.get("succeeded", 0) for steps in tallies)
        return done >= moment * sum(sum(steps.values()) for steps in tallies) or not running()

    def running() -> bool:
        return any(run["state"] == "running" for run in seen)

    def under_way() -> bool:
        return all(person.get(f"/runs/{run_id}")["state"] != "approved" for run_id in runs)

    wait_until("the runs are under way", under_way, RUN_PATIENCE_S)
    wait_until(f"{moment:.0%} of the steps are done", due, RUN_PATIENCE_S, 0.05)
    print(f"{', '.join(names)} killed in states {[run['state'] for run in seen]}, and away for {away_s:.2f} s")
    for name in names:
        portal.programs[name].kill()
    time.sleep(away_s)
    for name in names:
        portal.programs[name].start()
    wait_until("the web server answers", portal.web_answers, 60)
    return running()


def all_is_at(standing: Standing, target: str) -> None:
    """Images are primary and VMs run there, and nowhere else, by the lab's own word."""
    sites = standing.lab.status()["sites"]
    for site, there in sites.items():
        primary = {name for name, image in there["images"].items() if image["primary"]}
        assert primary == (standing.images if site == target else set())
        running = sorted(vm["name"] for vm in there["vms"].values() if vm["state"] not in ("POWEROFF", "DONE"))
        names = [f"{kind}-{number}" for kind in ("app", "db", "web") for number in (1, 2)]
        assert running == (names if site == target else []), f"site {site}: {there['vms']}"


def acted(lab: LabClient, site: str, since: int) -> dict[tuple[str, str], int]:
    """How often each act had an effect (exit 0) on each image, by the lab's own record."""
    found: dict[tuple[str, str], int] = {}
    for act in lab.acts(site)[since:]:
        *_, verb, image = act["command"].split()
        if act["exit_code"] == 0:
            key = (verb, image.partition("/")[2])
            found[key] = found.get(key, 0) + 1
    return found
