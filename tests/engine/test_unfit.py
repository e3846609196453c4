"""One-way mirroring, unflattened clones, disks that die with their VM: refused at each door, with the remedy."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from drportal.engine.facts import DiskFacts
from drportal.engine.gates import g_one, g_path
from drportal.engine.plans import RunKind
from drportal.engine.readiness import Finding, ReadinessInput, assess
from drportal.engine.return_readiness import assess_return
from drportal.engine.unfit import one_way
from tests.engine.strategies import NOW
from tests.engine.test_readiness import COPY, PRIMARY, READY, SOURCE, STATUS, TARGET, VM, image, phase_off
from tests.engine.test_return_readiness import BACK, BOTH

Changes = dict[str, Any]
FLATTEN, BOTH_WAYS = "rbd flatten one/one-0-0-0", "--direction rx-tx"
HANGS = dataclasses.replace(PRIMARY, parent="one/base@snap")


@pytest.mark.parametrize(
    ("disk", "remedy"),
    [
        (DiskFacts(1, "clone", "one/one-7-1-1", False, None), "onevm disk-saveas"),
        (DiskFacts(1, "volatile", None, False, None), "onevm disk-detach"),
        (DiskFacts(1, "cdrom", None, False, None), "onevm disk-detach"),
        (DiskFacts(1, "other", "/var/lib/one/1", False, None), "mirrored Ceph datastore"),
        (DiskFacts(1, "persistent", "one/one-0-0-0", True, "one/base@snap"), FLATTEN),
        (DiskFacts(1, "persistent", "one/one-0-0-0", False, None), "rbd mirror image enable"),
    ],
)
def test_each_unfit_disk_is_refused_for_good_with_its_own_remedy(disk: DiskFacts, remedy: str) -> None:
    """For good: a run keeps the disks it was made with, so waiting cannot help, and holds the others up."""
    result = g_one((*VM.disks, disk))
    assert (result.met, result.hopeless) == (False, True)
    assert remedy in (result.remedy or "")


def findings(kind: RunKind, given: ReadinessInput) -> dict[str, Finding]:
    found = (assess_return if kind is RunKind.REPROTECT else assess)(kind, given, NOW).findings
    return {one.code: one for one in found if one.severity == "block"}


def door(kind: RunKind, *, good: Changes | None = None, copy: Changes | None = None) -> ReadinessInput:
    """Nothing speaks against it but what is changed of the side that counts (``good``) or of the other (``copy``)."""
    good, copy = good or {}, copy or {}
    if kind is RunKind.REPROTECT:
        target, source = (dataclasses.replace(BOTH.target, **good), dataclasses.replace(BOTH.source, **copy))
        changed = dataclasses.replace(BOTH, target=target, source=source)
        return dataclasses.replace(BACK, images=(changed,), salvage_dir="/srv", vms=(phase_off(at_source=True),))
    moved = image(dataclasses.replace(SOURCE, **good), dataclasses.replace(TARGET, **copy))
    return dataclasses.replace(READY, images=(moved,), vms=(phase_off(),))


DOORS = [RunKind.PLANNED_FAILOVER, RunKind.FAILBACK, RunKind.REPROTECT]


@pytest.mark.parametrize("kind", DOORS)
def test_nothing_is_in_the_way_of_what_is_fit(kind: RunKind) -> None:
    assert not findings(kind, door(kind))


@pytest.mark.parametrize("kind", DOORS)
@pytest.mark.parametrize("side", ["good", "copy"])
@pytest.mark.parametrize("direction", ["rx-only", "tx-only"])
def test_one_way_mirroring_is_refused_with_how_to_make_it_two(kind: RunKind, side: str, direction: str) -> None:
    found = findings(kind, door(kind, **{side: {"peer_direction": direction}}))
    assert len(found) == 1, "said once"
    (said,) = found.values()
    assert direction in said.sentence
    assert BOTH_WAYS in (said.remedy or "")


@pytest.mark.parametrize("kind", DOORS)
def test_a_clone_is_refused_by_what_was_read_just_now(kind: RunKind) -> None:
    found = findings(kind, door(kind, good={"role": HANGS}))
    assert FLATTEN in (found["not_flattened"].remedy or "")
    assert "not_flattened" not in findings(kind, door(kind, copy={"role": dataclasses.replace(COPY, parent="x/y@z")}))


@pytest.mark.parametrize("kind", DOORS)
def test_a_disk_that_dies_with_its_vm_is_refused(kind: RunKind) -> None:
    given = door(kind)
    vms = (dataclasses.replace(given.vms[0], disks=(*VM.disks, DiskFacts(1, "volatile", None, False, None))),)
    found = findings(kind, dataclasses.replace(given, vms=vms))
    assert "onevm disk-detach" in (found["G-ONE"].remedy or "")


def test_a_fence_is_never_refused_for_it() -> None:
    given = door(RunKind.REPROTECT, good={"peer_direction": "rx-only", "role": HANGS})
    vms = (dataclasses.replace(given.vms[0], disks=(DiskFacts(1, "volatile", None, False, None),)),)
    assert assess_return(RunKind.FENCE, dataclasses.replace(given, vms=vms), NOW).state == "ready"


def test_the_gate_before_a_demote_sees_it_too_and_what_is_not_told_says_nothing() -> None:
    assert g_path(TARGET, SOURCE, NOW).met
    one = g_path(dataclasses.replace(TARGET, status=STATUS, peer_direction="rx-only"), SOURCE, NOW)
    assert not one.met
    assert "no way back" in one.sentence
    assert one_way((("A", SOURCE), ("B", TARGET))) is None
