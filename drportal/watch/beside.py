"""What the portal wants of each of the poller's rounds beside the inventory."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.utils import timezone

from drportal.engine.facts import Side
from drportal.inventory.models import SitePair
from drportal.inventory.polling import RoundSeen
from drportal.recovery.quarantine_watch import QuarantineWatch
from drportal.watch.refusals import refusals_keep, refused_since


class Watches:
    """``Beside`` of the poller: the eye on sites that were lost, and the ear at each site's door."""

    def __init__(self) -> None:
        self._quarantines = QuarantineWatch()

    def suspects(self, pair: SitePair) -> Mapping[Side, Collection[str]]:
        return self._quarantines.suspects(pair)

    def refused_since(self, pair: SitePair) -> Mapping[Side, int]:
        return refused_since(pair, timezone.now())

    def seen(self, one: RoundSeen) -> None:
        self._quarantines.seen(one)
        for side, reading in one.readings.items():
            if reading.refusals is not None:
                refusals_keep(one.pair.a if side is Side.A else one.pair.b, reading.refusals, one.now)
