"""Readiness: blockers first, each of them found, and unknown never called ready."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from drportal.engine.facts import (
    DiskFacts,
    JournalFacts,
    Mode,
    Position,
    RoleFacts,
    Side,
    SideFacts,
    StatusFacts,
    VmFacts,
)
from drportal.engine.plans import RunKind
from drportal.engine.readiness import (
    Capacity,
    ImageReadiness,
    Readiness,
    ReadinessInput,
    Severity,
    SiteReadiness,
    VmReadiness,
    assess,
)
from drportal.engine.schedule_gaps import SiteSchedule
from drportal.engine.schedules import Level, Schedule
from drportal.engine.verdicts import VerdictPolicy, verdict
from tests.engine.strategies import NOW

MOVE, BACK = RunKind.PLANNED_FAILOVER, RunKind.WAY_BACK
POSITION = Position(1, 3, 0)
PRIMARY = RoleFacts(True, True, Mode.JOURNAL, "g", "i", None, NOW)
COPY = dataclasses.replace(PRIMARY, primary=False)
STATUS = StatusFacts("up+replaying", "replaying, {}", False, 5.0, 0, NOW, True)
SOURCE = SideFacts(True, role=PRIMARY, journal=JournalFacts(POSITION, POSITION, True, NOW))
TARGET = SideFacts(True, role=COPY, status=STATUS)
RUNNING, GONE = VmFacts("running", "RUNNING", False, None, NOW), VmFacts("gone", "absent", False, None, NOW)


def image(source: SideFacts = SOURCE, target: SideFacts = TARGET) -> ImageReadiness:
    seen = verdict(source, target, VerdictPolicy(rpo_target_entries=100), NOW)
    return ImageReadiness("i1", "one/one-0-0-0", "v1", seen, source, target)


VM = VmReadiness(
    "v1", "web", RUNNING, GONE, (DiskFacts(0, "persistent", "one/one-0-0-0", True, None),), NOW, 3, "h", "h"
)


def phase_off(*, at_source: bool = False) -> VmReadiness:
    """The same VM as ``VM``: off at the target, or at the site that came back."""
    off = VmFacts("off", "POWEROFF", False, None, NOW)
    return dataclasses.replace(VM, at_source=off) if at_source else dataclasses.replace(VM, at_target=off)


SITES = (SiteReadiness("site-a", "source", True, True, True), SiteReadiness("site-b", "target", True, True, True))
READY = ReadinessInput(Side.A, SITES, (image(),), (VM,), ("ceph",), True, Capacity(2**30, 2**34, 1.0, 8.0))


def test_a_group_with_nothing_against_it_is_ready() -> None:
    result = assess(MOVE, READY, NOW)
    assert (result.state, result.findings) == ("ready", ())
    assert result.counts == {"met": 4, "not_met": 0, "cannot_tell": 0}
    assert set(result.per_image) == {"i1"}
    assert set(result.per_vm) == {"v1"}


def test_an_image_without_a_schedule_is_warned_of_at_either_site_and_stops_nothing() -> None:
    lacking = dataclasses.replace(image(), schedules=(SiteSchedule("site-a", True), SiteSchedule("site-b", True)))
    result = assess(MOVE, dataclasses.replace(READY, images=(lacking,)), NOW)
    assert result.state == "ready"
    here, there = result.findings
    assert {found.code for found in result.findings} == {"no_schedule"}
    assert ("at site-a" in here.sentence, "at site-b" in there.sentence) == (True, True)
    assert str(here.remedy).endswith("schedule add --pool one --image one-0-0-0 5m")


def test_a_schedule_that_is_slower_than_the_rpo_target_is_warned_of_with_both_figures() -> None:
    hourly = SiteSchedule("site-b", True, Schedule(Level.POOL, 3600, "every 1h"))
    slow = dataclasses.replace(image(), schedules=(SiteSchedule("site-a", known=False), hourly))
    agreed = dataclasses.replace(READY, images=(slow,), rpo_s=600)
    result = assess(MOVE, agreed, NOW)
    assert result.state == "ready"
    (found,) = result.findings
    assert (found.code, found.severity) == ("schedule_too_long", "warn")
    assert "3600 s" in found.sentence
    assert "600 s were agreed" in found.sentence
    assert assess(MOVE, dataclasses.replace(agreed, rpo_s=None), NOW).findings == (), "nothing was agreed"
    assert assess(MOVE, dataclasses.replace(agreed, rpo_s=3600), NOW).findings == ()


def with_vm(**changes: object) -> ReadinessInput:
    return dataclasses.replace(READY, vms=(dataclasses.replace(VM, **changes),))  # type: ignore[arg-type]


def with_site(**changes: object) -> ReadinessInput:
    return dataclasses.replace(READY, sites=(SITES[0], dataclasses.replace(SITES[1], **changes)))  # type: ignore[arg-type]


def codes(result: Readiness) -> set[str]:
    return {finding.code for finding in result.findings}


OFF = dataclasses.replace(RUNNING, phase="off", state_word="POWEROFF")


@pytest.mark.parametrize(
    ("given", "code", "state"),
    [
        (with_site(ssh=False), "site_unreachable", "not_ready"),
        (with_site(opennebula=None), "site_unreachable", "cannot_tell"),
        (with_vm(at_source=None), "vm_unread", "cannot_tell"),
        (with_vm(at_source=dataclasses.replace(RUNNING, phase="stuck")), "vm_state", "not_ready"),
        (with_vm(at_source=dataclasses.replace(RUNNING, locked=True)), "vm_locked", "not_ready"),
        (with_vm(at_source=OFF), "vm_off", "ready"),
        (with_vm(at_target=RUNNING), "G-PEER-OFF", "not_ready"),
        (with_vm(at_target=None), "G-PEER-OFF", "cannot_tell"),
        (with_vm(disks=()), "G-ONE", "cannot_tell"),
        (with_vm(current_hash="other"), "G-META", "not_ready"),
        (with_vm(definition_seen_at=NOW - dt.timedelta(days=2)), "G-META", "not_ready"),
        (with_vm(unmapped=("lan",)), "network_unmapped", "not_ready"),
        (with_vm(name_taken_by="VM 7"), "name_taken", "ready"),
        (dataclasses.replace(READY, image_datastores=()), "image_datastore", "not_ready"),
        (dataclasses.replace(READY, image_datastores=("x", "y")), "image_datastore", "not_ready"),
        (dataclasses.replace(READY, image_datastores=None), "image_datastore", "cannot_tell"),
        (dataclasses.replace(READY, system_datastore=False), "system_datastore", "not_ready"),
        (dataclasses.replace(READY, system_datastore=None), "system_datastore", "cannot_tell"),
        (dataclasses.replace(READY, capacity=Capacity(2**35, 2**34, 1, 8)), "capacity_memory", "not_ready"),
        (dataclasses.replace(READY, capacity=Capacity(1, 2**34, 9, 8)), "capacity_cpu", "not_ready"),
        (dataclasses.replace(READY, capacity=Capacity(1, None, 1, 8)), "capacity", "cannot_tell"),
        (dataclasses.replace(READY, source_side=Side.B), "wrong_direction", "not_ready"),
        (dataclasses.replace(READY, images=()), "nothing_to_move", "not_ready"),
        (dataclasses.replace(READY, images=(image(SideFacts(True)),)), "verdict", "cannot_tell"),
        (dataclasses.replace(READY, images=(image(SOURCE, SOURCE),)), "verdict", "not_ready"),
    ],
)
def test_each_thing_in_the_way_is_found(given: ReadinessInput, code: str, state: str) -> None:
    result = assess(MOVE, given, NOW)
    assert code in codes(result)
    assert result.state == state


def test_an_image_that_is_behind_warns_and_does_not_block() -> None:
    behind = dataclasses.replace(TARGET, status=dataclasses.replace(STATUS, entries_behind=5000))
    source = dataclasses.replace(SOURCE, journal=JournalFacts(POSITION, Position(1, 2, 0), True, NOW))
    result = assess(MOVE, dataclasses.replace(READY, images=(image(source, behind),)), NOW)
    assert codes(result) == {"behind"}
    assert result.state == "ready"


def test_known_blockers_come_before_unknown_ones_and_warnings_last() -> None:
    given = dataclasses.replace(with_vm(unmapped=("lan",), name_taken_by="VM 7"), image_datastores=None)
    findings = assess(MOVE, given, NOW).findings
    assert [(found.severity, found.unknown) for found in findings] == [
        (Severity.BLOCK, False), (Severity.BLOCK, True), (Severity.WARN, False),
    ]  # fmt: skip


def test_a_way_back_asks_only_whether_the_source_may_return() -> None:
    orphan = dataclasses.replace(SOURCE, role=COPY)
    back = dataclasses.replace(image(orphan), own_demotion_recorded=True)
    given = dataclasses.replace(READY, images=(back,), image_datastores=None, system_datastore=None)
    assert assess(BACK, given, NOW).state == "ready"
    sent = dataclasses.replace(back, target_promote_ever_sent=True)
    refused = assess(BACK, dataclasses.replace(given, images=(sent,)), NOW)
    assert (refused.state, codes(refused)) == ("not_ready", {"G-RETURN"})


def test_a_way_back_has_nothing_to_ask_of_an_image_that_was_never_demoted() -> None:
    result = assess(BACK, READY, NOW)
    assert (result.state, result.per_image["i1"]) == ("ready", ())


def test_facts_grow_old_and_readiness_with_them() -> None:
    assert assess(MOVE, READY, NOW + dt.timedelta(minutes=5)).state == "cannot_tell"
