"""Which tests run together and which begin first, when ``pytest -n`` deals them out to several processes.

Tests that share something costly stay in one process, so that it is built once; what takes long begins first, so that
nobody waits for it alone at the end. And there are two queues: what waits (for the beats of real Ceph) and what
computes. Half of the processes begin with the one and half with the other, so that the cores have something to do while
the first wait, and Ceph's beats come in time while the second compute. Without ``-n`` nothing of this matters.

pytest-xdist has a mark for this (``xdist_group``), which does nothing under pytest 9: a test's id no longer changes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Two real clusters take half a minute to build and then mostly wait for a beat of 30 s: beside each other, and first.
CONTRACT = re.compile(
    r"^(tests/contract/\w+)\.py::.*\[((?:embedded|ceph)(?:-program(?:-(?:librbd|rbd|installed))?)?)(?:-\w+)?\]$"
)
# Some of the site program's tests share two clusters whose mirror daemons are dead.
SITE_PROGRAM = re.compile(
    r"^tests/site_program/test_(?:faults\.py::\w+\[((?:lib)?rbd)\b|(?:shut_out\.py::test_on_real|least_caps))"
)
REAL_CEPH = re.compile(r"^tests/(lab/test_ceph_lab|inventory/test_exposure_and_truth)\.py|\[ceph[\w-]*\]$")
# These share nothing: each has a lab of its own, or is costly by itself.
ALONE = (
    "tests/api/test_schema",
    "tests/faults/",
    "tests/contract/",
    "tests/end_to_end/test_in_the_browser",
    "tests/end_to_end/test_failover",
    "tests/end_to_end/test_lost",
    "tests/engine/test_m",
    "tests/test_seeded",
)
LONGEST = ("test_traps", "test_lost_and_home", "test_second_disaster")  # of those that wait for Ceph
SEEDS = re.compile(r"test_killing_processes\.py::.*\[(\d+)\]$")
SEEDS_TOGETHER = 5
AHEAD = 2


def company(nodeid: str) -> str:
    """The name of the group that stays in one process: by default a file."""
    file = nodeid.partition("::")[0]
    if contract := CONTRACT.match(nodeid):
        return _contract(*contract.groups())
    if real := _on_real_ceph(nodeid):
        return f"real Ceph: {real}"
    if seed := SEEDS.search(nodeid):
        return f"{file} {int(seed[1]) // SEEDS_TOGETHER}"
    return nodeid if nodeid.startswith(ALONE) else file


def _contract(file: str, kind: str) -> str:
    """The traps by themselves: they take longest, and too many at once would slow Ceph's beats that they live by.

    The few scenarios of the installed program follow those of the one that is sent, in the same clusters.
    """
    kind = {"embedded-program-installed": "embedded-program", "ceph-program-installed": "ceph-program-librbd"}.get(
        kind, kind
    )
    alone = file.endswith("test_traps") and kind != "ceph-program-rbd"  # of which there is but one
    about = f"{file} {kind}" if alone else f"tests/contract/ {kind}"
    return f"real Ceph: {about}" if kind.startswith("ceph") else about


def _on_real_ceph(nodeid: str) -> str:
    """Which tests share the two clusters; empty for a test that has none."""
    if of_the_program := SITE_PROGRAM.match(nodeid):
        return f"site program {of_the_program[1] or 'rbd'}"
    return nodeid.partition("::")[0] if REAL_CEPH.search(nodeid) else ""


def waits(group: str) -> bool:
    """For Ceph, and has little to compute meanwhile."""
    return group.startswith("real Ceph")


def rank(group: str, *, slow: bool = False) -> int:
    """Low numbers begin first. ``slow``: one of its tests is marked so."""
    if waits(group):
        return 0 if any(file in group for file in LONGEST) else 1
    if group.startswith("tests/faults/test_kill_anywhere"):
        return 0
    if group.startswith("tests/end_to_end/"):
        return 2
    return 3 if slow or group.startswith(("tests/contract/", "tests/engine/test_m")) else 4


class Spread(LoadScopeScheduling):  # type: ignore[misc]
    """Groups by ``company``, in the order in which the processes collected them (``in_order``)."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return company(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        """The next group of the node's own queue or, when there is none, of the other one."""
        group = next_for(self.place_of(node), self.workqueue)
        self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)

    def place_of(self, node: Any) -> int:
        return list(self.registered_collections).index(node)

    def _reschedule(self, node: Any) -> None:
        """A process has to know one test beyond the one it runs; what more it had would wait behind that in vain."""
        if self._pending_of(self.assigned_work[node]) < AHEAD or not self.workqueue:
            super()._reschedule(node)


def next_for(place: int, queue: Iterable[str]) -> str:
    """Every second process takes what waits."""
    groups = list(queue)
    return next((group for group in groups if waits(group) == (place % 2 == 0)), groups[0])


def in_order(items: list[pytest.Item]) -> None:
    twice = [nodeid for nodeid, times in Counter(item.nodeid for item in items).items() if times > 1]
    if twice:
        raise pytest.UsageError(f"Tests with one id: all but one of them would not be run. {', '.join(twice)}")
    slow = {company(item.nodeid) for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        group = company(item.nodeid)
        return rank(group, slow=group in slow)

    items.sort(key=place)
