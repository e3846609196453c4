"""What both sides say about one image, read now: for people at a terminal and for scripts.

Exit status: 0 protected (either way round), 1 anything else that is known, 2 cannot tell, 3 no such image.
"""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drportal.drivers.base import ImageRef
from drportal.drivers.names import BadName
from drportal.engine.facts import Side, SideFacts
from drportal.engine.verdicts import Verdict, VerdictCode
from drportal.errors import PortalError
from drportal.inventory.connect import Reach, SiteDrivers, site_drivers
from drportal.inventory.facts import side_from_json
from drportal.inventory.images import POLICY, home_sides, judge, updated_side
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.reading import SiteReader, SiteReading
from drportal.inventory.schemas_sides import side_state

PROTECTED = {VerdictCode.PROTECTED, VerdictCode.PROTECTED_REVERSED}
NO_SUCH_IMAGE = 3


def exit_status(code: VerdictCode) -> int:
    return 2 if code is VerdictCode.CANNOT_TELL else 0 if code in PROTECTED else 1


async def look(drivers: dict[Side, SiteDrivers], ref: ImageRef) -> dict[Side, SiteReading]:
    """Both sides at the same time, storage only being needed."""
    try:
        readers = (SiteReader(one).look([ref.pool], lambda pools: [ref] if pools else []) for one in drivers.values())
        return dict(zip(drivers, await asyncio.gather(*readers), strict=True))
    finally:
        await asyncio.gather(*(one.close() for one in drivers.values()), return_exceptions=True)


def connected(pair: SitePair) -> dict[Side, SiteDrivers]:
    sites: dict[Side, Site] = {Side.A: pair.a, Side.B: pair.b}
    return {side: site_drivers(site, Reach(sessions=2)) for side, site in sites.items()}


class Command(BaseCommand):
    help = "Read both sites now and print the verdict on POOL/IMAGE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("image", metavar="POOL/IMAGE")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        pool, _, name = options["image"].partition("/")
        try:
            ref = ImageRef(pool, name)
            row = MirroredImage.objects.select_related("pair__a", "pair__b").filter(pool=pool, name=name).first()
            if row is None:
                raise CommandError(f"{ref} is not known. Run a discovery first.", returncode=NO_SUCH_IMAGE)
            sides, judged = read_now(row, ref)
        except (BadName, PortalError) as error:
            raise CommandError(str(error), returncode=2) from error
        self.print(row, sides, judged, as_json=options["json"])
        if status := exit_status(judged.code):
            raise SystemExit(status)

    def print(self, row: MirroredImage, sides: dict[Side, SideFacts], judged: Verdict, *, as_json: bool) -> None:
        names = {Side.A: row.pair.a.slug, Side.B: row.pair.b.slug}
        now = timezone.now()
        states = {names[side]: side_state(facts, now).dict() for side, facts in sides.items()}
        if as_json:
            said = {"image": str(row), "verdict": judged.code, "sentence": judged.sentence, "sides": states}
            said |= {"allowed": judged.allowed, "needs": judged.needs}
            self.stdout.write(json.dumps(said, indent=1, default=str))
            return
        self.stdout.write(f"{row}: {judged.code}\n{judged.sentence}")
        for slug, state in states.items():
            role = {True: "primary", False: "not primary", None: "role not read"}[state["primary"]]
            age = "unknown" if state["status_age_s"] is None else f"{state['status_age_s']:.0f} s ago"
            self.stdout.write(f"  {slug}: {role}; status {state['state'] or 'not read'}, written {age}")


def read_now(row: MirroredImage, ref: ImageRef) -> tuple[dict[Side, SideFacts], Verdict]:
    """Fresh facts of both sides and the verdict on them."""
    readings = asyncio.run(look(connected(row.pair), ref))
    now = timezone.now()
    # Of what is stored, only when a side was last heard: everything else has to be read now or is not known.
    kept = {Side.A: side_from_json(row.side_a), Side.B: side_from_json(row.side_b)}
    blank = {side: SideFacts(reachable=None, last_heard=facts.last_heard) for side, facts in kept.items()}
    sides = {side: updated_side(blank[side], row.pool, row.name, ref, one, now) for side, one in readings.items()}
    return sides, judge(sides, row.pair, home_sides(row.pair).get(row.pk), now, POLICY)
