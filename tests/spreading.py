"""Which tests run together and which begin first, when ``pytest -n`` deals them out to several processes.

Tests that share something costly stay in one process, so that it is built once; what takes long begins first, so that
nobody waits for it alone at the end. Without ``-n`` nothing of this matters.

pytest-xdist has a mark for this (``xdist_group``), which does nothing under pytest 9: a test's id no longer changes.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Two real clusters take half a minute to build and then mostly wait for a beat of 30 s: beside each other, and first.
CONTRACT = re.compile(
    r"^(tests/contract/\w+)\.py::.*\[((?:embedded|ceph)(?:-program(?:-(?:librbd|rbd|installed))?)?)(?:-\w+)?\]$"
)
SITE_FAULTS = re.compile(r"^tests/site_program/test_faults\.py::(\w+)\[((?:lib)?rbd)-")
REAL_CEPH = re.compile(
    r"^tests/(lab/test_ceph_lab|site_program/test_least_caps|inventory/test_exposure_and_truth)\.py|\[ceph[\w-]*\]$"
)
# Each of these tests has a lab of its own, and takes 5 to 60 seconds.
ALONE = (
    "tests/faults/",
    "tests/contract/",
    "tests/end_to_end/test_in_the_browser",
    "tests/end_to_end/test_failover",
    "tests/end_to_end/test_lost",
    "tests/engine/test_m",
    "tests/test_seeded",
)
SEEDS = re.compile(r"test_killing_processes\.py::.*\[(\d+)\]$")
SEEDS_TOGETHER = 10


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
    about = f"{file} {kind}" if file.endswith("test_traps") else f"tests/contract/ {kind}"
    return f"real Ceph: {about}" if kind.startswith("ceph") else about


def _on_real_ceph(nodeid: str) -> str:
    """Which tests share the two clusters; empty for a test that has none."""
    if fault := SITE_FAULTS.match(nodeid):
        return f"{fault[1]} {fault[2]}"
    return nodeid.partition("::")[0] if REAL_CEPH.search(nodeid) else ""


def rank(group: str) -> int:
    """Low numbers begin first."""
    if group.startswith("real Ceph"):
        return 0 if "test_traps" in group else 1
    if group.startswith(("tests/end_to_end/", "tests/faults/test_kill_anywhere")):
        return 2
    return 3 if group.startswith(ALONE) else 4


class Spread(LoadScopeScheduling):  # type: ignore[misc]
    """Groups by ``company``, in the order in which the processes collected them (``in_order``)."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return company(nodeid)


def in_order(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(company(item.nodeid)))
