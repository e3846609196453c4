"""One step from its turn to its end: probe, gates, intent, deed, proof. Nothing here knows a particular kind of step.

The rules: the intent is committed before the deed; success is only what is observed afterwards; whatever was sent and
not answered is *unknown*, and only a probe leads out of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from drportal.drivers.base import Answer
from drportal.drivers.ceph_errors import words_of
from drportal.drivers.errors import (
    AlreadySo,
    DriverError,
    IdentityChanged,
    OutcomeUnknown,
    Reason,
    Refused,
    Unreachable,
)
from drportal.drivers.orders import Receipt
from drportal.engine.facts import Mode
from drportal.engine.gates import GateId, confirmed
from drportal.engine.states import StepEvent, StepState
from drportal.engine.steps import ABOUT_HOLDERS, LEAVES, ProbeOutcome, StepKind
from drportal.recovery import changes, quarantine
from drportal.recovery.acts.base import Deed, Probe, Task, Ticket, cannot_tell, conflict
from drportal.recovery.acts.registry import ACTS
from drportal.recovery.failpoints import failpoint, failpoint_while
from drportal.recovery.gate_readings import GateReading, Subject, parts_of, read_gate
from drportal.recovery.lease import Lease
from drportal.recovery.recorder import Change, Recorder
from drportal.recovery.step_writer import StepRow, StepWriter
from drportal.recovery.world import NOTHING, World, ref_of

NEEDS_A_PERSON = frozenset(
    {Reason.NO_RIGHTS, Reason.BAD_CREDENTIALS, Reason.LOCKED, Reason.BAD_REQUEST, Reason.NAME_TAKEN}
)


@dataclass(slots=True)
class Control:
    """What the run's driver tells its steps.

    ``halt``: begin nothing more; ``hurry``: do not even wait for what is unknown; ``let_go``: wait for that no longer
    where the site that could tell does not answer. ``on_hold``: VMs of which nothing begins; what is unknown of them is
    read all the same.
    """

    halt: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    on_hold: frozenset[str] = frozenset()


@dataclass(slots=True)
class History:
    """What one step knows for another: when the source of each image (by key) was seen demoted."""

    demoted_at: dict[str, dt.datetime] = field(default_factory=dict)


class StepRunner(StepWriter):
    def __init__(
        self,
        world: World,
        step: StepRow,
        lease: Lease,
        recorder: Recorder,
        control: Control,
        history: History,
        actor: str,
    ) -> None:
        super().__init__(world, step, lease, recorder, actor)
        self.control, self.history = control, history
        self.act = ACTS[step.kind]
        self._waits_for_a_demotion = GateId.DEMOTED in step.spec.gates_before
        self._listening = contextlib.ExitStack()
        self._moved: asyncio.Event | None = None

    async def perform(self) -> StepState:
        """Until the step is done, failed, or halted where it waits. Raises LeaseLost, or what the database raised."""
        with self._listening:
            if self._waits_for_a_demotion:
                # What it waits for comes a moment after its turn: what moves between its first look and its first
                # rest would be missed.
                self._listen()
            return await self._perform()

    async def _perform(self) -> StepState:
        if self.step.state is StepState.RUNNING:
            await self._move(
                StepEvent.LOSE_SIGHT,
                "The portal's executor ended while this was running. Whether it was done is being read.",
            )
        deadline: float | None = None  # counts from the first look: standing in our own queue is not the gate's fault
        wait_s = self.pace.poll_first_s
        while self.step.state in (StepState.PENDING, StepState.WAITING, StepState.UNKNOWN):
            if self.step.state is StepState.UNKNOWN:
                if not await self._resolve():
                    return self.step.state
                continue
            if self.control.halt.is_set() or self.step.vm_key in self.control.on_hold:
                return self.step.state
            if await self._try():
                continue
            deadline = deadline or time.monotonic() + self.pace.gate_patience_s
            if time.monotonic() > deadline and not self.step.spec.patient:
                await self._move(
                    StepEvent.REFUSE,
                    f"Given up after {self.pace.gate_patience_s:.0f} s of waiting. {self.step.sentence}",
                )
                break
            await self._rest(wait_s)
            wait_s = min(wait_s * 1.5, self.pace.poll_last_s)
        return self.step.state

    async def _rest(self, wait_s: float) -> None:
        """Until the next look is due: the time is over, the run halts, or there is news of the image."""
        if (moved := self._listen()) is None:
            await self._sleep(wait_s, self.control.halt)
            return
        waiting = [asyncio.ensure_future(event.wait()) for event in (moved, self.control.halt)]
        # What decides a promotion is all in the news; others wait for holders too, of whom it does not tell.
        least_s = self.pace.listening_s if self._waits_for_a_demotion else self.pace.news_s * 4
        await asyncio.wait(waiting, timeout=max(wait_s, least_s), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def _listen(self) -> asyncio.Event | None:
        """Set when the image has moved since the last look (``_try``); None where nobody tells."""
        image, news = self.step.task.image, self.world.news
        if self._moved is None and image is not None and news is not None:
            self._moved = self._listening.enter_context(news.listen(ref_of(image), Mode(image.mode)))
        return self._moved

    def _listen_no_more(self) -> None:
        self._listening.close()
        self._moved = None

    # --- before the deed

    async def _try(self) -> bool:
        """One round: probe, gates, deed. True when the step has moved on; False when it has to wait."""
        async with self.world.turns:
            if self.control.halt.is_set():
                return False
            if self._moved is not None:
                self._moved.clear()
            decided = await self._decide()
        if isinstance(decided, bool):
            return decided
        self._listen_no_more()
        await self._do(*decided)
        return True

    async def _decide(self) -> tuple[Deed, Sequence[GateReading]] | bool:
        """The deed that everything speaks for now, with the gates' readings; else what ``_try`` shall return."""
        look = self._look()
        probe = await self._probe(look)
        if probe.outcome is ProbeOutcome.CONFLICT:
            await self._move(StepEvent.REFUSE, probe.sentence)
            return True
        if probe.outcome is ProbeOutcome.CANNOT_TELL:
            await self._wait_for(probe.sentence)
            return False
        if probe.outcome is ProbeOutcome.DONE:
            return await self._found_done(probe, look)
        readings: Sequence[GateReading] = await self._read_gates(self.step.spec.gates_before, look)
        if not await self._all_met(readings):
            return self.step.state is StepState.FAILED
        if self.act.only_checks:
            await self._move(
                StepEvent.FIND_DONE, f"{probe.sentence} Everything that could refuse was checked.", gates=readings
            )
            return True
        if self.step.spec.destructive:
            confirmation = await self._confirmed(readings)
            if confirmation is None:
                return self.step.state is StepState.FAILED
            probe, readings = confirmation
        assert probe.deed is not None
        return probe.deed, readings

    async def _found_done(self, probe: Probe, look: World) -> bool:
        readings = await self._read_gates(self.step.spec.gates_after, look)
        if not await self._all_met(readings):
            return self.step.state is StepState.FAILED
        self._remember()
        await self._move(StepEvent.FIND_DONE, f"Found done: {probe.sentence}", gates=readings)
        return True

    async def _confirmed(self, first: Sequence[GateReading]) -> tuple[Probe, Sequence[GateReading]] | None:
        """A destructive act needs a second, agreeing look: roles and gates are read again right before it."""
        await asyncio.sleep(self.pace.confirm_s)
        look = self._look()
        probe = await self._probe(look)
        second = await self._read_gates(self.step.spec.gates_before, look)
        agree = all(confirmed(a.result, b.result) for a, b in zip(first, second, strict=True))
        if agree and probe.outcome is ProbeOutcome.NOT_DONE and not self.control.halt.is_set():
            return probe, second
        if await self._all_met(second):
            await self._wait_for("Two looks, one right after the other, did not agree. Looking again.")
        return None

    async def _all_met(self, readings: Sequence[GateReading]) -> bool:
        """False when a gate is not met; then the step waits, or has failed because waiting cannot help."""
        unmet = [reading for reading in readings if not reading.result.met]
        if not unmet:
            return True
        said = " ".join(f"{reading.result.gate}: {reading.result.sentence}" for reading in unmet)
        hopeless = next((reading.result for reading in unmet if reading.result.hopeless), None)
        if hopeless is not None:
            await self._write_gates(readings, always=True)
            await self._move(StepEvent.REFUSE, f"{said} {hopeless.remedy or ''}".strip())
        else:
            await self._wait_for(said, readings)
        return False

    # --- the deed

    def _suspicion(self, now: dt.datetime) -> list[Change]:
        """Before a copy is forced here, the one at the other site is in quarantine."""
        if self.step.kind is not StepKind.IMAGE_FORCE_PROMOTE:
            return []
        return [quarantine.begun(self.lease.run_id, self.step.task.one_image.key, now)]

    async def _do(self, deed: Deed, readings: Sequence[GateReading]) -> None:
        kind, step = self.step.kind.value, self.step
        failpoint(kind, "P0")
        number, operation_id, now = step.attempt + 1, uuid.uuid4(), self.world.clock()
        ticket = Ticket(str(operation_id), self.world.group_token, self.lease.site_fence)
        step.sent_command, step.bad_end = deed.command_of(ticket), ""
        intent = changes.Intent(step.id, number, operation_id, self.lease.fence, step.sent_command, deed.host, now)
        step.open_attempt, step.open_operation, step.last_sent_at = number, ticket.operation_id, now
        await self._move(
            StepEvent.BEGIN,
            f"{step.spec.sentence(self._subject_name(), step.task.end.name)}: sent.",
            gates=readings,
            more=[changes.attempt_opened(intent), *self._suspicion(now)],
            payload={
                "operation_id": ticket.operation_id,
                "command": changes.cut(step.sent_command),
                "host": deed.host,
                "attempt": number,
            },
            attempt=number,
        )
        failpoint(kind, "P1")
        self.lease.check()
        failpoint(kind, "P2")
        outcome = await self._sent(deed, ticket, kind)
        failpoint(kind, "P4")
        await self._after(outcome)
        failpoint(kind, "P6")

    async def _sent(self, deed: Deed, ticket: Ticket, kind: str) -> Answer | DriverError:
        beside = asyncio.ensure_future(failpoint_while(kind))
        try:
            return await deed.send(ticket)
        except DriverError as error:
            return error
        finally:
            beside.cancel()

    async def _after(self, outcome: Answer | DriverError) -> None:
        """What the answer means.

        Only *refused for now* and *surely not sent* are taken from it; all else is looked up.
        """
        if isinstance(outcome, OutcomeUnknown):
            self.step.last_sent_at, self.step.bad_end = self.world.clock(), _bad_end(outcome)
            await self._lose_sight("unknown", outcome)
        elif isinstance(outcome, Unreachable):
            self.step.last_sent_at = None
            await self._lose_sight("unreachable", outcome)
        elif isinstance(outcome, IdentityChanged):
            await self._close("refused", StepEvent.FAIL, outcome.detail, ())
        elif isinstance(outcome, Refused) and outcome.reason in (Reason.DEMOTION_NOT_ARRIVED, Reason.BUSY):
            # The site itself says that nothing happened: the demotion is not there yet, or another act is not over.
            await self._close("refused", StepEvent.REFUSED_FOR_NOW, outcome.detail, _answers(outcome))
        else:
            await self._verify(outcome)

    async def _lose_sight(self, word: str, error: DriverError) -> None:
        await self._close(word, StepEvent.LOSE_SIGHT, error.detail, _answers(error), keep_open=True)

    async def _verify(self, outcome: Answer | DriverError) -> None:
        """Look until the effect shows and the gates after it are met, or until it is clear that it does not."""
        refused = outcome if isinstance(outcome, Refused) else None
        answers = _answers(outcome)
        deadline = time.monotonic() + self.act.patience_s(self.world)
        wait_s = self.pace.poll_first_s / 4
        while True:
            look = self.world.look()
            probe = await self._probe(look)
            if probe.outcome is ProbeOutcome.DONE:
                readings = await self._read_gates(self.step.spec.gates_after, look)
                if all(reading.result.met for reading in readings):
                    await self._succeed(probe, outcome, readings)
                    return
                await self._write_gates(readings)
                if any(reading.result.hopeless for reading in readings):
                    said = " ".join(reading.result.sentence for reading in readings if reading.result.hopeless)
                    await self._close("done", StepEvent.FAIL, said, answers)
                    return
            elif probe.outcome is ProbeOutcome.CONFLICT:
                await self._close("conflict", StepEvent.FAIL, probe.sentence, (*answers, *probe.answers))
                return
            elif probe.outcome is ProbeOutcome.NOT_DONE and refused is not None:
                await self._close("refused", StepEvent.FAIL, refused.detail, answers)
                return
            if time.monotonic() > deadline:
                await self._out_of_patience(probe, answers)
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, self.pace.poll_last_s)

    async def _out_of_patience(self, probe: Probe, answers: Sequence[Answer]) -> None:
        waited = f"no effect was observed within {self.act.patience_s(self.world):.0f} s"
        said = f"{self.step.spec.title}: {waited}. {probe.sentence}"
        if probe.outcome is ProbeOutcome.CANNOT_TELL:
            await self._close("unknown", StepEvent.LOSE_SIGHT, said, answers, keep_open=True)
        else:
            await self._close("not_done", StepEvent.FAIL, said, (*answers, *probe.answers))

    async def _succeed(self, probe: Probe, outcome: Answer | DriverError, readings: Sequence[GateReading]) -> None:
        failpoint(self.step.kind.value, "P5")
        said = probe.sentence
        if isinstance(outcome, Refused):
            said = f"{said} (The command's own answer said otherwise: {outcome.detail})"
        elif isinstance(outcome, AlreadySo):
            said = f"{said} (It was so already.)"
        self._remember()
        await self._close("done", StepEvent.SUCCEED, said, (*_answers(outcome), *probe.answers), gates=readings)

    # --- when it is unknown

    async def _resolve(self) -> bool:
        """Probe until it is known; nothing is sent meanwhile (I13).

        False when the run must come to rest before that.
        """
        wait_s, before = self.pace.poll_first_s, None
        while True:
            if self.control.hurry.is_set():
                return False
            probe = await self._probe(self.world.look())
            if probe.outcome is ProbeOutcome.DONE:
                self._remember()
                await self._known(
                    "found_done", StepEvent.PROBE_DONE, f"Looked, and found it done: {probe.sentence}", probe
                )
                return True
            if probe.outcome is ProbeOutcome.CONFLICT:
                await self._known("conflict", StepEvent.PROBE_CONFLICT, probe.sentence, probe)
                return True
            if probe.outcome is ProbeOutcome.NOT_DONE and await self._surely_ended(before):
                await self._known(
                    "not_done", StepEvent.PROBE_NOT_DONE, f"Looked, and found it not done: {probe.sentence}", probe
                )
                if self.step.bad_end:
                    # It would end so again, and again: a person decides.
                    await self._move(StepEvent.REFUSE, f"{probe.sentence} {self.step.bad_end}")
                return True
            if self.control.let_go.is_set() and _dark(before) and _dark(probe):
                return False
            before = probe
            await self._say(probe.sentence)
            await self._sleep(wait_s, self.control.hurry)
            wait_s = min(wait_s * 1.5, self.pace.poll_last_s)

    async def _surely_ended(self, before: Probe | None) -> bool:
        """Whether "not done" can be believed.

        Where the site keeps a receipt that tells, by the receipt. Elsewhere: surely never sent; or it is not known to
        go on, two looks agree, enough time has passed, and nobody holds the image. So it is too with an act whose
        process at the site died before the end could be read there: nobody waits for it as if it went on.
        """
        sent_at = self.step.last_sent_at
        if sent_at is None:
            return True
        if self.step.task.end.goes_on(self.step.sent_command):
            self.step.last_sent_at = self.world.clock()
            return False
        try:
            receipt = await self._receipt()
        except DriverError:
            return False
        if receipt is not None and receipt.state == "done":
            return self._does_not_show(sent_at)
        if receipt is not None and (receipt.tells or receipt.going_on):
            return receipt.tells
        if before is None or before.outcome is not ProbeOutcome.NOT_DONE:
            return False
        if (self.world.clock() - sent_at).total_seconds() < self.pace.settle_s:
            return False
        if self.step.task.image is None or self.step.kind in ABOUT_HOLDERS:
            return True
        try:
            watchers, _ = await self.step.task.end.watchers(ref_of(self.step.task.image))
        except DriverError:
            return False
        return not watchers.foreign

    def _does_not_show(self, sent_at: dt.datetime) -> bool:
        """Of an act that the site says was done. A mirror daemon obeys a resync at its next beat: sent again before its
        effect shows, it would be done twice. After the act's patience a person decides, as where nothing was killed.
        """
        if (self.world.clock() - sent_at).total_seconds() < self.act.patience_s(self.world):
            return False
        self.step.bad_end = "The site's own record says that it was done, and nothing of it is to be seen."
        return True

    async def _receipt(self) -> Receipt | None:
        """The site's own word on this step's last attempt; after it, an act that never arrived there never will."""
        if not self.step.spec.acts_on_role or not self.step.open_operation:
            return None
        return await self.step.task.end.receipt(self.step.open_operation)

    async def _known(self, outcome: str, event: StepEvent, sentence: str, probe: Probe) -> None:
        await self._close(outcome, event, sentence, probe.answers)

    # --- looking

    def _look(self) -> World:
        """One that goes on to the gates, unless the probe says that it is done."""
        image, gates = self.step.task.image, self.step.spec.gates_before
        return self.world.look(parts_of(gates, Mode(image.mode)) if image else NOTHING)

    async def _probe(self, look: World) -> Probe:
        """The probe's word; a site that does not answer is *cannot tell*, one whose key changed or that forbids
        it needs a person.
        """
        try:
            return await self.act.probe(look, self._task_in(look))
        except IdentityChanged as error:
            return conflict(error.detail, error.answer)
        except Refused as error:
            needs_person = error.reason in NEEDS_A_PERSON and self.step.state is not StepState.UNKNOWN
            return conflict(error.detail, error.answer) if needs_person else cannot_tell(error.detail, error.answer)
        except DriverError as error:
            return cannot_tell(error.detail, error.answer)

    def _task_in(self, look: World) -> Task:
        operation_id = self.step.open_operation if self.step.open_attempt is not None else ""
        return replace(self.step.task, end=look.end(self.step.task.end.slug), operation_id=operation_id)

    async def _read_gates(self, gates: Iterable[GateId], look: World) -> list[GateReading]:
        subject = self._subject(look)
        return list(await asyncio.gather(*(read_gate(gate, look, subject) for gate in gates)))

    def _subject(self, look: World) -> Subject:
        task = self._task_in(look)
        images = (task.image,) if task.image is not None else task.vm.images
        return Subject(
            vm=task.vm,
            images=images,
            here=task.end,
            primary_at=look.target if self.step.kind is StepKind.VM_RETIRE else task.end,
            since=self.history.demoted_at.get(self.step.subject),
            definition_now=self.world.definition_now(task.vm),
            demoted_by_us=self.world.plan.demoted_by_parent,
            promote_sent=self.world.plan.promote_sent_by_parent,
            may_run=self.step.kind in LEAVES,
        )

    def _remember(self) -> None:
        if self.step.kind is StepKind.IMAGE_DEMOTE:
            self.history.demoted_at.setdefault(self.step.subject, self.world.clock())

    async def _sleep(self, seconds: float, until: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await until.wait()


def _dark(probe: Probe | None) -> bool:
    return probe is not None and probe.outcome is ProbeOutcome.CANNOT_TELL


def _answers(outcome: Answer | DriverError) -> tuple[Answer, ...]:
    if isinstance(outcome, DriverError):
        return (outcome.answer,) if outcome.answer else ()
    return (outcome,)


def _bad_end(outcome: OutcomeUnknown) -> str:
    """Empty for an act whose end was not seen."""
    answer = outcome.answer
    if answer is None or answer.exit_status in (None, 0):
        return ""
    return f"It was sent, and ended with exit {answer.exit_status}: {words_of(answer)}. It is not sent again by itself."
