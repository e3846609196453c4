"""``manage.py plan`` and ``manage.py run``: the exit status tells the result."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from django.core.management import call_command

from drportal.audit.models import AuditEntry
from drportal.engine.readiness import Finding, Severity
from drportal.recovery.models import RecoveryPlan, Run
from tests.recovery.conftest import Bell, ask

pytestmark = pytest.mark.django_db(transaction=True)


def command(*words: str) -> tuple[int, str]:
    """(exit status, standard output)."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(*words, stdout=out)
    assert isinstance(ended.value.code, int)
    return ended.value.code, out.getvalue()


def test_plans_are_listed_and_shown_with_their_commands(plan: RecoveryPlan) -> None:
    assert command("plan", "list") == (0, f"{plan.pk:4} {'shop':30} 2 VMs, home site-a, active site-a\n")
    status, said = command("plan", "show", "shop")
    assert status == 0
    assert "    rbd mirror image demote one/one-1\n" in said
    assert f"manage.py run start {plan.pk} planned_failover" in said


def test_start_needs_a_yes_where_nobody_can_type(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    status, _ = command("run", "start", "shop", "planned_failover")
    assert status == 2
    assert not Run.objects.exists()


def test_start_records_who_sat_at_the_terminal(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    assert command("run", "start", "shop", "planned_failover", "--yes", "--as", "olga", "--reason", "x")[0] == 0
    entry = AuditEntry.objects.get(action="run.request")
    assert entry.actor.startswith("olga (cli:")
    assert entry.payload["reason"] == "x"


@pytest.mark.parametrize(("end", "status"), [("succeeded", 0), ("paused", 3), ("failed", 1)])
def test_waiting_tells_each_change_of_a_step_and_ends_with_the_run(
    plan: RecoveryPlan,
    ready: list[Finding],
    bell: Bell,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    status: int,
) -> None:
    def go_on(seconds: float) -> None:
        """What an executor does meanwhile."""
        run = Run.objects.get()
        first = run.steps.first()
        assert first is not None
        if run.state == "approved":
            Run.objects.update(state="running")
            run.steps.filter(pk=first.pk).update(state="running", sentence="sent")
        else:
            Run.objects.update(state=end, sentence="That was it.")
            run.steps.filter(pk=first.pk).update(state="succeeded", sentence="seen")

    monkeypatch.setattr(time, "sleep", go_on)
    told, said = command("run", "start", "shop", "planned_failover", "--yes", "--wait")
    run = Run.objects.get()
    assert told == status
    lines = said.splitlines()
    assert lines[0] == f"Run {run.pk} was started."
    assert [line.split()[0] for line in lines[1:3]] == ["running", "succeeded"]
    assert lines[2].endswith(" seen")
    assert lines[-1] == f"Run {run.pk} {end}: That was it."


def test_starting_a_plan_that_is_not_there_starts_nothing(capsys: pytest.CaptureFixture[str], db: None) -> None:
    assert command("run", "start", "nothing", "planned_failover", "--yes")[0] == 1
    assert "no plan" in capsys.readouterr().err
    assert not Run.objects.exists()


def test_not_ready_is_4_and_says_why(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.append(Finding("G-PATH", Severity.BLOCK, "one/one-1", "The daemon is down.", None))
    assert command("run", "start", "shop", "planned_failover", "--yes")[0] == 4
    assert "The daemon is down." in capsys.readouterr().err


def test_a_plan_that_is_not_there_is_1(capsys: pytest.CaptureFixture[str], db: None) -> None:
    assert command("plan", "show", "nothing")[0] == 1
    assert "no plan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "status"),
    [("succeeded", 0), ("succeeded_with_exceptions", 0), ("failed", 1), ("aborted", 1), ("paused", 3), ("running", 3)],
)
def test_show_tells_the_state_by_its_exit_status(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell, state: str, status: int
) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state=state)
    assert command("run", "show", str(run.pk))[0] == status
    told, said = command("run", "show", str(run.pk), "--json")
    page: dict[str, Any] = json.loads(said)
    assert (told, page["id"], page["state"]) == (status, run.pk, state)


def test_pause_and_cancel_from_the_terminal(plan: RecoveryPlan, ready: list[Finding], bell: Bell) -> None:
    run = ask(plan)
    Run.objects.filter(pk=run.pk).update(state="running", lease_owner="somebody")
    assert command("run", "pause", str(run.pk))[0] == 0
    assert command("run", "cancel", str(run.pk), "--reason", "wrong day")[0] == 0
    run.refresh_from_db()
    assert (run.pause_asked, run.cancel_asked) == (False, True)


def test_how_a_run_goes_on_is_chosen_from_the_terminal(
    plan: RecoveryPlan, ready: list[Finding], bell: Bell, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ask(plan)
    run.steps.filter(kind="vm.check", vm_name="db-1").update(state="failed", sentence="It was refused.")
    Run.objects.filter(pk=run.pk).update(state="paused")
    assert command("run", "hold", str(run.pk), "nothing")[0] == 2
    assert "has no VM nothing" in capsys.readouterr().err
    told, said = command("run", "hold", str(run.pk), "db-1", "--look")
    assert told == 0
    assert "db-1 is on hold" in said
    run.refresh_from_db()
    assert (run.state, run.on_hold) == ("paused", [])
    assert command("run", "hold", str(run.pk), "db-1", "--reason", "its disk")[0] == 0
    run.refresh_from_db()
    assert (run.state, len(run.on_hold)) == ("running", 1)
