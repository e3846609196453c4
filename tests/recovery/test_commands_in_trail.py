"""What an entry of an act's outcome holds: the commands, their ends, and what the gates before it stood on."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256

import pytest

from drportal.audit.models import AuditEntry
from drportal.audit.record import plain
from drportal.audit.verify import canonical
from drportal.drivers.base import Answer
from drportal.engine.steps import STEP_KINDS, StepKind
from drportal.recovery.changes import KEPT_CHARACTERS, answers_facts, answers_json
from tests.recovery.conftest import Mover


def test_a_long_output_is_hashed_whole_though_it_is_kept_cut() -> None:
    output = "ä\x00" * KEPT_CHARACTERS
    answer = Answer("rbd ls", "host-a", 0, output, "", dt.datetime.now(dt.UTC), 0.25)
    (fact,) = answers_facts([answer])
    assert fact["stdout_sha256"] == sha256(output.encode()).hexdigest()
    assert len(answers_json([answer])[0]["stdout"]) < len(output)
    assert (fact["command"], fact["host"], fact["exit_status"], fact["duration_s"]) == ("rbd ls", "host-a", 0, 0.25)


@pytest.mark.slow
def test_each_outcome_has_its_commands_and_each_act_what_its_gates_stood_on(mover: Mover) -> None:
    run = mover.drive(mover.ask(mover.plan("web-2")))
    assert run.state == "succeeded", run.sentence
    entries = {
        (entry.payload["step"], entry.action): entry.payload
        for entry in AuditEntry.objects.filter(run_id=run.pk, action__startswith="step.")
    }
    step = run.steps.get(kind="image.demote")
    attempt = step.attempts.get()
    told = entries[step.key, "step.succeed"]["commands"]
    assert told[0]["command"] == attempt.command
    assert told[0]["exit_status"] == 0
    for fact, answer in zip(told, attempt.answers, strict=True):
        assert (fact["host"], fact["exit_status"]) == (answer["host"], answer["exit_status"])
        assert fact["duration_s"] == pytest.approx(answer["duration_s"])
        for stream in ("stdout", "stderr"):
            assert fact[f"{stream}_sha256"] == sha256(answer[stream].encode()).hexdigest()
    begun = {gate["gate"]: gate for gate in entries[step.key, "step.begin"]["gates"]}
    assert set(begun) == {gate.value for gate in STEP_KINDS[StepKind.IMAGE_DEMOTE].gates_before}
    for check in step.gate_checks.filter(gate__in=begun):
        evidence = plain({"facts": check.facts, "answers": check.answers})
        assert begun[check.gate]["evidence_sha256"] == sha256(canonical(evidence)).hexdigest()
        assert begun[check.gate]["outcome"] == "met"
