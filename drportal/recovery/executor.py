"""Drives one run as one asyncio program: takes the lease, starts steps as their needs are done, brings the run to rest.

Whatever goes wrong with the lease or the database, the answer is the same: stop, send nothing more, write nothing more.
The sweep
starts another executor, and that one begins by looking.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from asgiref.sync import sync_to_async

from drportal.audit.record import Fact
from drportal.engine.approvals import Misfit
from drportal.engine.going_on import given_up, may_begin
from drportal.engine.plans import RunKind
from drportal.engine.states import RunEvent, RunState, StepState, next_run_state
from drportal.events import apublish
from drportal.recovery import changes, losses, quarantine, warrants
from drportal.recovery import lease as leases
from drportal.recovery.lease import Lease, LeaseLost
from drportal.recovery.loading import Loaded, load, open_world
from drportal.recovery.made_primary import forced_by, handed_over_at, ours_at
from drportal.recovery.models import Run
from drportal.recovery.pace import Pace, pace_from_environment
from drportal.recovery.plan_copy import UnreadablePlanCopy
from drportal.recovery.recorder import Change, Flags, Recorder
from drportal.recovery.rest import cut_short_sentence, final_sentence, read_standing, resting_sentence
from drportal.recovery.step_runner import Control, History, StepRunner
from drportal.recovery.step_writer import StepRow
from drportal.recovery.stumbles import note_stumble

logger = logging.getLogger(__name__)
FINISHED = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
IN_DOUBT = frozenset({StepState.RUNNING, StepState.UNKNOWN})
CANCEL_AGAIN_S = 2.0
# The loop and the database's thread take turns: with Python's own 5 ms, each time the loop has waited for anything it
# waits so long again while that thread reckons.
SWITCH_S = 0.0005


def drive(run_id: int, pace: Pace | None = None) -> str:
    """Drive the run until it rests.

    Returns the state it was left in, or a word why it was not driven. For the RQ job; blocks.
    """
    sys.setswitchinterval(SWITCH_S)
    return asyncio.run(drive_here(run_id, pace or pace_from_environment()))


async def drive_here(run_id: int, pace: Pace) -> str:
    lease = await sync_to_async(leases.take, thread_sensitive=False)(
        run_id, leases.owner_name(os.getpid()), pace.lease_s
    )
    if lease is None:
        return "not to be driven, or driven by somebody else"
    driver = RunDriver(lease, pace)
    try:
        return await driver.drive()
    except LeaseLost as lost:
        logger.warning("run %s: stopped at once: %s", run_id, lost)
        return "lease lost"
    except Exception as error:
        logger.exception("run %s: its executor ended by a fault of its own", run_id)
        await sync_to_async(note_stumble, thread_sensitive=False)(lease, pace.lease_s, error)
        return "stumbled"


class RunDriver:
    """One lease of one run."""

    def __init__(self, lease: Lease, pace: Pace) -> None:
        self.lease, self.pace = lease, pace
        self.control, self.history = Control(), History()
        self.flags: Flags | None = None
        self.recorder = Recorder(lease, pace.lease_s, self._on_flags, self._on_news)
        self.news = asyncio.Event()
        self.wake = asyncio.Event()
        self.error_at: StepRow | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.tasks: dict[str, asyncio.Task[StepState]] = {}
        self.let_go: set[str] = set()  # steps whose outcome is left unknown, because nobody can tell it
        self.run: Loaded

    async def drive(self) -> str:
        self.recorder.start()
        beside = [asyncio.ensure_future(work()) for work in (self._keep_lease, self._watch_flags, self._send_hints)]
        main = asyncio.ensure_future(self._main())
        try:
            # If the lease or the database is gone, one of these ends with an error: then everything ends at once.
            await asyncio.wait([main, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in (main, *beside):
                if task.done():
                    return str(task.result())
            raise AssertionError("unreachable")
        finally:
            await _end({main, *beside, *self.tasks.values()})
            self.recorder.stop()
            await apublish(f"run:{self.lease.run_id}")
            await apublish("runs")
            await apublish("overview")

    # --- beside the steps

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self.pace.lease_s / 4)
            await self.recorder.renew()

    async def _watch_flags(self) -> None:
        while True:
            await asyncio.sleep(self.pace.flags_s)
            self.lease.check()
            await self.recorder.look()

    async def _send_hints(self) -> None:
        while True:
            await self.news.wait()
            self.news.clear()
            await apublish(f"run:{self.lease.run_id}")
            await asyncio.sleep(self.pace.hint_s)

    def _on_news(self) -> None:
        self.news.set()

    def _on_flags(self, flags: Flags) -> None:
        self.flags = flags
        if flags.pause_asked or flags.cancel_asked:
            self.control.halt.set()
            self.wake.set()
        elif self.control.halt.is_set() and self.error_at is None and flags.state == RunState.RUNNING:
            # A pause that was taken back before it had come: go on as if nobody had asked.
            self._stop_timer()
            self.control.halt.clear()
            self.control.hurry.clear()
            self.wake.set()

    # --- the run

    async def _main(self) -> str:
        await self.recorder.renew()  # and so learn at once what people asked
        try:
            self.run = await self.recorder.read(lambda: load(self.lease.run_id, self.history))
            self.control.on_hold = self.run.on_hold
        except UnreadablePlanCopy as error:
            return await self._cannot_read(str(error))
        world, closers = await self.recorder.read(lambda: open_world(self.run, self.pace))
        self.world = world
        news = asyncio.ensure_future(world.news.run()) if world.news is not None else None
        try:
            if self.run.kind == RunKind.DISASTER_FAILOVER and (wrong := await self._take_warrant()):
                return await self._give_up(wrong.sentence.rstrip("."), self._lapses(wrong))
            if self.run.kind in (RunKind.REPROTECT, RunKind.FENCE):
                await self._ready_to_measure()
            if self.run.kind == RunKind.DISASTER_FAILOVER:
                world.source.expect_silence()  # or nobody would have said yes
            await self._begin()
            while (end := await self._to_rest()) is None:
                pass
            return end
        finally:
            if news is not None:
                news.cancel()
            for close in closers:
                await close()

    async def _take_warrant(self) -> Misfit | None:
        """Before a disaster begins: why its approval cannot be used; None when it can."""
        run_id = self.run.id
        wrong = None
        if self.run.state is RunState.APPROVED:
            wrong = await self.recorder.read(lambda: warrants.why_not_usable(run_id))
        elif await self.recorder.read(lambda: warrants.was_given(run_id)):
            await self._take_new_warrant()
        self.world.approval = lambda: self.recorder.read(lambda: warrants.facts_of_run(run_id))
        target, plan = self.run.target, self.run.plan
        keys = [image.key for image in plan.images()]
        self.world.made_primary = lambda: self.recorder.read(lambda: ours_at(target, plan))
        self.world.handed_over = await self.recorder.read(lambda: handed_over_at(target, keys))
        self.world.shown_whole = await self.recorder.read(lambda: warrants.shown_whole(run_id))
        return wrong

    async def _ready_to_measure(self) -> None:
        run_id, source, keys = self.run.id, self.run.source, [image.key for image in self.run.plan.images()]
        seen = await self.recorder.read(lambda: losses.evidence_of(source, keys))
        snapshots = {key: image.get("replicated_snapshot") for key, image in seen.items()}
        self.world.replicated_snapshots = {key: snap for key, snap in snapshots.items() if snap is not None}
        self.world.keep_loss = lambda key, loss, said: self.recorder.write(losses.kept(run_id, key, loss, said))

    async def _take_new_warrant(self) -> None:
        """One that was given in the middle. Where it can't be used the run goes on by the old one, that is, its gates
        refuse what needs a yes."""
        if wrong := await self.recorder.read(lambda: warrants.why_not_usable(self.run.id)):
            await self.recorder.write(self._lapses(wrong))
            return
        fact = Fact("approval.use", f"run {self.run.id}", self.run.actor, {}, self.run.id)
        await self.recorder.write(warrants.used(self.run.id), facts=[fact])

    def _lapses(self, wrong: Misfit) -> Change:
        run_id = self.run.id
        event = warrants.lapse_event(wrong)
        return lambda: warrants.lapse(run_id, event, wrong.code, wrong.sentence, "executor")

    async def _begin(self) -> None:
        if self.run.state is RunState.APPROVED:
            uses = [warrants.used(self.run.id)] if self.run.kind == RunKind.DISASTER_FAILOVER else []
            await self._run_event(RunEvent.START, "Running.", *uses, started_at=self.world.clock())
        else:
            await self.recorder.write(changes.taken_up_again(self.run.id))
        if self._cancel_asked():
            await self._run_event(RunEvent.CANCEL, "Cancelling: no new step begins; what is in flight is waited for.")
        if self.run.state is RunState.CANCELLING:
            self.control.halt.set()

    async def _to_rest(self) -> str | None:
        """The state in which the run came to rest; None when people have asked for something else meanwhile."""
        await self._conduct()
        await self.recorder.look()
        await self._heed()
        self._start_ready()
        return None if self.tasks else await self._come_to_rest()

    async def _conduct(self) -> None:
        """Until nothing is in flight and nothing may begin."""
        while True:
            self._start_ready()
            if not self.tasks:
                return
            waker = asyncio.ensure_future(self.wake.wait())
            await asyncio.wait([*self.tasks.values(), waker], return_when=asyncio.FIRST_COMPLETED)
            waker.cancel()
            self.wake.clear()
            await self._collect()
            await self._heed()

    def _start_ready(self) -> None:
        finished = {step.key for step in self.run.steps if step.state in FINISHED}
        lost = self._lost()
        past = lost | finished
        for step in self.run.steps:
            if step.key in self.tasks or step.state in FINISHED or step.state is StepState.FAILED:
                continue
            in_doubt = step.state in IN_DOUBT
            if in_doubt or (not self.control.halt.is_set() and may_begin(step, past, lost)):
                runner = StepRunner(
                    self.world, step, self.lease, self.recorder, self.control, self.history, self.run.actor
                )
                if step.key in self.let_go or (in_doubt and self.control.hurry.is_set()):
                    continue
                self.tasks[step.key] = asyncio.ensure_future(runner.perform())

    def _lost(self) -> frozenset[str]:
        """What is passed over: VMs on hold; in a disaster also what has failed, where another run stops at once."""
        held = frozenset(
            step.key for step in self.run.steps if step.vm_key in self.run.on_hold and step.state not in FINISHED
        )
        if self.run.kind != RunKind.DISASTER_FAILOVER:
            return held
        return held | given_up(self.run.steps, [step.key for step in self.run.steps if step.state is StepState.FAILED])

    async def _collect(self) -> None:
        for key, task in list(self.tasks.items()):
            if not task.done():
                continue
            del self.tasks[key]
            if task.result() in IN_DOUBT and not self.control.hurry.is_set():
                self.let_go.add(key)
            if task.result() is StepState.FAILED and self.error_at is None:
                self.error_at = next(step for step in self.run.steps if step.key == key)
                # A planned move stops at the first error: what is in flight ends, nothing new begins. A disaster goes
                # on with what can be saved, and rests when nothing more can be.
                if self.run.kind != RunKind.DISASTER_FAILOVER:
                    self.control.halt.set()

    async def _heed(self) -> None:
        """A person's cancel is a state of its own; a pause (or an error) gives what is unknown a little time,
        not for ever. A cancel gives it as much, and for ever where its site answers: a site that is gone must not
        hold up the disaster failover that comes next (I11).
        """
        if self._cancel_asked():
            await self._run_event(RunEvent.CANCEL, "Cancelling: no new step begins; what is in flight is waited for.")
            self._stop_timer()
            self.control.hurry.clear()
        if self.control.halt.is_set() and self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(self.pace.pause_patience_s, self._hurry)

    def _hurry(self) -> None:
        self.timer = None
        (self.control.let_go if self.run.state is RunState.CANCELLING else self.control.hurry).set()
        self.wake.set()

    def _cancel_asked(self) -> bool:
        return self.run.state is RunState.RUNNING and self.flags is not None and self.flags.cancel_asked

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # --- the end

    async def _come_to_rest(self) -> str | None:
        open_steps = [step for step in self.run.steps if step.state not in FINISHED]
        standing = await read_standing(self.world)
        if not open_steps:
            return await self._finish(standing)
        if self._cancel_asked():
            return None
        sentence = resting_sentence(
            self.run.steps,
            self.error_at,
            standing,
            cancelled=self.run.state is RunState.CANCELLING,
            forced=self.run.kind == RunKind.DISASTER_FAILOVER,
            on_hold=self.run.on_hold,
        )
        if self.run.state is RunState.CANCELLING:
            return await self._cancelled(sentence, standing)
        event = RunEvent.STOP_AT_ERROR if self._failed() else RunEvent.PAUSE
        await self._run_event(event, sentence, standing=standing, pause_asked=False, lease_owner="", lease_until=None)
        return RunState.PAUSED.value

    def _failed(self) -> bool:
        return any(step.state is StepState.FAILED and step.vm_key not in self.run.on_hold for step in self.run.steps)

    async def _finish(self, standing: list[dict[str, str]]) -> str:
        skipped = [step for step in self.run.steps if step.state is StepState.SKIPPED]
        event = RunEvent.FINISH_WITH_EXCEPTIONS if skipped and self.run.state is RunState.RUNNING else RunEvent.FINISH
        to = self.run.moves_to_site_id
        if self.run.kind == RunKind.DISASTER_FAILOVER and not await self._forced_something(standing):
            to = None
        moved = [changes.group_moved(self.run.group_id, to)] if to else []
        if self.run.kind == RunKind.REPROTECT:
            moved.append(quarantine.ended_by(self.run.id))
        return await self._end(event, final_sentence(self.run.kind, self.run.steps, self.world), standing, *moved)

    async def _cancelled(self, sentence: str, standing: list[dict[str, str]]) -> str:
        """What a disaster has forced stays forced: from then on the group is where those copies are."""
        unknown = any(step.state in IN_DOUBT for step in self.run.steps)
        event = RunEvent.GIVE_UP if unknown else RunEvent.COME_TO_REST
        if self.run.kind != RunKind.DISASTER_FAILOVER or not await self._forced_something(standing):
            return await self._end(event, sentence, standing)
        moved = changes.group_moved(self.run.group_id, self.run.target.pk)
        said = f"{sentence} {cut_short_sentence(self.world)}"
        return await self._end(event, said, standing, moved)

    async def _forced_something(self, standing: list[dict[str, str]]) -> bool:
        there = self.run.target.slug
        if any(line["kind"] == "image" and line["where"] in (there, "both") for line in standing):
            return True
        return await self.recorder.read(lambda: forced_by(self.run.id))

    async def _end(self, event: RunEvent, sentence: str, standing: list[dict[str, str]], *more: Change) -> str:
        """The run is over: images are let go, the group's active site moves, the lease ends, in one transaction."""
        await self._run_event(
            event, sentence, changes.images_let_go(self.run.id), quarantine.settled(self.run.id), *more,
            standing=standing, finished_at=self.world.clock(), lease_owner="", lease_until=None,
        )  # fmt: skip
        return self.run.state.value

    async def _cannot_read(self, why: str) -> str:
        """Another version of the portal made it. On its way it keeps its images and waits for a portal that can."""
        run_id = self.lease.run_id
        if await self.recorder.read(lambda: Run.objects.get(pk=run_id).state) != RunState.RUNNING:
            return await self._give_up(why)
        sentence = (
            f"The run waits: {why}. Nothing was sent by this executor. Bring the portal to the version that made it, "
            "then resume; or cancel the run, and look at the sites."
        )
        return await self._end_unread(RunEvent.STOP_AT_ERROR, sentence)

    async def _give_up(self, why: str, *more: Change) -> str:
        sentence = (
            f"The run cannot go on: {why}. Nothing was sent by this executor. Look at the sites, and make a new run."
        )
        run_id = self.lease.run_id
        let_go, follows = changes.images_let_go(run_id), changes.group_follows(run_id)
        return await self._end_unread(RunEvent.GIVE_UP, sentence, let_go, follows, quarantine.settled(run_id), *more)

    async def _end_unread(self, event: RunEvent, sentence: str, *more: Change) -> str:
        """Of a run that this executor has not begun: it knows of it only what its row says."""
        run_id = self.lease.run_id
        state = RunState(await self.recorder.read(lambda: Run.objects.values_list("state", flat=True).get(pk=run_id)))
        to = next_run_state(state, event)
        fact = Fact(f"run.{event}", f"run {run_id}", "executor", {"sentence": sentence}, run_id)
        change = changes.run_change(run_id, state, to, sentence, lease_owner="", lease_until=None)
        await self.recorder.write(change, *more, facts=[fact])
        return to.value

    async def _run_event(self, event: RunEvent, sentence: str, *more: Change, **fields: object) -> None:
        before = self.run.state
        after = next_run_state(before, event)
        payload = {"from": before.value, "to": after.value, "sentence": sentence, "fence": self.lease.fence}
        fact = Fact(f"run.{event}", f"run {self.run.id}: {self.run.kind}", self.run.actor, payload, self.run.id)
        await self.recorder.write(
            changes.run_change(self.run.id, before, after, sentence, **{"stumbles": 0, **fields}), *more, facts=[fact]
        )
        self.run.state = after


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel them until they have ended. Once is not enough: a library below may take a cancellation for its own
    time-out (seen with a hint to Redis that a frozen process took up again), and an executor that has lost its lease
    would stay for ever.
    """
    pending = tasks
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)  # their errors have been seen
