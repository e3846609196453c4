from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drportal.inventory.models import CephThrough
from drportal.lab.control import LabClient
from tests.faults.stack import Portal, WatchedLab
from tests.witness import PrimaryWitness


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabClient]:
    """A lab of the test's own, with its records empty."""
    with WatchedLab(tmp_path / "lab") as lab:
        yield lab.client


@pytest.fixture
def through() -> CephThrough:
    """How the sites' Ceph is reached; a test that is parametrized with this name has it its own way."""
    return CephThrough.PROGRAM


@pytest.fixture
def portal(
    tmp_path: Path, lab: LabClient, transactional_db: None, monkeypatch: pytest.MonkeyPatch, through: CephThrough
) -> Iterator[Portal]:
    portal = Portal(tmp_path, lab, monkeypatch, through)
    try:
        portal.start()
        yield portal
    finally:
        portal.stop()


@pytest.fixture
def witness(lab: LabClient) -> Iterator[PrimaryWitness]:
    """Looks on from the beginning; the test ends with ``assert_clean``."""
    with PrimaryWitness(lab, pause_s=0.05) as witness:
        yield witness
