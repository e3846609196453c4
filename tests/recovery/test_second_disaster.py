"""One trouble after another, the same on both labs: a site hangs instead of dying, wakes up with its VMs running, its
copies are made anew with interruptions, and in the middle of going home it is lost again, for good.

One story, because on real Ceph each turn takes a minute of its beats. Both modes of mirroring are in the group.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from drportal.audit.check import verify_database
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.engine.states import RunState
from drportal.errors import Conflict
from drportal.inventory.models import MirroredImage, Site, VirtualMachine
from drportal.recovery.models import ProtectionGroup, Quarantine, RecoveryPlan, Run, StepAttempt
from drportal.recovery.pace import Pace
from drportal.recovery.salvaging import Wish
from drportal.recovery.services import disaster, runs
from drportal.roles import Role
from tests.recovery.conftest import FAST, Bell, Mover, ask
from tests.recovery.test_disaster import approved, person, requested, told
from tests.recovery.test_quarantine import Polls, by_hand
from tests.recovery.test_trouble_on_trouble import meanwhile, verdicts
from tests.stack import LabProcess, wait_until
from tests.witness import PrimaryWitness

pytestmark = pytest.mark.slow
# Slow enough that what comes second comes in the middle.
SPEED: dict[str, list[str]] = {"embedded": ["--speed", "5"], "ceph": []}
PACE = {"embedded": FAST, "ceph": Pace()}
PATIENCE_S = 240.0  # of the tests; Ceph's own beat is 30 s
HUNG_WITHIN_S = 120.0  # request, and two VMs in turn: its silence is waited for once (10 s, 15 s), not in each step


@dataclass
class Ground:
    """A lab, and one group of a journal VM and a snapshot VM."""

    mover: Mover
    pace: Pace
    plan: RecoveryPlan

    def __post_init__(self) -> None:
        self.lab = self.mover.lab
        self.images = self.mover.images(self.plan)
        rows = MirroredImage.objects.filter(name__in=self.images)
        self.modes = dict(rows.values_list("name", "mode"))
        self.keys = {name: str(pk) for name, pk in rows.values_list("name", "pk")}

    def drive(self, run: Run) -> Run:
        return self.mover.drive(run, self.pace)

    def succeeds(self, kind: RunKind, **given: Any) -> Run:
        self.plan.refresh_from_db()
        run = self.drive(self.mover.ask(self.plan, kind, accept_warnings=True, patience_s=PATIENCE_S, **given))
        assert run.state == RunState.SUCCEEDED, told(run)
        return run

    def written(self, side: str, word: str) -> dict[str, str]:
        """What its VMs write there, once the other side has it: image -> checksum."""
        for name in self.images:
            self.lab.write(side, name, f"{word} {name}")
            if self.modes[name] == "snapshot":
                self.mover.by_hand(side, "rbd", "mirror", "image", "snapshot", f"one/{name}")
        wanted = self.held(side)
        other = "b" if side == "a" else "a"
        wait_until(f"site {other} has what {side} has", lambda: self.held(other) == wanted, PATIENCE_S, 2.0)
        return wanted

    def held(self, side: str) -> dict[str, str]:
        return {name: self.lab.checksum(side, name) for name in self.images}

    def seen_as(self, *words: str) -> None:
        said = f"the images are {' or '.join(words)}"
        wait_until(said, lambda: verdicts(self.mover, self.plan) <= set(words), PATIENCE_S, 1.0)

    def running(self) -> list[tuple[str | None, str | None]]:
        names = [vm.name for vm in self.vms()]
        return [(self.mover.vm_state("a", name), self.mover.vm_state("b", name)) for name in names]

    def vms(self) -> list[VirtualMachine]:
        return [member.vm for member in self.plan.group.members.select_related("vm").order_by("vm__name")]

    def active(self) -> str:
        return str(ProtectionGroup.objects.get(pk=self.plan.group_id).active_site.slug)

    def step(self, run: Run, kind: str, image: str, state: str) -> None:
        steps = run.steps.filter(kind=kind, params__image=self.keys[image], state=state)
        wait_until(f"{kind} of {image} is {state}", lambda: steps.all().exists(), PATIENCE_S, 0.05)


@pytest.fixture(params=["embedded", pytest.param("ceph", marks=pytest.mark.ceph)])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, transactional_db: None, bell: Bell, require_ceph: None
) -> Iterator[Ground]:
    kind = request.param
    with LabProcess(kind, tmp_path / "lab", *SPEED[kind], vms=2, mode="mixed") as lab:
        mover = Mover(lab.client)
        yield Ground(mover, PACE[kind], mover.plan("web-1", "db-1", fence_rung=3, in_turn=True))


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:6.1f} s  {what}")


def test_one_trouble_after_another(ground: Ground) -> None:
    olga, anna = person("olga", Role.OPERATOR), person("anna", Role.APPROVER)
    with timed("protected, and written"):
        ground.seen_as("protected")
        sent = ground.written("a", "before")
    with timed("a hangs, and the group is forced to b"):
        a_site_that_hangs_is_failed_over(ground, olga, anna)
    assert ground.held("b") == sent
    with timed("a wakes up and is fenced"):
        fork = it_wakes_up_with_its_vms_running_and_is_fenced(ground)
    with timed("its copies are made anew, with interruptions"), PrimaryWitness(ground.lab, 0.5) as witness:
        kept = its_copies_are_made_anew_although_interrupted(ground)
    assert witness.looks > 3
    assert not witness.two_primaries, "nothing made a second primary"
    assert ground.lab.checksum("a", kept) == fork, "what was only there outlives the discard"
    with timed("the survivor writes on"):
        ground.seen_as("protected_reversed", "behind")
        away = ground.written("b", "away")
        ground.seen_as("protected_reversed")
    with timed("home is lost in the middle of going home"):
        home_is_lost_in_the_middle_of_going_home(ground)
    with timed("the group is forced back to where it was demoted"):
        it_is_forced_back_to_where_it_was_demoted(ground, olga, anna)
    assert ground.held("b") == away
    with timed("a is back once more, and whole again"):
        ground.lab.restore("a")
        ground.succeeds(RunKind.FENCE)
        ground.succeeds(RunKind.REPROTECT)
        ground.seen_as("protected_reversed", "behind")
    assert ground.held("b") == away
    wait_until("both hold the same", lambda: ground.held("a") == away, PATIENCE_S, 2.0)
    assert verify_database().ok


def a_site_that_hangs_is_failed_over(ground: Ground, olga: User, anna: User) -> None:
    """It accepts connections and never answers; the mirror daemon at b clings to it."""
    ground.lab.fail("a", "site-hung")
    began = time.monotonic()
    run = requested(ground.plan, olga)
    approved(run, anna)
    run = ground.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert time.monotonic() - began < HUNG_WITHIN_S, told(run)
    forced = StepAttempt.objects.filter(step__run=run, step__kind="image.force_promote")
    assert forced.count() == len(ground.images), "each once"
    assert not StepAttempt.objects.filter(step__run=run, step__site__slug="site-a").exists(), "nothing is sent there"
    assert [b for _, b in ground.running()] == ["RUNNING"] * 2
    assert ground.active() == "site-b"


def it_wakes_up_with_its_vms_running_and_is_fenced(ground: Ground) -> str:
    """Returns the checksum of what the first image held there alone."""
    polls = Polls(ground.mover.pair.pk)
    polls.round()
    assert Quarantine.objects.get().state.value == "waiting"
    ground.lab.restore("a")

    def found() -> set[str]:
        polls.round()
        return {sign["kind"] for sign in Quarantine.objects.get().signs}

    wait_until("its VMs, roles and watchers are seen", lambda: found() >= {"runs_twice", "writable", "held_open"}, 60)
    assert ground.running() == [("RUNNING", "RUNNING")] * 2
    for name in ground.images:
        ground.lab.write("a", name, f"only at a {name}")
    fork = ground.lab.checksum("a", ground.images[0])
    for name in ground.images:
        ground.lab.write("b", name, f"at the survivor {name}")
    with pytest.raises(Conflict, match="Return quarantine"):
        ask(ground.plan, RunKind.FAILBACK)

    run = ground.succeeds(RunKind.FENCE)
    assert ground.running() == [("POWEROFF", "RUNNING")] * 2
    assert not run.steps.filter(kind="image.resync").exists(), "nothing is discarded"
    for vm in ground.vms():
        with pytest.raises(Exception, match="is locked"):
            by_hand(ground.mover, RecoveryPlan(name=vm.name), "resume")
    polls.round()
    assert not Quarantine.objects.get().signs
    return fork


def its_copies_are_made_anew_although_interrupted(ground: Ground) -> str:
    """The daemon that copies dies, then the site from which it is copied hangs; each image is discarded once. Returns
    the name of the copy that was kept of the first."""
    Site.objects.filter(slug="site-a").update(salvage_dir=ground.lab.description.sites["a"].salvage)
    first, *others = ground.images
    ways = {ground.keys[first]: SalvageChoice(SalvageWay.COPY)}
    ways |= {ground.keys[others[-1]]: SalvageChoice(SalvageWay.WAIVE, "only caches")}
    ground.plan.refresh_from_db()
    wish = Wish(SalvageWay.EXPORT, ways)
    run = ground.mover.ask(ground.plan, RunKind.REPROTECT, accept_warnings=True, patience_s=PATIENCE_S, salvage=wish)

    def trouble() -> None:
        for name in ground.images:
            ground.step(run, "image.resync", name, "succeeded")
        ground.lab.fail("a", "rbd-mirror-down")
        with pytest.raises(Conflict) as caught:
            ask(ground.plan, RunKind.FAILBACK)
        assert caught.value.code == "run_active", "nothing demotes the only good copy meanwhile"
        ground.lab.fail("b", "site-hung")
        said = run.steps.filter(sentence__contains="Site B, from which it is copied, can't be read")
        wait_until("it waits in words", lambda: said.all().exists(), 120, 0.3)
        assert Run.objects.get(pk=run.pk).state == RunState.RUNNING
        ground.lab.restore("b")
        ground.lab.restore("a", "rbd-mirror-down")

    with meanwhile(trouble, PATIENCE_S):
        run = ground.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    sent = StepAttempt.objects.filter(step__run=run)
    assert sent.filter(step__kind="image.resync").count() == len(ground.images), "each is discarded once"
    assert not sent.filter(step__site__slug="site-b").exists(), "at the survivor nothing acts"
    assert {ground.mover.primary(name) for name in ground.images} == {"b"}
    wait_until("both hold the same", lambda: ground.held("a") == ground.held("b"), PATIENCE_S, 2.0)
    there = ground.lab.status()["sites"]["a"]["images"]
    (kept,) = [name for name in there if name.startswith(f"{first}.kept-")]
    return kept


def home_is_lost_in_the_middle_of_going_home(ground: Ground) -> None:
    """What is mirrored by snapshots was promoted there already, what is mirrored by a journal is on its way."""
    home = ground.mover.ask(ground.plan, RunKind.FAILBACK, accept_warnings=True, patience_s=PATIENCE_S)
    quick = [name for name in ground.images if ground.modes[name] == "snapshot"]

    def a_dies() -> None:
        for name in ground.images:
            ground.step(home, "image.demote", name, "succeeded")
        for name in quick:
            ground.step(home, "image.promote", name, "succeeded")
        ground.lab.fail("a", "site-down", power="lost")
        ground.lab.fail("b", "rbd-mirror-down")
        runs.run_cancel(run_id=home.pk, actor="olga", reason="it burns again")

    with meanwhile(a_dies, PATIENCE_S), PrimaryWitness(ground.lab, 0.5) as witness:
        home = ground.drive(home)
    assert not witness.two_primaries
    assert home.state in (RunState.ABORTED, RunState.FAILED), told(home)
    print("where it stood:", {name: ground.mover.primary(name) for name in ground.images})
    assert ground.active() == "site-b"
    with pytest.raises(runs.NotReady, match="ask for a disaster failover"):
        runs.way_back_request(
            run_id=home.pk, phrase=f"take {ground.plan.group.name} back to site-b", request_key="back", actor="olga"
        )


def it_is_forced_back_to_where_it_was_demoted(ground: Ground, olga: User, anna: User) -> None:
    """With a dead mirror daemon there. No VM is at a, whatever it had begun."""
    door = disaster.disaster_door(ground.plan.pk)
    assert (door.source.slug, door.target.slug, door.blockers) == ("site-a", "site-b", ())
    losses = {image["name"].removeprefix("one/"): image["loss"] for image in door.content["images"].values()}
    assert all("was primary here until run" in said for said in losses.values()), losses
    run = requested(ground.plan, olga)
    approved(run, anna)
    run = ground.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert [b for _, b in ground.running()] == ["RUNNING"] * 2
    assert ground.active() == "site-b"
    ground.lab.restore("b")
