"""A process dies at a random moment of a run and comes back a little later: the run ends right, nothing is done twice.

Thirty runs, there and home in turn, on one lab and one portal (on three where tests run side by side). The seed of each
is in its name: to see one again, run the whole file with ``-k`` and the seeds before it, or that one alone on a fresh
lab.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from drportal.lab.control import LabClient
from tests.stack import LabProcess, PortalStack, wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow

SEEDS = range(30)
VICTIMS = ("worker", "poller", "web", "redis")
WITHIN_S = 4.5  # an undisturbed run takes about so long
RUN_PATIENCE_S = 90.0
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
    plan_id: int
    images: frozenset[str]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("killing")
    with LabProcess("embedded", folder / "lab", "--speed", "20") as lab, PortalStack(folder, lab, **QUICK) as portal:
        (plan,) = portal.client("operator").get("/plans")["items"]
        images = frozenset(lab.client.status()["sites"]["a"]["images"])
        yield Standing(lab.client, portal, plan["id"], images)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_ends_right_although_a_process_is_killed(standing: Standing, seed: int) -> None:
    chance = random.Random(seed)
    victim = standing.portal.programs[VICTIMS[seed % len(VICTIMS)]]
    after_s, away_s = chance.uniform(0, WITHIN_S), chance.uniform(0, 3)
    print(f"seed {seed}: {victim.name} is killed after {after_s:.2f} s and away for {away_s:.2f} s")
    wait_until("the web server answers", standing.portal.web_answers, 40)
    person = standing.portal.client("operator")
    plan = person.get(f"/plans/{standing.plan_id}")
    kind = "planned_failover" if plan["active_site"] == plan["home_site"] else "failback"
    source, target = ("a", "b") if kind == "planned_failover" else ("b", "a")
    standing.portal.wait_ready(person, standing.plan_id, kind, 60)
    before = {site: len(standing.lab.acts(site)) for site in ("a", "b")}

    with PrimaryWitness(standing.lab, pause_s=0.05) as witness:
        run_id = standing.portal.start_run(person, standing.plan_id, kind, f"seed-{seed}")
        time.sleep(after_s)
        victim.kill()
        time.sleep(away_s)
        victim.start()
        standing.portal.wait_run(person, run_id, RUN_PATIENCE_S)

    witness.assert_clean()
    all_is_at(standing, target)
    assert acted(standing.lab, source, before[source]) == {("demote", name): 1 for name in standing.images}
    assert acted(standing.lab, target, before[target]) == {("promote", name): 1 for name in standing.images}
    assert standing.portal.client("manager").get("/audit/verify")["ok"] is True
    assert person.get(f"/plans/{standing.plan_id}")["active_site"] == f"site-{target}"


def all_is_at(standing: Standing, target: str) -> None:
    """Images are primary and VMs run there, and nowhere else, by the lab's own word."""
    sites = standing.lab.status()["sites"]
    for site, there in sites.items():
        primary = {name for name, image in there["images"].items() if image["primary"]}
        assert primary == (standing.images if site == target else set())
        running = sorted(vm["name"] for vm in there["vms"].values() if vm["state"] not in ("POWEROFF", "DONE"))
        assert running == (["app-1", "db-1", "web-1"] if site == target else []), f"site {site}: {there['vms']}"


def acted(lab: LabClient, site: str, since: int) -> dict[tuple[str, str], int]:
    """How often each act had an effect (exit 0) on each image, by the lab's own record."""
    found: dict[tuple[str, str], int] = {}
    for act in lab.acts(site)[since:]:
        *_, verb, image = act["command"].split()
        if act["exit_code"] == 0:
            key = (verb, image.partition("/")[2])
            found[key] = found.get(key, 0) + 1
    return found
