"""A second thing goes wrong while the first is being mended: on the embedded lab, with an executor in this process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from drportal.audit.check import verify_database
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.errors import Conflict
from drportal.inventory.discovery import discover
from drportal.inventory.models import MirroredImage
from drportal.recovery.models import ProtectionGroup, RecoveryPlan, Run
from drportal.recovery.services import disaster, runs
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import approved, person, requested, told
from tests.stack import wait_until

pytestmark = pytest.mark.slow
numbers = itertools.count(1)


@contextmanager
def meanwhile(act: Callable[[], None], patience_s: float = 60.0) -> Iterator[None]:
    """Beside the block, on a thread and a connection of its own; what it raises is raised at the end."""
    troubles: list[BaseException] = []

    def do() -> None:
        try:
            act()
        except BaseException as error:
            troubles.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=do)
    thread.start()
    yield
    thread.join(patience_s)
    if troubles:
        raise troubles[0]


def step_is(run: Run, kind: str, *states: str) -> None:
    steps = run.steps.filter(kind=kind, state__in=states)
    wait_until(f"a step {kind} is {states}", lambda: steps.all().exists(), 60, 0.02)


def verdicts(mover: Mover, plan: RecoveryPlan) -> set[str]:
    discover(mover.pair.pk)
    rows = MirroredImage.objects.filter(disks__vm__membership__group=plan.group)
    return set(rows.values_list("verdict", flat=True))


def lost(mover: Mover, plan: RecoveryPlan) -> Run:
    """Site a dies, and two people force the group to b."""
    mover.lab.fail("a", "site-down")
    run = requested(plan, person("olga", Role.OPERATOR))
    approved(run, person("anna", Role.APPROVER))
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    return run


def made_whole(mover: Mover, plan: RecoveryPlan, trouble: Callable[[Run], None] = lambda run: None) -> Run:
    """Site a is back, and its copies are made anew."""
    mover.lab.restore("a")
    wait_until("both sides are seen to be primary", lambda: verdicts(mover, plan) == {"two_primaries"}, 60)
    plan.refresh_from_db()
    run = mover.ask(plan, RunKind.REPROTECT, accept_warnings=True)
    with meanwhile(lambda: trouble(run)):
        run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    wait_until("protected again", lambda: verdicts(mover, plan) <= {"protected_reversed", "behind"}, 60)
    return run


def forced_home(mover: Mover, plan: RecoveryPlan) -> Run:
    """Site b is lost, and two people bring the group up at a."""
    plan.refresh_from_db()
    door = disaster.disaster_door(plan.pk)
    assert (door.source.slug, door.target.slug, door.blockers) == ("site-b", "site-a", ())
    bert, carla = person("bert", Role.OPERATOR), person("carla", Role.APPROVER)
    asked, _ = disaster.disaster_request(
        plan_id=plan.pk, plan_version=plan.version, phrase=door.phrase, reason="now b burns",
        attestation="bert had its power cut", request_key="the second disaster", user=bert,
    )  # fmt: skip
    approved(asked, carla)
    run = mover.drive(asked)
    assert run.state == RunState.SUCCEEDED, told(run)
    return run


def test_the_target_is_lost_for_good_in_the_middle_of_a_planned_move(mover: Mover) -> None:
    """The way back needs to read it. What was demoted is forced where it was; what never left is only started."""
    number = next(numbers)
    plan = mover.plan(f"web-{number}", f"app-{number}")
    *handed_over, stayed = mover.images(plan)
    mover.lab.fail("a", "command-fails", match=f"demote one/{stayed}", exit=1, stderr="rbd: no")
    run = mover.drive(mover.ask(plan))
    for _ in range(3):  # it stops at the first error: the others may not have begun
        assert run.state == RunState.PAUSED, told(run)
        if "a" not in {mover.primary(image) for image in handed_over}:
            break
        runs.run_resume(run_id=run.pk, actor="olga")
        run = mover.drive(run)
    mover.lab.fail("b", "site-down")
    runs.run_cancel(run_id=run.pk, actor="olga", reason="b burns")
    run = mover.drive(run)
    assert run.state in (RunState.ABORTED, RunState.FAILED), told(run)
    with pytest.raises(runs.NotReady, match="ask for a disaster failover"):
        phrase = f"take {plan.group.name} back to site-a"
        runs.way_back_request(run_id=run.pk, phrase=phrase, request_key="back", actor="olga")

    door = disaster.disaster_door(plan.pk)
    losses = {image["name"].removeprefix("one/"): image["loss"] for image in door.content["images"].values()}
    assert all("was primary here until run" in losses[image] for image in handed_over), losses
    assert losses[stayed] == "Primary here all along, at home: it loses nothing."
    forced_home(mover, plan)
    assert [mover.vm_state("a", name) for name in (f"web-{number}", f"app-{number}")] == ["RUNNING"] * 2
    assert [mover.acts("a", "promote --force", image) for image in handed_over] == [1] * len(handed_over)
    assert mover.acts("a", "promote --force", stayed) == 0
    assert {mover.primary(image) for image in (*handed_over, stayed)} <= {"a", "ab"}
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-a"


def test_a_dead_mirror_daemon_does_not_hold_up_a_disaster(mover: Mover) -> None:
    """It had copied all there was; its words are old, and what was shown before it died counts."""
    plan = mover.plan(f"db-{next(numbers)}", f"web-{next(numbers)}")
    images = mover.images(plan)
    wait_until("protected", lambda: verdicts(mover, plan) <= {"protected", "behind"}, 60)
    for image in images:
        mover.lab.write("a", image, f"before {image}")
    wanted = {image: mover.lab.checksum("a", image) for image in images}
    wait_until("all is at b", lambda: all(mover.lab.checksum("b", i) == wanted[i] for i in images), 60)
    mover.lab.fail("b", "rbd-mirror-down")
    run = lost(mover, plan)
    assert {mover.lab.checksum("b", image) for image in images} == set(wanted.values())
    assert {mover.vm_state("b", vm["name"]) for vm in run.plan_copy["vms"]} == {"RUNNING"}
    mover.lab.restore("b")


def test_the_survivor_is_lost_in_the_middle_of_going_home(mover: Mover) -> None:
    """The demotion has come home or it has not; either way the run can be ended, and two people bring the VM up."""
    plan = mover.plan(f"web-{next(numbers)}")
    (image,) = mover.images(plan)
    lost(mover, plan)
    made_whole(mover, plan)
    mover.lab.write("b", image, "what the survivor wrote")
    written = mover.lab.checksum("b", image)
    wait_until("it is at home", lambda: mover.lab.checksum("a", image) == written, 60)
    home = mover.ask(plan, RunKind.FAILBACK, accept_warnings=True)
    mover.lab.fail("b", "command-hangs", match="mirror image demote", seconds=0.5)

    def the_survivor_dies() -> None:
        step_is(home, "image.demote", "running")
        mover.lab.fail("b", "site-down")
        runs.run_cancel(run_id=home.pk, actor="olga", reason="the other site burns now")

    with meanwhile(the_survivor_dies):
        home = mover.drive(home)
    assert home.state in (RunState.ABORTED, RunState.FAILED), told(home)

    plan.refresh_from_db()
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-b"
    forced_home(mover, plan)
    assert mover.vm_state("a", plan.name) == "RUNNING"
    assert mover.lab.checksum("a", image) == written
    assert ProtectionGroup.objects.get(pk=plan.group_id).active_site.slug == "site-a"
    assert verify_database().ok


def test_the_only_good_copy_is_lost_while_it_is_copied(mover: Mover) -> None:
    """What is half made anew is no copy: nobody may force it. When the survivor is back the re-copy goes on."""
    plan = mover.plan(f"db-{next(numbers)}")
    images = mover.images(plan)
    lost(mover, plan)
    mover.lab.restore("a")
    wait_until("both sides are seen to be primary", lambda: verdicts(mover, plan) == {"two_primaries"}, 60)
    plan.refresh_from_db()
    run = mover.ask(plan, RunKind.REPROTECT, accept_warnings=True)

    def the_survivor_dies() -> None:
        step_is(run, "image.follows", "waiting")
        mover.lab.fail("a", "rbd-mirror-down")  # so that the copy is surely not whole when its source goes
        mover.lab.fail("b", "site-down", power="lost")
        said = run.steps.filter(sentence__contains="Site B, from which it is copied, can't be read")
        wait_until("it waits in words", lambda: said.all().exists(), 60, 0.3)
        runs.run_cancel(run_id=run.pk, actor="olga", reason="b is gone")

    with meanwhile(the_survivor_dies):
        run = mover.drive(run)
    assert run.state in (RunState.ABORTED, RunState.FAILED), told(run)
    plan.refresh_from_db()
    with pytest.raises(Conflict, match="Return quarantine") as caught:
        requested(plan, person("bert", Role.OPERATOR))
    assert caught.value.code == "return_quarantine"
    assert [mover.acts("a", "promote --force", image) for image in images] == [0] * len(images)

    mover.lab.restore("b")
    mover.lab.restore("a")
    plan.refresh_from_db()
    again = mover.drive(mover.ask(plan, RunKind.REPROTECT, accept_warnings=True))
    assert again.state == RunState.SUCCEEDED, told(again)
    assert {mover.primary(image) for image in images} == {"b"}
    assert [mover.acts("b", "resync", image) for image in images] == [0] * len(images), "the only good copy"
