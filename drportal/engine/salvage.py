"""What becomes of the writes that only a returned site has, before its copy is discarded: chosen for each image."""

from __future__ import annotations

import enum
from typing import NamedTuple


class SalvageWay(enum.StrEnum):
    EXPORT = "export"  # to a file in the site's directory for salvage, with checksum and size
    COPY = "copy"  # to an image of the same pool under a new name, which is not mirrored
    WAIVE = "waive"  # not saved, with a reason


class SalvageChoice(NamedTuple):
    """``reason``: of what is waived."""

    way: SalvageWay
    reason: str = ""
