"""What the first page says of thousands of images, worked out once a round of the poller and not for each browser.

Nothing is kept longer than what it was made from stays the same: the poller's rounds, discoveries, plans with their
groups, and sites. What grows with time alone (exposure, and whether anybody watches) is worked out for each answer.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from drportal.engine.verdicts import VerdictCode
from drportal.inventory.images import contested
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.schemas import watched
from drportal.recovery.models import ProtectionGroup, RecoveryPlan
from drportal.watch.gaps import counts_of, gaps_of
from drportal.watch.models import GroupTarget

Stamp = tuple[object, ...]
KEEP_S = 60.0  # gaps grow old too, also while no round comes


@dataclass(frozen=True, slots=True)
class Round:
    """``speak``: of the mirrored images those that can be the worst now or later; ``groups``: the same of each group's.

    ``counts``: images by the verdict in their row.
    """

    counts: Mapping[str, int]
    two_primaries: tuple[MirroredImage, ...]
    speak: tuple[MirroredImage, ...]
    groups: Mapping[int, tuple[MirroredImage, ...]]
    gaps: Mapping[str, int]

    def counts_now(self, pair: SitePair, now: dt.datetime) -> Counter[str]:
        """While nobody watches, everything is *cannot tell*."""
        if watched(pair, now):
            return Counter(self.counts)
        return +Counter({VerdictCode.CANNOT_TELL.value: sum(self.counts.values())})


_kept: dict[int, tuple[Stamp, dt.datetime, Round]] = {}
_one_at_a_time = threading.Lock()


def round_of(pair: SitePair, now: dt.datetime) -> Round:
    """``pair``: as it is in the database now, with its sites."""
    with _one_at_a_time:
        stamp, kept = stamp_of(pair), _kept.get(pair.pk)
        if kept is not None and kept[0] == stamp and 0 <= (now - kept[1]).total_seconds() < KEEP_S:
            return kept[2]
        made = work_out(pair)
        # A pair that was never looked at has no rounds that could say when something is new.
        if pair.polled_at is not None:
            _kept[pair.pk] = (stamp, now, made)
        return made


def stamp_of(pair: SitePair) -> Stamp:
    """What the answer depends on. Images, VMs, pools and the ground change in a round or a discovery only."""
    groups = ProtectionGroup.objects.filter(pair=pair).order_by("pk").values_list("pk", "active_site_id", "name")
    plans = RecoveryPlan.objects.order_by("pk").values_list("pk", "version")
    sites = Site.objects.filter(pk__in=[pair.a_id, pair.b_id]).order_by("pk").values_list("pk", "version")
    targets = GroupTarget.objects.order_by("pk").values_list("group", "rpo_s")
    seen = (pair.polled_at, pair.discovered_at, pair.version)
    return *seen, tuple(groups), tuple(plans), tuple(sites), tuple(targets)


def part_of_round(pair: SitePair, seen: QuerySet[MirroredImage]) -> Round:
    """The same of some of the pair's images, for who does not see the pair whole; without gaps, and kept for nobody."""
    return work_out(pair, seen)


def work_out(pair: SitePair, seen: QuerySet[MirroredImage] | None = None) -> Round:
    """``seen``: nothing of other images, and no gaps: those are found of the whole pair."""
    all_rows = MirroredImage.objects.all() if seen is None else seen
    rows = all_rows.filter(pair=pair, gone_at=None)
    images = {row.pk: row for row in rows.only("pair", "pool", "name", "global_id", "verdict", "protected_until")}
    for row in images.values():
        row.pair = pair
    members = ProtectionGroup.objects.filter(pair=pair, members__vm__disks__image__isnull=False).order_by()
    groups: dict[int, list[MirroredImage]] = {}
    for group_id, image_id in members.values_list("pk", "members__vm__disks__image").distinct():
        if image_id in images:
            groups.setdefault(group_id, []).append(images[image_id])
    both = rows.filter(contested())
    return Round(
        counts=Counter(row.verdict for row in images.values()),
        two_primaries=tuple(both.order_by("pool", "name")),
        speak=speakers(row for row in images.values() if row.global_id),
        groups={group_id: speakers(own) for group_id, own in groups.items()},
        gaps=counts_of(gaps_of(pair)) if seen is None else {},
    )


def speakers(rows: Iterable[MirroredImage]) -> tuple[MirroredImage, ...]:
    """Of each verdict the image whose proof is oldest, and one that has none. Whatever the clock says, and whether or
    not somebody watches, no other is worse: exposure depends on verdict and proof, and grows with the proof's age.
    """
    found: dict[tuple[str, bool], MirroredImage] = {}
    for row in rows:
        key = (row.verdict, row.protected_until is None)
        other = found.get(key)
        if other is None or _older(row, other):
            found[key] = row
    return tuple(found.values())


def _older(row: MirroredImage, other: MirroredImage) -> bool:
    if row.protected_until is None or other.protected_until is None:
        return False
    return row.protected_until < other.protected_until
