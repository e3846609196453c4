"""The lab's two sites as the portal knows them, for discovery and polling."""

from __future__ import annotations

import pytest

from drportal.inventory.introduce import introduce
from drportal.inventory.models import SitePair
from drportal.lab.control import LabClient


@pytest.fixture
def lab_pair(lab: LabClient, transactional_db: None) -> SitePair:
    """Known to the portal; nothing discovered yet."""
    return introduce(lab.description)
