"""Gaps of schedules, over the images of a pair that are mirrored in snapshot mode."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from drportal.engine.gap_base import Gap
from drportal.engine.schedule_gaps import schedule_gaps, unknown_gap
from drportal.inventory.models import MirroredImage, SitePair
from drportal.inventory.schedules import KnownSchedules
from drportal.watch.targets import targets_of_images


def schedule_gaps_of(pair: SitePair, now: dt.datetime) -> Iterator[Gap]:
    """An image that is primary nowhere has none: it is on its way."""
    known, targets = KnownSchedules((pair.a, pair.b), now), targets_of_images()
    rows = MirroredImage.objects.filter(pair=pair, gone_at=None, mode="snapshot").exclude(primary_side="")
    pools = set[str]()
    for row in rows.only("pool", "name", "primary_side"):
        pools.add(row.pool)
        a, b = known.at(pair.a, row.pool, row.name), known.at(pair.b, row.pool, row.name)
        primary, other = (a, b) if row.primary_side == "a" else (b, a)
        yield from schedule_gaps(str(row), primary, other, targets.get(row.pk))
    for site in (pair.a, pair.b):
        for pool in sorted(pools):
            kept = known.rows.get((site.pk, pool))
            if kept is not None and kept.trouble:
                yield unknown_gap(pool, site.name, kept.trouble)
