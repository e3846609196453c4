"""What is found of a VM at home, and whether a failback may begin with it."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from drportal.engine.facts import VmFacts, WatcherFacts
from drportal.engine.gates import GateId, GateOutcome, g_meta
from drportal.engine.home_gates import HostFacts, g_home
from drportal.engine.plans import PlanInput, PlannedVm, RunKind, build
from drportal.engine.readiness import Severity, assess
from drportal.engine.return_readiness import assess_return
from tests.engine.strategies import NOW
from tests.engine.test_readiness import GONE, READY, RUNNING, VM
from tests.engine.test_return_readiness import BACK

LOST = VmFacts("stuck", "UNKNOWN", False, None, NOW)
HEARD = HostFacts("kvm-a1", "MONITORED", NOW)
NOBODY = (WatcherFacts((), 1, NOW), WatcherFacts((), 1, NOW))
SOMEBODY = (NOBODY[0], WatcherFacts(("client.77 at 10.0.0.7",), 2, NOW))


def phase(name: str, word: str = "") -> VmFacts:
    return VmFacts(name, word or name.upper(), False, None, NOW)


@pytest.mark.parametrize("word", ["off", "undeployed", "gone"])
def test_off_or_gone_is_where_a_failback_begins(word: str) -> None:
    """Neither the host nor the watchers are asked for."""
    assert g_home(phase(word), None, None, NOW).met


@pytest.mark.parametrize(
    ("found", "says", "remedy"),
    [
        (RUNNING, "At home the VM runs", "Fence it"),
        (phase("suspended"), "SUSPENDED", "onevm terminate"),
        (phase("hold"), "HOLD", "made|makes it anew"),
        (phase("moving", "BOOT"), "BOOT", "wait until it rests"),
        (phase("stuck", "BOOT_FAILURE"), "BOOT_FAILURE", "onevm recover"),
        (phase("stuck", "unknown(3,99)"), "unknown(3,99)", "no word for this state"),
    ],
)
def test_whatever_runs_or_may_run_shuts_the_way_home_and_says_what_to_do(
    found: VmFacts, says: str, remedy: str
) -> None:
    result = g_home(found, HEARD, NOBODY, NOW)
    assert result.outcome is GateOutcome.NOT_MET
    assert says in result.sentence
    assert any(word in (result.remedy or "") for word in remedy.split("|"))


def test_unknown_is_believed_to_have_no_process_only_with_proof() -> None:
    assert g_home(LOST, HEARD, NOBODY, NOW).met
    assert g_home(LOST, dataclasses.replace(HEARD, state_word="DISABLED"), NOBODY, NOW).met, "it is listened to"
    held = g_home(LOST, HEARD, SOMEBODY, NOW)
    assert (held.outcome, "client.77 at 10.0.0.7" in held.sentence) == (GateOutcome.NOT_MET, True)
    for word in ("ERROR", "MONITORING_ERROR", "INIT", ""):
        silent = g_home(LOST, dataclasses.replace(HEARD, state_word=word), NOBODY, NOW)
        assert (silent.outcome, "may still run" in silent.sentence) == (GateOutcome.NOT_MET, True)
        assert "cut its power" in (silent.remedy or "")
    offline = g_home(LOST, dataclasses.replace(HEARD, state_word="OFFLINE"), NOBODY, NOW)
    assert (offline.outcome, "onevm recover --delete" in (offline.remedy or "")) == (GateOutcome.NOT_MET, True)


@pytest.mark.parametrize(
    ("vm", "host", "watchers"),
    [
        (None, HEARD, NOBODY),
        (LOST, None, NOBODY),
        (LOST, HEARD, None),
        (LOST, HEARD, ()),
        (LOST, dataclasses.replace(HEARD, read_at=NOW - dt.timedelta(minutes=1)), NOBODY),
        (LOST, HEARD, (NOBODY[0], dataclasses.replace(NOBODY[1], read_at=NOW - dt.timedelta(minutes=1)))),
    ],
)
def test_what_was_not_read_or_is_old_proves_nothing(
    vm: VmFacts | None, host: HostFacts | None, watchers: tuple[WatcherFacts, ...] | None
) -> None:
    assert g_home(vm, host, watchers, NOW).outcome is GateOutcome.CANNOT_TELL


def ready_home(**changes: object) -> object:
    vm = dataclasses.replace(VM, **{"at_target": phase("off", "POWEROFF"), **changes})  # type: ignore[arg-type]
    return assess(RunKind.FAILBACK, dataclasses.replace(READY, vms=(vm,)), NOW)


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, "ready", []),
        ({"at_target": GONE, "current_hash": None}, "ready", ["made_anew"]),
        ({"at_target": GONE, "definition_seen_at": NOW - dt.timedelta(days=9)}, "ready", ["made_anew"]),
        (
            {"at_target": GONE, "definition_hash": None, "definition_seen_at": None},
            "not_ready",
            ["G-META", "made_anew"],
        ),
        ({"at_target": GONE, "unmapped": ("lan (3)",)}, "not_ready", ["network_unmapped", "made_anew"]),
        ({"at_target": LOST, "target_host": HEARD, "target_watchers": NOBODY}, "ready", ["powered_off_hard"]),
        ({"at_target": LOST}, "cannot_tell", ["G-HOME", "powered_off_hard"]),
        ({"at_target": RUNNING}, "not_ready", ["G-HOME"]),
        ({"at_target": phase("stuck", "unknown(3,99)")}, "not_ready", ["G-HOME"]),
        ({"at_target": None}, "cannot_tell", ["G-HOME"]),
        ({"at_target": VmFacts("off", "POWEROFF", True, None, NOW)}, "not_ready", ["vm_locked"]),
    ],
)
def test_the_failback_door_says_what_is_at_home(changes: dict[str, object], state: str, said: list[str]) -> None:
    result = ready_home(**changes)
    assert (result.state, [found.code for found in result.findings]) == (state, said)  # type: ignore[attr-defined]


def test_only_a_vm_that_is_gone_is_made_anew_from_what_nobody_can_confirm() -> None:
    old = NOW - dt.timedelta(days=9)
    assert not g_meta(old, 3, None, "h", NOW, 60).met
    assert g_meta(old, 3, None, "h", NOW, 60, gone=True).met
    assert not g_meta(None, None, None, None, NOW, 60, gone=True).met, "never captured"


def test_what_was_lost_sight_of_is_settled_before_its_vm_is_checked_and_nothing_else_is() -> None:
    vms = (PlannedVm("1", "db", 1, ("i1",)), PlannedVm("2", "web", 2, ("i2",)))
    plan = PlanInput(vms, "site-b", "site-a", lost_sight_of=frozenset({"2"}))
    steps = {step.key: step for step in build(RunKind.FAILBACK, plan)}
    assert [key for key in steps if key.startswith("vm.settle")] == ["vm.settle:2"]
    assert (steps["vm.settle:2"].site, steps["vm.settle:2"].gates_before) == ("site-a", (GateId.HOME,))
    assert steps["vm.check:2"].needs == ("vm.settle:2",)
    assert steps["vm.check:1"].needs == ()
    assert set(steps["vm.power_off:2"].needs) >= {"vm.check:1", "vm.check:2"}


def test_at_a_returned_site_unknown_is_powered_off_hard_and_other_words_are_left_to_a_person() -> None:
    for kind in (RunKind.FENCE, RunKind.REPROTECT):
        for found, code, severity in (
            (LOST, "powered_off_hard", Severity.WARN),
            (phase("stuck", "unknown(3,99)"), "vm_state", Severity.BLOCK),
            (phase("suspended"), "vm_state", Severity.BLOCK),
        ):
            given = dataclasses.replace(BACK, vms=(dataclasses.replace(VM, at_source=found),))
            said = {finding.code: finding for finding in assess_return(kind, given, NOW).findings}
            assert said[code].severity is severity
            assert said[code].remedy
