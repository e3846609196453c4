"""Many runs of each kind, their executors killed anywhere: each ends as it would have, and nothing is done twice.

Groups of one VM each move on one lab, there, home, there by force while their site is dead, and are fenced and made
whole when it is back; several at a time. An executor's first death is at a failpoint of an act, dealt out evenly, the
later ones wherever it is at a random moment, so often while its successor is just finding out what became of the act.
What was done is counted by the lab's own records. The figures of all shards stand in the summary at the end of pytest's
output.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from drportal import jobs
from drportal.audit.check import verify_database
from drportal.engine.fence import FenceRung
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageWay
from drportal.engine.states import RunState
from drportal.engine.steps import StepKind
from drportal.inventory.discovery import discover
from drportal.inventory.models import MirroredImage
from drportal.lab.control import LabClient
from drportal.recovery.acts.registry import ACTS
from drportal.recovery.failpoints import POINTS
from drportal.recovery.models import RecoveryPlan, Run
from drportal.recovery.salvaging import Wish
from drportal.roles import Role
from tests.faults.ledger import Deeds, deeds
from tests.faults.nursery import Death, Life, Nursery, nursery
from tests.faults.stack import CALL_DELAY_S, WatchedLab, beside_the_test
from tests.recovery.conftest import Bell, Mover
from tests.recovery.test_disaster import approved, person, requested, told
from tests.stack import wait_until

pytestmark = pytest.mark.slow

# A hundred runs of each kind take half an hour of two cores: `make kill-anywhere`. Each run of the tests has a quarter.
SHARDS, GROUPS = int(os.environ.get("DRPORTAL_KILL_SHARDS", "1")), 25
LOST_SIGHT_OF = 5  # VMs at home, before the failback
# An executor dies at the acts that its run is made of, as the registry has them. These are found done in this history:
FOUND_DONE = {
    RunKind.FAILBACK: {StepKind.IMAGE_REGISTER},  # its records at home are there
    RunKind.DISASTER_FAILOVER: {StepKind.IMAGE_FREE, StepKind.IMAGE_REGISTER_ALONE},  # no daemon holds it; from before
    RunKind.REPROTECT: {StepKind.VM_STOP_RETURNED, StepKind.IMAGE_DEMOTE_RETURNED},  # the fence did both
}
# Of the way back, which is killed at each point in test_killed_executors.py.
ELSEWHERE = {StepKind.IMAGE_PROMOTE_AGAIN, StepKind.VM_RESUME_HERE}
AT_ONCE = {StepKind.IMAGE_SALVAGE, StepKind.IMAGE_KEEP, StepKind.IMAGE_SHUT_OUT, StepKind.IMAGE_LET_IN}
NEVER_TWICE = frozenset(
    {
        "demote",
        "promote",
        "--force",
        "resync",
        "poweroff",
        "poweroff-hard",
        "terminate",
        "vm.allocate",
        "image.allocate",
    }
)


@dataclass
class Ground:
    """The lab, its groups of one VM each, and where executors come from."""

    lab: LabClient
    mover: Mover
    nursery: Nursery
    plans: list[RecoveryPlan]
    chance: random.Random
    record: Callable[[str, object], None]
    dealt: Counter[tuple[StepKind, str]] = field(default_factory=Counter)
    met: set[StepKind] = field(default_factory=set)

    def deaths(self, kind: RunKind, run: Run) -> list[Death]:
        """One or two: at a point of an act that fewest have died at, then at any moment."""
        its = {StepKind(word) for word in run.steps.values_list("kind", flat=True)}
        acts = {act for act in its if not ACTS[act].only_checks} - FOUND_DONE.get(kind, set())
        self.met |= its
        act, point = min(product(sorted(acts), POINTS), key=lambda at: (self.dealt[at], self.chance.random()))
        self.dealt[act, point] += 1
        if act in AT_ONCE and point == "P3":
            point = "P4"  # it is over in the lab before anybody could be killed beside it
        first = f"{act}:{point}"
        return [first, *(self.chance.uniform(0.05, 2.0) for _ in range(self.chance.randrange(2)))]

    def drive(self, kind: RunKind, runs: list[Run]) -> None:
        """All of them, and what must be true of each afterwards."""
        lives = [Life(run.pk, self.deaths(kind, run)) for run in runs]
        before = deeds(self.lab)
        self.nursery.live(lives)
        done = deeds(self.lab) - before
        rows = [Run.objects.get(pk=life.run_id) for life in lives]
        wrong = [told(row) for row in rows if row.state != RunState.SUCCEEDED]
        twice = {deed: times for deed, times in done.items() if times > 1 and deed[1] in NEVER_TWICE}
        figures = {
            "runs": len(rows), "killed": sum(bool(life.deaths) for life in lives),
            "deaths": sum(life.deaths for life in lives), "wrong ends": len(wrong),
            "repeated destructive commands": sum(times - 1 for times in twice.values()),
        }  # fmt: skip
        self.record(f"killed anywhere, {kind}", figures)
        assert not wrong, "\n".join(wrong)
        assert not twice, twice
        # An act that was found done already has no point to die at.
        assert sum(not life.deaths for life in lives) <= 1, "more than one was never killed"
        assert_once_each(kind, done, self.images(), self.names())

    def images(self) -> set[str]:
        return {image for plan in self.plans for image in self.mover.images(plan)}

    def names(self) -> set[str]:
        return {plan.name for plan in self.plans}

    def is_at(self, site: str, *, alone: bool = True) -> None:
        """Primary and running there and, unless the other site is dead, nowhere else."""
        for key, there in self.lab.status()["sites"].items():
            primary = {name for name, image in there["images"].items() if image["primary"] and image["mode"]}
            running = {vm["name"] for vm in there["vms"].values() if vm["state"] not in ("POWEROFF", "DONE")}
            if key == site:
                assert (primary, running) == (self.images(), self.names())
            elif alone:
                assert (primary, running) == (set(), set())


def verdicts(mover: Mover) -> set[str]:
    discover(mover.pair.pk)
    return set(MirroredImage.objects.values_list("verdict", flat=True))


def assert_once_each(kind: RunKind, done: Deeds, images: set[str], names: set[str]) -> None:
    """Every act on an image that the kind of run is made of took effect, once, and at its own site."""
    source, target = ("b", "a") if kind is RunKind.FAILBACK else ("a", "b")
    acts = {
        RunKind.PLANNED_FAILOVER: [(source, "demote"), (target, "promote")],
        RunKind.FAILBACK: [(source, "demote"), (target, "promote")],
        RunKind.DISASTER_FAILOVER: [(target, "--force")],
        RunKind.FENCE: [(source, "demote")],
        RunKind.REPROTECT: [(source, "resync")],
    }[kind]
    on_roles = Counter({deed: n for deed, n in done.items() if deed[1] in ("demote", "promote", "--force", "resync")})
    assert on_roles == Counter({(site, act, image): 1 for site, act in acts for image in images})
    if kind in (RunKind.FENCE, RunKind.REPROTECT):
        assert not [deed for deed in done if deed[0] == target], "nothing is touched where the group runs"
    if kind is RunKind.DISASTER_FAILOVER:
        assert {deed[2] for deed in done if deed[1] == "vm.allocate"} == names


@pytest.fixture(params=range(SHARDS))
def ground(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> Iterator[Ground]:
    bell = Bell()
    monkeypatch.setattr(jobs, "ring_for_run", bell.ring)
    monkeypatch.setattr(jobs, "worker_alive", lambda name="recovery": True)
    env = beside_the_test("redis://127.0.0.1:1/0")
    with (
        WatchedLab(tmp_path / "lab", "--vms", str(GROUPS)) as lab,
        nursery(env, tmp_path / "executors.log") as executors,
    ):
        for site in ("a", "b"):
            for verb in ("demote", "promote", "resync"):
                lab.client.fail(site, "command-hangs", match=f"mirror image {verb}", seconds=CALL_DELAY_S)
        mover = Mover(lab.client)
        names = sorted(vm["name"] for vm in lab.client.status()["sites"]["a"]["vms"].values())
        plans = [mover.plan(name, fence_rung=FenceRung.SHUT_OUT) for name in names]
        yield Ground(lab.client, mover, executors, plans, random.Random(request.param), record_property)


def test_runs_of_each_kind_end_right_wherever_their_executors_are_killed(ground: Ground) -> None:
    mover, plans = ground.mover, ground.plans
    ground.drive(RunKind.PLANNED_FAILOVER, [mover.ask(plan, accept_warnings=True) for plan in plans])
    ground.is_at("b")
    for plan in plans[:LOST_SIGHT_OF]:
        ground.lab.fail("a", "vm-lost-sight", vm=plan.name)
    discover(mover.pair.pk)
    ground.drive(RunKind.FAILBACK, [mover.ask(plan, RunKind.FAILBACK, accept_warnings=True) for plan in plans])
    ground.is_at("a")
    ground.lab.restore("a", "vm-lost-sight")
    wait_until("every copy at b is whole again", lambda: verdicts(mover) == {"protected"}, 120, 0.5)

    ground.lab.fail("a", "site-down")
    olga, anna = person("olga", Role.OPERATOR), person("anna", Role.APPROVER)
    runs = [requested(plan, olga) for plan in plans]
    for run in runs:
        approved(run, anna)
    ground.drive(RunKind.DISASTER_FAILOVER, runs)
    ground.is_at("b", alone=False)

    ground.lab.restore("a", "site-down")
    ground.drive(RunKind.FENCE, [mover.ask(plan, RunKind.FENCE, accept_warnings=True) for plan in plans])
    ground.is_at("b")
    ways = itertools.cycle((SalvageWay.EXPORT, SalvageWay.COPY))
    asked = [mover.ask(plan, RunKind.REPROTECT, accept_warnings=True, salvage=Wish(next(ways))) for plan in plans]
    ground.drive(RunKind.REPROTECT, asked)
    ground.is_at("b")
    forgotten = {kind for kind, act in ACTS.items() if not act.only_checks} - ground.met - ELSEWHERE
    assert not forgotten, "acts that no run here is made of: give them a run, or a test of their own"
    assert verify_database().ok
