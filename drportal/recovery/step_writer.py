"""A step's writes: each transition with its attempt, its gates and its entry in the trail, in one transaction."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drportal.audit.record import Fact
from drportal.drivers.base import Answer
from drportal.engine.gates import GateId, GateResult
from drportal.engine.states import StepEvent, StepState, next_step_state
from drportal.engine.steps import STEP_KINDS, StepKind, StepSpec
from drportal.recovery import changes
from drportal.recovery.acts.base import Task
from drportal.recovery.changes import StepNow
from drportal.recovery.gate_readings import GateReading
from drportal.recovery.lease import Lease
from drportal.recovery.recorder import Change, Recorder
from drportal.recovery.world import World


@dataclass(slots=True)
class StepRow:
    """A Step's row in the executor's memory; ``version`` is what the database has.

    ``last_sent_at``: when the last act was sent, or last known to go on; None when it surely never went out.
    ``sent_command``: that act, if this executor sent it. ``bad_end``: how it ended, when it failed in words that nobody
    knows.
    """

    id: int
    key: str
    kind: StepKind
    subject: str
    site: str
    needs: tuple[str, ...]
    task: Task
    state: StepState
    version: int
    attempt: int
    sentence: str
    open_attempt: int | None = None
    open_operation: str = ""
    last_sent_at: dt.datetime | None = None
    sent_command: str = ""
    bad_end: str = ""

    @property
    def vm_key(self) -> str:
        return self.task.vm.key

    @property
    def spec(self) -> StepSpec:
        return STEP_KINDS[self.kind]


class StepWriter:
    """What the database is told about one step. Raises LeaseLost, or what the database raised."""

    def __init__(self, world: World, step: StepRow, lease: Lease, recorder: Recorder, actor: str) -> None:
        self.world, self.step, self.lease, self.recorder, self.actor = world, step, lease, recorder, actor
        self.pace = world.pace
        self._gates_written: dict[GateId, tuple[GateResult, float, int]] = {}

    def _subject_name(self) -> str:
        return self.step.task.image.source if self.step.task.image else self.step.task.vm.name

    async def _wait_for(self, sentence: str, readings: Sequence[GateReading] = ()) -> None:
        """``readings``: why it waits; written with it where they are news."""
        if self.step.state is StepState.PENDING:
            await self._move(StepEvent.WAIT, sentence, gates=self._news_of(readings), trail=False)
        else:
            await self._say(sentence, readings)

    async def _say(self, sentence: str, readings: Sequence[GateReading] = ()) -> None:
        """A new sentence in the same state; it and the readings are written only when they are new."""
        step = self.step
        seen = self._gate_changes(self._news_of(readings))
        if sentence == step.sentence:
            if seen:
                await self.recorder.write(*seen)
            return
        await self.recorder.write(changes.step_change(self._now(step.state, sentence)), *seen)
        step.version, step.sentence = step.version + 1, sentence

    def _now(self, state: StepState, sentence: str, attempt: int | None = None, **times: dt.datetime) -> StepNow:
        number = self.step.attempt if attempt is None else attempt
        return StepNow(
            self.step.id, self.step.version, state, sentence, number, times.get("started_at"), times.get("finished_at")
        )

    async def _close(
        self,
        outcome: str,
        event: StepEvent,
        sentence: str,
        answers: Iterable[Answer],
        *,
        gates: Sequence[GateReading] = (),
        keep_open: bool = False,
    ) -> None:
        """Move the step and fill in its attempt, in one transaction.

        ``keep_open``: a later look will say more about this attempt.
        """
        kept, number = list(answers), self.step.open_attempt
        more = (
            []
            if number is None
            else [
                changes.attempt_closed(
                    changes.AttemptEnd(self.step.id, number, outcome, sentence, self.world.clock(), tuple(kept))
                )
            ]
        )
        payload = {
            "outcome": outcome,
            "attempt": number,
            "sentence": sentence,
            "exit_status": kept[0].exit_status if kept else None,
            "commands": changes.answers_facts(kept),
        }
        await self._move(event, sentence, gates=gates, more=more, payload=payload)
        if not keep_open:
            self.step.open_attempt = None

    async def _move(
        self,
        event: StepEvent,
        sentence: str,
        *,
        gates: Sequence[GateReading] = (),
        more: Sequence[Change] = (),
        payload: Mapping[str, object] | None = None,
        trail: bool = True,
        attempt: int | None = None,
    ) -> None:
        """One transition with all that belongs to it: the step, its attempt, its gates and the trail are
        committed together.
        """
        step = self.step
        state = next_step_state(step.state, event, acts_on_image=step.spec.acts_on_role)
        times: dict[str, dt.datetime] = {}
        now = self.world.clock()
        if event is StepEvent.BEGIN:
            times["started_at"] = now
        if state in (StepState.SUCCEEDED, StepState.FAILED):
            times["finished_at"] = now
        fact = Fact(
            f"step.{event}",
            f"{step.spec.title}: {self._subject_name()} at {step.task.end.name}",
            self.actor,
            {
                "step": step.key,
                "from": step.state.value,
                "to": state.value,
                "fence": self.lease.fence,
                "sentence": sentence,
                **({"gates": [changes.gate_facts(one.result, one.answers) for one in gates]} if gates else {}),
                **(payload or {}),
            },
            self.lease.run_id,
            step.task.end.slug,
        )
        await self.recorder.write(
            changes.step_change(self._now(state, sentence, attempt, **times)),
            *more,
            *self._gate_changes(gates),
            facts=[fact] if trail else [],
        )
        step.state, step.version, step.sentence = state, step.version + 1, sentence
        step.attempt = attempt if attempt is not None else step.attempt

    async def _write_gates(self, readings: Sequence[GateReading], *, always: bool = False) -> None:
        due = readings if always else self._news_of(readings)
        if due:
            await self.recorder.write(*self._gate_changes(due))

    def _news_of(self, readings: Sequence[GateReading]) -> list[GateReading]:
        return [reading for reading in readings if self._is_news(reading.result)]

    def _is_news(self, result: GateResult) -> bool:
        before = self._gates_written.get(result.gate)
        if before is None:
            return True
        said, written, _ = before
        return (said.outcome, said.sentence) != (
            result.outcome,
            result.sentence,
        ) or time.monotonic() - written > self.pace.gate_write_s

    def _gate_changes(self, readings: Iterable[GateReading]) -> list[Change]:
        found = []
        for reading in readings:
            result = reading.result
            _, _, checks = self._gates_written.get(result.gate, (None, 0.0, 0))
            self._gates_written[result.gate] = (result, time.monotonic(), checks + 1)
            seen = changes.GateSeen(self.step.id, result, reading.answers, checks + 1, self.world.clock())
            found.append(changes.gate_seen(seen))
        return found
