"""What a protection gap is, and what its remedy is made of. Pure; the gaps themselves are in ``gaps.py`` and beside it.

A remedy is commands to copy, byte for byte as they would be typed, each with where and what it does; or a page of the
portal that does it. The portal itself never sends these commands.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass


class GapCode(enum.StrEnum):
    NOT_MIRRORED = "not_mirrored"
    NO_COPY = "no_copy"
    FEATURES_OFF = "features_off"
    NOT_FLATTENED = "not_flattened"
    NOT_PERSISTENT = "not_persistent"
    VOLATILE_DISK = "volatile_disk"
    FOREIGN_DISK = "foreign_disk"
    HOST_DEVICE = "host_device"
    NO_SNAPSHOTS = "no_snapshots"
    NO_SCHEDULE = "no_schedule"
    SCHEDULE_TOO_LONG = "schedule_too_long"
    SCHEDULES_UNKNOWN = "schedules_unknown"
    PEER_ONE_WAY = "peer_one_way"
    NO_PEER = "no_peer"
    DAEMON_DEAD = "daemon_dead"
    POOL_UNMIRRORED = "pool_unmirrored"
    POOL_GONE = "pool_gone"
    NAME_TAKEN = "name_taken"
    IMAGE_COLLISION = "image_collision"
    NETWORK_UNMAPPED = "network_unmapped"
    NO_ROOM = "no_room"
    NO_DEFINITION = "no_definition"
    DEFINITION_OLD = "definition_old"
    DEFINITION_DRIFTED = "definition_drifted"
    ADDRESS_TWICE = "address_twice"
    SOURCE_TWICE = "source_twice"
    CLOCK_SKEW = "clock_skew"
    VERSION = "version"


class GapLevel(enum.StrEnum):
    """*unprotected*: a loss of the site loses this. *risk*: a recovery would stumble. *note*: look at it."""

    UNPROTECTED = "unprotected"
    RISK = "risk"
    NOTE = "note"


class Host(enum.StrEnum):
    """On which of a site's machines a command is typed."""

    CEPH = "a host with Ceph's admin key"
    EVERY_CEPH = "each host of Ceph"
    MIRROR = "the host of rbd-mirror"
    FRONT_END = "OpenNebula's front end, as oneadmin"


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a remedy. ``site`` empty: at either. ``does``: what it does, or when it is the one to choose."""

    text: str
    site: str
    host: Host
    does: str


@dataclass(frozen=True, slots=True)
class Gap:
    """``commands``: in the order in which they are typed. ``path``: the page of the portal where the remedy is found.

    ``subject``: what it is about, as the page lists it; ``detail`` tells two gaps of a code and subject apart.
    """

    code: GapCode
    level: GapLevel
    subject: str
    sentence: str
    remedy: str
    commands: tuple[Typed, ...] = ()
    path: str = ""
    detail: str = ""

    @property
    def told_remedy(self) -> str:
        """In one line, for where there is no room for a list."""
        return " ".join([self.remedy, *(f"At {one.site or 'either site'}: {one.text}" for one in self.commands)])


def command_words(*words: object) -> str:
    return shlex.join([str(word) for word in words])


def on_ceph(site: str, does: str, *words: object) -> Typed:
    return Typed(command_words(*words), site, Host.CEPH, does)


def on_front_end(site: str, does: str, *words: object) -> Typed:
    return Typed(command_words(*words), site, Host.FRONT_END, does)
