"""Many images read at once (``CephSite.observe``)."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field

from drportal.drivers.base import (
    Answer,
    ImageInfo,
    ImageRef,
    JournalReading,
    MirrorClients,
    MirrorStatus,
    PoolReading,
    SnapshotReading,
    WatcherReading,
)
from drportal.drivers.errors import DriverError


class Part(enum.StrEnum):
    """What can be asked for. Of one image a site reads in this order: positions never before the role.

    POOL is the reading of ``CephSite.pool``, MIRROR_CLIENTS that of ``CephSite.mirror_clients``, the others an image's.
    """

    INFO = "info"
    JOURNAL = "journal"
    SNAPSHOTS = "snapshots"
    WATCHERS = "watchers"
    STATUS = "status"
    POOL = "pool"
    MIRROR_CLIENTS = "mirror-clients"


IMAGE_PARTS = (Part.INFO, Part.JOURNAL, Part.SNAPSHOTS, Part.WATCHERS, Part.STATUS)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a copy holds that its peer never had. ``entries``: writes of its journal; None in snapshot mode."""

    entries: int | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ImageObservation:
    """The parts of one image that were asked for and could be read.

    A part that could not be read is in ``troubles``; ``journal`` is also None for an image without one. ``absent``: the
    site answered that it has no such image.
    """

    ref: ImageRef
    absent: bool = False
    info: ImageInfo | None = None
    journal: JournalReading | None = None
    snapshots: SnapshotReading | None = None
    watchers: WatcherReading | None = None
    status: MirrorStatus | None = None
    troubles: dict[Part, DriverError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """Many images read in as few exchanges as the site allows. ``pool`` and ``mirror_clients`` where asked for.

    ``news``: where the site tells only what it has not told before, the raw parts of images that say something new.
    ``images`` has all of them then, each as it is at ``asked_at``, whenever it was told.
    """

    images: dict[str, ImageObservation]
    pool: PoolReading | None
    mirror_clients: MirrorClients | None
    answers: tuple[Answer, ...]
    asked_at: dt.datetime | None = None
    news: tuple[Answer, ...] | None = None
