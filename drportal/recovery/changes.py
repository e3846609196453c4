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

from django.db import connection

from drportal.audit.record import plain
from drportal.audit.verify import canonical
from drportal.drivers.base import Answer
from drportal.engine.gates import GateResult
from drportal.engine.plans import RunKind
from drportal.engine.states import RunState, StepState
from drportal.inventory.bulk import update_rows
from drportal.recovery import giving_way
from drportal.recovery.lease import LeaseLost
from drportal.recovery.made_primary import forced_by
from drportal.recovery.models import GateCheck, ProtectionGroup, Run, RunImage, Step, StepAttempt
from drportal.recovery.recorder import Alike, Change
from drportal.rows import insert_rows

KEPT_CHARACTERS = 16_000
NEWEST_READING = ["outcome", "sentence", "facts", "remedy", "checked_at", "checks", "answers"]


@dataclass(frozen=True, slots=True)
class StepNow:
    """``version`` is what the executor believes; it goes up by one. A time that is None stays as it is."""

    step_id: int
    version: int
    state: StepState
    sentence: str
    attempt: int
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


def step_change(now: StepNow) -> Change:
    return Alike(_steps_changed, now)


def _steps_changed(steps: Sequence[StepNow]) -> None:
    """One prepared statement for all (``inventory.bulk``), and each a compare-and-set."""
    ready, quote = connection.ops.adapt_datetimefield_value, connection.ops.quote_name
    # The table is our own model's; values are parameters.
    sql = (
        f"UPDATE {quote(Step._meta.db_table)} SET state = %s, version = version + 1, sentence = %s, attempt = %s, "  # noqa: S608
        "started_at = coalesce(%s, started_at), finished_at = coalesce(%s, finished_at) WHERE id = %s AND version = %s"
    )
    values = [
        (s.state.value, s.sentence, s.attempt, ready(s.started_at), ready(s.finished_at), s.step_id, s.version)
        for s in steps
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, values)
        if cursor.rowcount != len(steps):
            raise LeaseLost(
                f"a step of {', '.join(str(s.step_id) for s in steps)} was changed by somebody else; "
                "what this executor believes is out of date"
            )


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
    return Alike(_attempts_opened, intent)


def _attempts_opened(intents: Sequence[Intent]) -> None:
    StepAttempt.objects.bulk_create(
        StepAttempt(
            step_id=intent.step_id,
            number=intent.number,
            operation_id=intent.operation_id,
            fence=intent.fence,
            command=intent.command,
            host=intent.host,
            intent_at=intent.at,
        )
        for intent in intents
    )


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """``outcome``: done, found_done, not_done, refused, unreachable, unknown, conflict."""

    step_id: int
    number: int
    outcome: str
    sentence: str
    at: dt.datetime
    answers: tuple[Answer, ...]


def attempt_closed(end: AttemptEnd) -> Change:
    """A later word replaces *unknown*."""
    return Alike(_attempts_closed, end)


def _attempts_closed(ends: Sequence[AttemptEnd]) -> None:
    steps = {end.step_id for end in ends}
    rows = {(row.step_id, row.number): row for row in StepAttempt.objects.filter(step_id__in=steps)}
    for end in ends:
        row = rows[end.step_id, end.number]
        kept = answers_json(end.answers)
        statuses = [answer["exit_status"] for answer in kept if answer["exit_status"] is not None]
        row.finished_at, row.outcome, row.sentence = end.at, end.outcome, end.sentence
        row.answers = [*row.answers, *kept]
        if row.exit_status is None and statuses:
            row.exit_status = statuses[0]
    closed = [rows[end.step_id, end.number] for end in ends]
    update_rows(closed, ("finished_at", "outcome", "sentence", "answers", "exit_status"))


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A gate's newest reading; ``checks``: how many there were in all."""

    step_id: int
    result: GateResult
    answers: tuple[Answer, ...]
    checks: int
    at: dt.datetime


def gate_seen(seen: GateSeen) -> Change:
    """One row per gate of a step, the newest reading in it."""
    return Alike(_gates_seen, seen)


def _gates_seen(seen: Sequence[GateSeen]) -> None:
    newest = {(one.step_id, one.result.gate): one for one in seen}  # a row may be named once in a statement
    insert_rows(
        [
            GateCheck(
                step_id=one.step_id,
                gate=one.result.gate.value,
                outcome=one.result.outcome.value,
                sentence=one.result.sentence,
                facts=dict(one.result.facts),
                remedy=one.result.remedy or "",
                checked_at=one.at,
                checks=one.checks,
                answers=answers_json(one.answers),
            )
            for one in newest.values()
        ],
        unique=["step_id", "gate"],
        update=NEWEST_READING,
    )


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
    """Of a run that has just ended; who gave way to it has its turn again."""

    def change() -> None:
        RunImage.objects.filter(run_id=run_id).update(held=False)
        giving_way.goes_again(run_id)

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
