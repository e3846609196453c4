"""Which versions of Ceph and OpenNebula the portal is tested with."""

from __future__ import annotations

import re
from dataclasses import dataclass

CEPH_MEASURED = (16, 2)
CEPH_FROM, CEPH_UNTIL = (15, 2), (20, 0)
OPENNEBULA_MEASURED = (7, 5)
OPENNEBULA_FROM, OPENNEBULA_UNTIL = (6, 4), (8, 0)


@dataclass(frozen=True, slots=True)
class Support:
    """``ok`` None: the version is not known. True: within what is supported (``sentence`` says how well)."""

    ok: bool | None
    sentence: str


def ceph_support(version: str) -> Support:
    """Per-image snapshot mirroring needs 15.2; what 20 changes is not known."""
    return _support("Ceph", version, CEPH_FROM, CEPH_UNTIL, CEPH_MEASURED)


def opennebula_support(version: str) -> Support:
    return _support("OpenNebula", version, OPENNEBULA_FROM, OPENNEBULA_UNTIL, OPENNEBULA_MEASURED)


def _support(
    what: str, version: str, first: tuple[int, int], until: tuple[int, int], measured: tuple[int, int]
) -> Support:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        return Support(None, f"Which {what} it runs is not known.")
    number = (int(found[1]), int(found[2]))
    span = f"{first[0]}.{first[1]} up to, not including, {until[0]}.{until[1]}"
    if not first <= number < until:
        return Support(False, f"{what} {version} is not supported; {span} is.")
    if number == measured:
        return Support(True, f"{what} {version} is supported; the measurements were made with it.")
    return Support(True, f"{what} {version} is supported; the measurements were made with {measured[0]}.{measured[1]}.")
