"""The executor's writes, as functions that the recorder runs inside its transaction.

Each is a compare-and-set: what it expects must be there.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from drportal.audit.record import plain
from drportal.audit.verify import canonical
from drportal.drivers.base import Answer
from drportal.engine.gates import GateResult
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState, StepState
from drportal.recovery.lease import LeaseLost
from drportal.recovery.made_primary import forced_by
from drportal.recovery.models import GateCheck, ProtectionGroup, Run, RunImage, Step, StepAttempt
from drportal.recovery.recorder import Change

KEPT_CHARACTERS = 16_000
NEWEST_READING = ["outcome", "sentence", "facts", "remedy", "checked_at", "checks", "answers"]


def step_change(step_id: int, version: int, state: StepState, sentence: str, **fields: Any) -> Change:
    """``version`` is what the executor believes; it goes up by one."""

    def change() -> None:
        rows = Step.objects.filter(pk=step_id, version=version)
        if not rows.update(state=state.value, version=version + 1, sentence=sentence, **fields):
            raise LeaseLost(f"step {step_id} was changed by somebody else; what this executor believes is out of date")

    return change


@dataclass(frozen=True, slots=True)
class Intent:
    """An attempt about to be made."""

    step_id: int
    number: int
    operation_id: uuid.UUID
    fence: int
    command: str
    host: str
    at: dt.datetime


def attempt_opened(intent: Intent) -> Change:
    def change() -> None:
        StepAttempt.objects.create(
            step_id=intent.step_id,
            number=intent.number,
            operation_id=intent.operation_id,
            fence=intent.fence,
            command=intent.command,
            host=intent.host,
            intent_at=intent.at,
        )

    return change


def attempt_closed(
    step_id: int, number: int, outcome: str, sentence: str, at: dt.datetime, answers: Iterable[Answer]
) -> Change:
    """``outcome``: done, found_done, not_done, refused, unreachable, unknown, conflict.

    A later word replaces *unknown*.
    """
    kept = answers_json(answers)
    statuses = [answer["exit_status"] for answer in kept if answer["exit_status"] is not None]

    def change() -> None:
        row = StepAttempt.objects.get(step_id=step_id, number=number)
        row.finished_at, row.outcome, row.sentence = at, outcome, sentence
        row.answers = [*row.answers, *kept]
        if row.exit_status is None and statuses:
            row.exit_status = statuses[0]
        row.save()

    return change


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A gate's newest reading; ``checks``: how many there were in all."""

    result: GateResult
    answers: tuple[Answer, ...]
    checks: int


def gates_seen(step_id: int, seen: Sequence[GateSeen], at: dt.datetime) -> Change:
    """One row per gate of a step, the newest reading in it; all of them in one statement."""
    rows = [
        GateCheck(
            step_id=step_id,
            gate=one.result.gate.value,
            outcome=one.result.outcome.value,
            sentence=one.result.sentence,
            facts=dict(one.result.facts),
            remedy=one.result.remedy or "",
            checked_at=at,
            checks=one.checks,
            answers=answers_json(one.answers),
        )
        for one in seen
    ]

    def change() -> None:
        GateCheck.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["step", "gate"], update_fields=NEWEST_READING
        )

    return change


def run_change(run_id: int, expected: RunState, to: RunState, sentence: str, **fields: Any) -> Change:
    def change() -> None:
        if not Run.objects.filter(pk=run_id, state=expected.value).update(state=to.value, sentence=sentence, **fields):
            raise LeaseLost(f"run {run_id} is not {expected} any more; what this executor believes is out of date")

    return change


def taken_up_again(run_id: int) -> Change:
    """The last executor's fault is not the news any more (``stumbles.py``); the count of faults stays."""

    def change() -> None:
        Run.objects.filter(pk=run_id, stumbles__gt=0).update(sentence="Running again, after looking at what was done.")

    return change


def images_let_go(run_id: int) -> Change:
    def change() -> None:
        RunImage.objects.filter(run_id=run_id).update(held=False)

    return change


def group_moved(group_id: int, site_id: int) -> Change:
    def change() -> None:
        ProtectionGroup.objects.filter(pk=group_id).update(active_site_id=site_id)

    return change


def group_follows(run_id: int) -> Change:
    """Of a disaster failover that is given up: the group is where its forced copies are, if it forced any."""

    def change() -> None:
        run = Run.objects.get(pk=run_id)
        if run.kind == RunKind.DISASTER_FAILOVER and forced_by(run_id):
            ProtectionGroup.objects.filter(pk=run.group_id).update(active_site_id=run.target_site_id)

    return change


def answers_json(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """Raw answers for a row; a very long one (a pool of hundreds of images) is cut, and says so."""
    return [
        {
            "command": cut(answer.command),
            "host": answer.host,
            "exit_status": answer.exit_status,
            "stdout": cut(answer.stdout),
            "stderr": cut(answer.stderr),
            "started_at": answer.started_at.isoformat(),
            "duration_s": round(answer.duration_s, 3),
        }
        for answer in answers
    ]


def answers_facts(answers: Iterable[Answer]) -> list[dict[str, object]]:
    """For the trail: what was sent where and how it ended, with its whole output as hashes."""
    return [
        {
            "command": cut(answer.command),
            "host": answer.host,
            "exit_status": answer.exit_status,
            "duration_s": round(answer.duration_s, 3),
            "stdout_sha256": sha256(answer.stdout.encode("utf-8", "replace")).hexdigest(),
            "stderr_sha256": sha256(answer.stderr.encode("utf-8", "replace")).hexdigest(),
        }
        for answer in answers
    ]


def gate_facts(result: GateResult, answers: Iterable[Answer]) -> dict[str, object]:
    """For the trail: a gate's word, and the hash of what it was given on: facts and answers as its row keeps them."""
    evidence = plain({"facts": dict(result.facts), "answers": answers_json(answers)})
    digest = sha256(canonical(evidence)).hexdigest()
    return {"gate": result.gate.value, "outcome": result.outcome.value, "evidence_sha256": digest}


def cut(text: str) -> str:
    clean = text.replace("\x00", "\ufffd")
    if len(clean) <= KEPT_CHARACTERS:
        return clean
    return f"{clean[:KEPT_CHARACTERS]}\n[cut here: {len(clean)} characters in all]"
