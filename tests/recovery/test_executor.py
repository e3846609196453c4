"""Runs that really move VMs: through SSH and XML-RPC, on the embedded lab, with an executor in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.db import connection

from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.errors import Conflict
from drportal.inventory.discovery import discover
from drportal.inventory.models import MirroredImage
from drportal.recovery.models import GateCheck, ProtectionGroup, RecoveryPlan, RunImage, Step, StepAttempt
from drportal.recovery.models import Run as RunRow
from drportal.recovery.pace import Pace
from drportal.recovery.services import runs
from drportal.recovery.services.steps import step_skip
from tests.recovery.conftest import FAST, Bell, Mover, ask
from tests.stack import LabProcess
from tests.witness import PrimaryWitness

pytestmark = [pytest.mark.slow, pytest.mark.on_postgres]


@pytest.fixture
def witness(mover: Mover) -> Iterator[PrimaryWitness]:
    """Never two primaries and never a VM twice, in any test of this file, whatever goes wrong in it."""
    with PrimaryWitness(mover.lab, pause_s=0.05) as watching:
        yield watching
    watching.assert_clean(at_least=2)  # a run that is refused is over at once


@pytest.fixture(autouse=True)
def always_watched(witness: PrimaryWitness) -> None:
    """Every test of this file is watched."""


def told(run: RunRow) -> str:
    steps = "\n".join(f"{step.state} {step.key} {step.sentence}" for step in run.steps.all())
    return f"{run.state}: {run.sentence}\n{steps}"


def asked_when(ready: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Beside the executor: do ``act`` as soon as ``ready``, in a thread with its own connection."""

    def watch() -> None:
        try:
            deadline = time.monotonic() + 30
            while not ready() and time.monotonic() < deadline:
                time.sleep(0.02)
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def reached(run: RunRow, kind: str, *states: str) -> Callable[[], bool]:
    return lambda: Step.objects.filter(run=run, kind=kind, state__in=states).exists()


def test_there_and_home_again_in_both_modes_at_once(mover: Mover) -> None:
    """db-N's disks are in snapshot mode, web-N's in journal mode (mixed lab)."""
    plan = mover.plan("web-1", "db-1")
    images = mover.images(plan)
    assert modes(plan) == {"journal", "snapshot"}
    there = mover.drive(mover.ask(plan))
    assert there.state == RunState.SUCCEEDED, told(there)
    assert [mover.primary(image) for image in images] == ["b"] * 3
    assert (mover.vm_state("a", "db-1"), mover.vm_state("b", "db-1")) == ("POWEROFF", "RUNNING")
    assert ProtectionGroup.objects.get().active_site.slug == "site-b"
    assert not RunImage.objects.filter(held=True).exists()

    discover(mover.pair.pk)
    home = mover.drive(mover.ask(plan, RunKind.FAILBACK))
    assert home.state == RunState.SUCCEEDED, told(home)
    assert [mover.primary(image) for image in images] == ["a"] * 3
    assert (mover.vm_state("a", "db-1"), mover.vm_state("b", "db-1")) == ("RUNNING", None)
    assert ProtectionGroup.objects.get().active_site.slug == "site-a"
    for image in images:
        assert [mover.acts(side, verb, image) for side in "ab" for verb in ("demote", "promote")] == [1, 1, 1, 1]
    assert verify_database().ok


def modes(plan: RecoveryPlan) -> set[str]:
    images = MirroredImage.objects.filter(disks__vm__membership__group=plan.group)
    return set(images.values_list("mode", flat=True))


def test_every_act_is_in_the_trail_before_it_happens_and_what_was_shown_is_what_was_sent(mover: Mover) -> None:
    run = mover.drive(mover.ask(mover.plan("web-2")))
    assert run.state == RunState.SUCCEEDED, told(run)
    for attempt in StepAttempt.objects.filter(step__run=run).select_related("step"):
        mine = [
            entry for entry in AuditEntry.objects.filter(run_id=run.pk) if entry.payload.get("step") == attempt.step.key
        ]
        actions = [entry.action for entry in mine]
        assert actions[-2:] == ["step.begin", "step.succeed"], actions
        begin = next(entry for entry in mine if entry.action == "step.begin")
        assert begin.payload["command"] == attempt.command
        sent = attempt.answers[0]
        assert sent["command"] == attempt.command, "byte for byte"
        assert begin.at.isoformat() < sent["started_at"], "committed before it was sent"
    assert not StepAttempt.objects.filter(step__run=run, finished_at=None).exists()


def test_gates_keep_the_raw_answers_behind_them(mover: Mover) -> None:
    run = mover.drive(mover.ask(mover.plan("web-3")))
    demoted = GateCheck.objects.get(step__run=run, gate="G-DEMOTED")
    assert demoted.outcome == "met"
    commands = " ".join(answer["command"] for answer in demoted.answers)
    assert "observe-image one/" in commands
    assert " info" in commands
    assert " journal" in commands


def test_a_refused_command_stops_the_run_and_resume_goes_on(mover: Mover) -> None:
    plan = mover.plan("web-4")
    (image,) = mover.images(plan)
    mover.lab.fail("a", "command-fails", match="mirror image demote", exit=30, stderr="rbd: error", times=1)
    run = mover.drive(mover.ask(plan))
    assert run.state == RunState.PAUSED, told(run)
    assert f"Demote one/{image} at Site A" in run.sentence
    assert "stop ends the run and offers the way back" in run.sentence
    assert mover.primary(image) == "a"
    assert not Step.objects.filter(run=run, kind="image.promote").exclude(state="pending").exists()
    assert {line["where"] for line in run.standing if line["kind"] == "image"} == {"site-a"}

    runs.run_resume(run_id=run.pk, actor="olga")
    run = mover.drive(run)
    assert run.state == RunState.SUCCEEDED, told(run)
    assert mover.acts("a", "demote", image) == 1


def test_success_whose_answer_was_lost_is_found_and_not_repeated(mover: Mover) -> None:
    plan = mover.plan("db-2")
    for side, verb in (("a", "demote"), ("b", "promote")):
        mover.lab.fail(side, "command-succeeds-but-connection-drops", match=f"mirror image {verb}", times=2)
    run = mover.drive(mover.ask(plan))
    assert run.state == RunState.SUCCEEDED, told(run)
    attempts = StepAttempt.objects.filter(step__run=run, step__kind="image.demote").select_related("step")
    # The site's receipts tell: done, or, of one that shared the connection and had not begun, that it never will be.
    assert {attempt.outcome for attempt in attempts} <= {"done", "not_done"}
    images = mover.images(plan)
    done = sorted(attempt.step.subject for attempt in attempts if attempt.outcome == "done")
    assert done == [f"one/{image}" for image in images]
    for image in images:
        assert (mover.acts("a", "demote", image), mover.acts("b", "promote", image)) == (1, 1)


def test_a_creation_whose_answer_was_lost_makes_no_second_vm(mover: Mover) -> None:
    mover.lab.fail("b", "opennebula-answer-lost", match="one.vm.allocate", times=1)
    mover.lab.fail("b", "opennebula-answer-lost", match="one.image.allocate", times=1)
    run = mover.drive(mover.ask(mover.plan("web-5")))
    assert run.state == RunState.SUCCEEDED, told(run)
    assert mover.vm_state("b", "web-5") == "RUNNING"


def test_a_site_that_hangs_in_the_middle_and_comes_back_costs_only_time(mover: Mover) -> None:
    run = mover.ask(mover.plan("web-6"))

    def hang() -> None:
        mover.lab.fail("b", "site-hung")
        time.sleep(3)
        mover.lab.restore("b")

    beside = asked_when(reached(run, "image.demote", "running", "succeeded"), hang)
    run = mover.drive(run)
    beside.join()
    assert run.state == RunState.SUCCEEDED, told(run)


def test_nothing_is_started_while_a_site_hangs_and_it_says_which(mover: Mover) -> None:
    plan = mover.plan("app-5")
    mover.lab.fail("b", "site-hung")
    with pytest.raises(runs.NotReady) as caught:
        ask(plan)
    assert "Nothing was started." in caught.value.detail
    said = " ".join(finding["sentence"] for finding in caught.value.extra["findings"])
    assert "Site B" in said
    assert not RunRow.objects.exists()
    assert not RunImage.objects.exists()
    assert AuditEntry.objects.filter(action="run.refused").count() == 1


def test_pause_comes_to_rest_and_resume_reads_again(mover: Mover) -> None:
    plan = mover.plan("web-7")
    run = mover.ask(plan)
    beside = asked_when(
        reached(run, "vm.power_off", "running"), lambda: runs.run_pause(run_id=run.pk, actor="olga", reason="phone")
    )
    run = mover.drive(run)
    beside.join()
    assert run.state == RunState.PAUSED, told(run)
    assert run.lease_owner == ""
    assert mover.vm_state("a", "web-7") == "POWEROFF", "what was in flight has ended"
    assert not Step.objects.filter(run=run, kind="image.demote").exclude(state="pending").exists()
    runs.run_resume(run_id=run.pk, actor="olga")
    assert mover.drive(run).state == RunState.SUCCEEDED


def cancelled_after(mover: Mover, run: RunRow, kind: str, *states: str, pace: Pace = FAST) -> RunRow:
    beside = asked_when(reached(run, kind, *states), lambda: runs.run_cancel(run_id=run.pk, actor="olga", reason="no"))
    run = mover.drive(run, pace)
    beside.join()
    assert run.state == RunState.ABORTED, told(run)
    return run


def test_a_pause_taken_back_before_it_has_come_is_no_pause(mover: Mover) -> None:
    run = mover.ask(mover.plan("app-3"))
    mover.lab.fail("a", "command-hangs", match="mirror image demote", seconds=3)

    def there_and_back() -> None:
        runs.run_pause(run_id=run.pk, actor="olga", reason="phone")
        time.sleep(3 * FAST.flags_s)  # the executor has heard of it
        assert runs.run_get(run.pk).state == RunState.RUNNING
        runs.run_resume(run_id=run.pk, actor="olga")

    beside = asked_when(reached(run, "image.demote", "running"), there_and_back)
    run = mover.drive(run)
    beside.join()
    assert run.state == RunState.SUCCEEDED, told(run)
    assert not AuditEntry.objects.filter(run_id=run.pk, action="run.pause").exists()


@pytest.fixture
def mortal(tmp_path: Path, transactional_db: None, bell: Bell) -> Iterator[Mover]:
    """With a lab of its own, of which a site may die without harm to the other tests' images."""
    with LabProcess("embedded", tmp_path / "mortal", "--speed", "20", mode="mixed") as lab:
        yield Mover(lab.client)


def test_a_site_that_dies_in_the_middle_does_not_hold_up_what_has_to_be_done_instead(mortal: Mover) -> None:
    """What became of the act that it was given cannot be known; the group must be free for a disaster failover."""
    mover = mortal
    plan = mover.plan("app-1")
    run = mover.ask(plan)
    mover.lab.fail("a", "command-hangs", match="mirror image demote", seconds=5)

    def die_and_cancel() -> None:
        mover.lab.fail("a", "site-down")
        runs.run_cancel(run_id=run.pk, actor="olga", reason="site a is dark")

    both = Step.objects.filter(run=run, kind="image.demote", state="running")
    beside = asked_when(lambda: both.all().count() == 2, die_and_cancel)
    run = mover.drive(run)
    beside.join()
    assert run.state == RunState.FAILED, told(run)
    assert {step.state for step in run.steps.filter(kind="image.demote")} == {"unknown"}
    assert "It is not known what became of 2 acts, because a site does not answer: Demote one/" in run.sentence
    assert not RunImage.objects.filter(run=run, held=True).exists()
    runs.nothing_active(plan.group)


def test_a_cancel_waits_for_what_a_site_that_answers_can_tell(mover: Mover) -> None:
    """Longer than the patience with a silent one: an act that still goes on is not given up."""
    plan = mover.plan("app-1")
    run = mover.ask(plan)
    mover.lab.fail("a", "command-hangs", match="mirror image demote", seconds=3)
    both = Step.objects.filter(run=run, kind="image.demote", state="running")
    cancel = partial(runs.run_cancel, run_id=run.pk, actor="olga", reason="no")
    beside = asked_when(lambda: both.all().count() == 2, cancel)
    run = mover.drive(run, replace(FAST, pause_patience_s=0.5))
    beside.join()
    assert run.state == RunState.ABORTED, told(run)
    assert {step.state for step in run.steps.filter(kind="image.demote")} == {"succeeded"}
    assert [mover.acts("a", "demote", name) for name in mover.images(plan)] == [1, 1]


def test_no_copy_is_retired_while_its_vm_does_not_run_at_home(mover: Mover) -> None:
    """Also when a person has passed over the start: the copy is what could be gone back to."""
    plan = mover.plan("app-2")
    assert mover.drive(mover.ask(plan)).state == RunState.SUCCEEDED
    discover(mover.pair.pk)
    run = mover.ask(plan, RunKind.FAILBACK)
    mover.lab.fail("a", "opennebula-refuses", match="one.vm.action", code=0x800, text="not today", times=100)
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    start = run.steps.get(kind="vm.start")
    step_skip(run_id=run.pk, step_id=start.pk, actor="olga", reason="started by hand later")
    if runs.run_get(run.pk).state == RunState.PAUSED:
        runs.run_resume(run_id=run.pk, actor="olga")
    run = mover.drive(run, replace(FAST, gate_patience_s=2.0))
    assert run.state == RunState.PAUSED, told(run)
    assert "At the other side the VM is POWEROFF" in run.sentence
    assert mover.vm_state("b", "app-2") == "POWEROFF", "it is still there"


def test_cancel_says_where_all_stands_and_the_way_back_brings_it_home(mover: Mover) -> None:
    """The demotion never arrives (its daemon is down), so the target stays what it was."""
    plan = mover.plan("db-3")
    run = mover.ask(plan)
    stop = asked_when(
        reached(run, "image.demote", "running", "succeeded"), lambda: mover.lab.fail("b", "rbd-mirror-down")
    )
    run = cancelled_after(mover, run, "image.promote", "waiting")
    stop.join()
    images = mover.images(plan)
    assert {mover.primary(image) for image in images} <= {"", "a"}, "nothing was promoted at the target"
    assert {line["name"]: line["where"] for line in run.standing}["db-3"] == "nowhere"
    assert not RunImage.objects.filter(held=True).exists()
    assert runs.why_no_way_back(run) == ""

    mover.lab.restore("b")
    back, _ = runs.way_back_request(run_id=run.pk, phrase="take db-3 back to site-a", request_key="back", actor="olga")
    back = mover.drive(back)
    assert back.state == RunState.SUCCEEDED, told(back)
    assert {mover.primary(image) for image in images} == {"a"}
    assert mover.vm_state("a", "db-3") == "RUNNING"
    assert "taken back already" in runs.why_no_way_back(runs.run_get(run.pk))


def test_the_way_back_leaves_alone_what_is_primary_at_the_target(mover: Mover) -> None:
    plan = mover.plan("web-8")
    (image,) = mover.images(plan)
    run = mover.ask(plan)
    mover.lab.fail("b", "opennebula-refuses", match="one.image.allocate", code=0x800, text="not today", times=100)
    run = mover.drive(run)
    assert run.state == RunState.PAUSED, told(run)
    runs.run_cancel(run_id=run.pk, actor="olga")
    run = mover.drive(run)
    assert (run.state, mover.primary(image)) == (RunState.ABORTED, "b")
    with pytest.raises(Conflict) as caught:
        runs.way_back_request(run_id=run.pk, phrase="take web-8 back to site-a", request_key="back2", actor="olga")
    assert "primary at site-b" in caught.value.detail
    assert mover.primary(image) == "b"


def test_a_stale_executor_writes_and_sends_nothing_more(mover: Mover, bell: Bell) -> None:
    """Somebody else takes the run over in the middle: the first one stops at once; the second one ends it."""
    plan = mover.plan("web-9")
    run = mover.ask(plan)

    def steal() -> None:
        RunRow.objects.filter(pk=run.pk).update(fence=99, lease_owner="thief")

    beside = asked_when(reached(run, "vm.power_off", "running"), steal)
    stopped = mover.drive(run)
    beside.join()
    assert (stopped.state, stopped.fence, stopped.lease_owner) == (RunState.RUNNING, 99, "thief")
    version = stopped.version
    time.sleep(1)
    assert runs.run_get(run.pk).version == version
    RunRow.objects.filter(pk=run.pk).update(lease_until=None)
    assert mover.drive(run).state == RunState.SUCCEEDED
    (image,) = mover.images(plan)
    assert (mover.acts("a", "demote", image), mover.acts("b", "promote", image)) == (1, 1)


def test_a_changed_host_key_stops_the_run_and_nothing_is_sent(mover: Mover) -> None:
    plan = mover.plan("web-10")
    run = mover.ask(plan)
    mover.lab.fail("a", "wrong-host-key")
    run = mover.drive(run, replace(FAST, gate_patience_s=3.0))  # it would not become readable by waiting
    assert run.state == RunState.PAUSED, told(run)
    (image,) = mover.images(plan)
    assert mover.acts("a", "demote", image) == 0
    assert mover.vm_state("a", "web-10") == "RUNNING"
