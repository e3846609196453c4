"""``python -m tests.bench.growth``: rows and bytes of the database after the first look, which is the inventory itself,
and at the end of each of forty days of watching.

The poller's own writing, thinning and dropping included, with its clock driven: the sites are made up, and a day takes
a minute. Most is kept by image, so a few hundred images stand for ten thousand; what is kept by site is counted as it
is. These days are worse than most: every image is in trouble and well again many times in each.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests import with_postgres
from tests.bench.figures import lined_up
from tests.bench.goals import Figure, report
from tests.bench.live import prepare, say

SCALE, GROWTH_MB = 10_000, 50.0
BEGAN = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
FINE_DAYS, FINE_ROUNDS, ROUNDS = 3, 288, 24  # looks a day: at first one for each slot of the curve
TICK_S = 30  # a daemon writes its status
ROUND_S, SHARE = 5.0, 0.01  # of the images something else is said from one real round to the next
DOCUMENT_BYTES = 300_000  # an answer of a large front end, before it is cut
POOL = "one"
SHOWN = (0, 1, 2, 3, 7, 14, 31, 40)  # days
# What the others hold does not grow with the images, or is bounded for a site.
OF_IMAGES = {"inventory_mirroredimage", "inventory_exposureday", "inventory_observation"}


@dataclass(frozen=True, slots=True)
class Table:
    """``of_sites``: of the bytes those that do not grow with the images; ``indexes``: those of indexes that do."""

    rows: int
    bytes: int
    indexes: int
    of_sites: int = 0


NONE = Table(0, 0, 0)


@dataclass(slots=True)
class Sites:
    """Two sites with so many images, half of them in snapshot mode. ``odd``: those whose copy does not replay now."""

    images: int
    seed: random.Random = field(default_factory=lambda: random.Random(7))
    odd: set[int] = field(default_factory=set)

    def names(self) -> tuple[str, ...]:
        return tuple(f"one-{number}" for number in range(self.images))

    def turn(self, passed_s: float) -> set[int]:
        """So much time passes; the images of which something else is said than before."""
        share = 1.0 - (1.0 - SHARE) ** (passed_s / ROUND_S)
        turned = set(self.seed.sample(range(self.images), int(self.images * share)))
        self.odd ^= turned
        return turned

    def reading(self, side: Any, now: dt.datetime, turned: Iterable[int], *, everything: bool) -> Any:
        """As ``SiteReader`` gives it of a large pool: whole, but raw answers only of what is news."""
        from drportal.drivers.base import ImageRef, PoolReading
        from drportal.drivers.ceph_parse import mirror_status
        from drportal.inventory.reading import Heard, SiteReading

        names, written = self.names(), now - dt.timedelta(seconds=now.timestamp() % TICK_S)
        said = {name: self._status(side, number, name, written) for number, name in enumerate(names)}
        listing = json.dumps([{"image": name} for name in names])
        about = {"summary": {"health": "WARNING" if self.odd else "OK"}, "daemons": [], "at": str(written)}
        answers = [
            (POOL, _answer(f"observe-pool {POOL} (status)", json.dumps(about), now)),
            (POOL, _answer(f"observe-pool {POOL} (listing)", listing, now)),
        ]
        for number in range(self.images) if everything else sorted(turned):
            name, text = f"{POOL}/{names[number]}", json.dumps(said[names[number]])
            answers.append((name, _answer(f"observe-image {name} status", text, now)))
            if everything:
                answers.append((name, _answer(f"observe-image {name}", text, now)))
        for pool in ("vmpool.infoextended", "imagepool.info"):
            document = f"<POOL at='{now}'>{'<VM><ID>1</ID><STATE>3</STATE></VM>' * (DOCUMENT_BYTES // 35)}</POOL>"
            answers.append(("opennebula", _answer(f"one.{pool}(-2, 0, -500, -1)", document, now)))
        for pool in ("vnpool.info", "datastorepool.info", "hostpool.info"):
            answers.append(("opennebula", _answer(f"one.{pool}(-2)", f"<POOL at='{now}'/>" * 40, now)))
        found = PoolReading(
            POOL, "image", "", (), "OK", "OK", (), {n: mirror_status(one, now) for n, one in said.items()}, names, {},
            0.0, (_answer("observe-pool", "", now),),
        )  # fmt: skip
        infos = {ImageRef(POOL, name): self._info(side, number, name, now) for number, name in enumerate(names)}
        heard = Heard(True)
        return SiteReading(now, heard, heard, heard, {POOL: found}, infos=infos, answers=answers)

    def _status(self, side: Any, number: int, name: str, at: dt.datetime) -> dict[str, Any]:
        written = f"{at:%Y-%m-%d %H:%M:%S}"
        whole = {"name": name, "global_id": f"gid-{number}", "last_update": written, "peer_sites": []}
        if side.value == "a":
            return {**whole, "state": "up+stopped", "description": "local image is primary"}
        if number in self.odd:
            return {**whole, "state": "up+error", "description": "failed to refresh the remote image"}
        entries = int(at.timestamp()) - int(BEGAN.timestamp())
        place = {"entry_tid": entries, "object_number": entries // 4096, "tag_tid": 3}
        told: dict[str, Any] = {"bytes_per_second": 32768.0, "entries_behind_primary": 0, "entries_per_second": 2.0}
        if number % 2:
            told |= {"non_primary_position": place, "primary_position": place}
        else:
            stamp = int(at.timestamp())
            told |= {"local_snapshot_timestamp": stamp, "remote_snapshot_timestamp": stamp, "replay_state": "idle"}
        return {**whole, "state": "up+replaying", "description": f"replaying, {json.dumps(told)}"}

    def _info(self, side: Any, number: int, name: str, now: dt.datetime) -> Any:
        from drportal.drivers.base import ImageInfo, ImageRef, MirrorMode

        mode = MirrorMode.JOURNAL if number % 2 else MirrorMode.SNAPSHOT
        features = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten")
        if mode is MirrorMode.JOURNAL:
            features += ("journaling",)
        primary = side.value == "a"
        answer = _answer("observe-image", "", now)
        ref, gid = ImageRef(POOL, name), f"gid-{number}"
        return ImageInfo(ref, f"{side.value}{number}", 2**34, features, None, mode, "enabled", gid, primary, answer)


def _answer(command: str, said: str, at: dt.datetime) -> Any:
    from drportal.drivers.base import Answer

    return Answer(command, "site", 0, said, "", at, 0.1)


def watched_days(images: int, days: int, told: Callable[[int, dict[str, Table]], None]) -> Counter[str]:
    """Watch for so many days; ``told`` hears what there is after the first look (0) and at the end of each day. How
    often each table was tidied."""
    from drportal.engine.facts import Side
    from drportal.inventory import exposure
    from drportal.inventory.models import Site, SitePair
    from drportal.inventory.polling import PairWatch

    a, b = (
        Site.objects.create(slug=slug, name=slug, ssh_host="h", ssh_user="u", opennebula_url="http://h/RPC2")
        for slug in ("site-a", "site-b")
    )
    pair = SitePair.objects.create(a=a, b=b, pools=[POOL])
    exposure.SMALL = 0  # a few images are written down as often as many
    watch, sites, tidied = PairWatch(pair.pk, "bench", ROUND_S), Sites(images), Counter[str]()
    for day in range(days):
        rounds = FINE_ROUNDS if day < FINE_DAYS else ROUNDS
        for number in range(rounds):
            now = BEGAN + dt.timedelta(days=day, seconds=86_400 / rounds * number)
            turned = sites.turn(86_400 / rounds)
            first = day == number == 0
            watch._write(pair, {side: sites.reading(side, now, turned, everything=first) for side in Side}, now)
            tidied.update(_tidied_as_a_database_does(images))
            if first:
                told(0, tables())
        told(day + 1, tables())
    return tidied


# As autovacuum takes a table's own settings, and where it has none the server's; both counted with ten thousand images.
_TO_BE_TIDIED = """
    SELECT relid::regclass, n_dead_tup * {share} > {threshold} + {factor} * greatest(reltuples, 0) * {share}
    FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
    WHERE pg_class.relname = ANY(%s) AND n_dead_tup > 0
"""
_SETTING = """
    coalesce(
        (SELECT option_value FROM pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_vacuum_{name}'),
        current_setting('autovacuum_vacuum_{name}')
    )::float
"""


def _tidied_as_a_database_does(images: int) -> list[str]:
    """Once a minute PostgreSQL looks by itself for what is to be tidied; days go by faster here than its minutes. (What
    does not grow with the images is left to it.)"""
    from django.db import connection

    if connection.vendor != "postgresql":
        return []
    threshold, factor = (_SETTING.format(name=name) for name in ("threshold", "scale_factor"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        due = _TO_BE_TIDIED.format(share=SCALE / images, threshold=threshold, factor=factor)
        cursor.execute(due, [sorted(OF_IMAGES)])
        found = [str(table) for table, is_due in cursor.fetchall() if is_due]
        for table in found:
            cursor.execute(f"VACUUM {table}")
    return found


# All bytes; those of indexes; those of the maps of free room, whose least size is that of some thousand images.
_SIZES_POSTGRES = """
    SELECT pg_total_relation_size(%(name)s), pg_indexes_size(%(name)s),
        sum(pg_relation_size(oid, 'fsm') + pg_relation_size(oid, 'vm'))
    FROM pg_class, (SELECT reltoastrelid AS toast FROM pg_class WHERE oid = %(name)s::regclass) AS of_it
    WHERE oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (%(name)s::regclass, toast))
        OR oid IN (%(name)s::regclass, toast)
"""
_SIZES_SQLITE = """
    SELECT sum(pgsize), sum(CASE WHEN type = 'index' THEN pgsize ELSE 0 END), 0
    FROM dbstat JOIN sqlite_master USING (name) WHERE tbl_name = %(name)s
"""


def tables() -> dict[str, Table]:
    """Each table that has rows, with its indexes. Of SQLite's file without the pages that are free to be used again."""
    from django.apps import apps
    from django.db import connection

    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_models():
            name = model._meta.db_table
            if not model._meta.managed or not (rows := model._default_manager.count()):
                continue
            cursor.execute(_SIZES_POSTGRES if connection.vendor == "postgresql" else _SIZES_SQLITE, {"name": name})
            size, indexes, maps = map(int, cursor.fetchone())
            found[name] = Table(rows, size, indexes, maps if name in OF_IMAGES else size)
        # A site's other columns are of no more than some 200 bytes, with their place in the indexes.
        length = "pg_column_size(packed)" if connection.vendor == "postgresql" else "length(packed)"
        cursor.execute(f"SELECT sum({length} + 200) FROM inventory_observation WHERE subject NOT LIKE '%/%'")
        answers, of_sites = found["inventory_observation"], int(cursor.fetchone()[0] or 0)
        found["inventory_observation"] = replace(answers, of_sites=answers.of_sites + of_sites)
    return found


def megabytes(table: Table, images: int) -> float:
    """With ten thousand images."""
    return (table.of_sites + (table.bytes - table.of_sites) * SCALE / images) / 2**20


def measured(images: int, days: int) -> int:
    found: list[dict[str, Table]] = []

    def told(day: int, there: dict[str, Table]) -> None:
        found.append(there)
        say(f"{day_words(day)}: {sum(megabytes(table, images) for table in there.values()):.0f} MB")

    tidied = watched_days(images, days, told)
    names = sorted(found[-1], key=lambda name: -megabytes(found[-1][name], images))
    shown = [day for day in SHOWN if day <= days]
    rows = [("MB with ten thousand images", *map(day_words, shown), "of it indexes", f"rows with {images}")]
    for name in names[:8]:
        at = [found[day].get(name, NONE) for day in shown]
        last = found[-1][name]
        indexes = last.indexes * (SCALE / images if name in OF_IMAGES else 1) / 2**20
        sizes = (f"{megabytes(table, images):.1f}" for table in at)
        rows.append((name, *sizes, f"{indexes:.1f}", str(last.rows)))
    sizes = [sum(megabytes(table, images) for table in there.values()) for there in found]
    grown = [after - before for before, after in pairwise(sizes)]
    later = grown[1:][-7:] or grown
    figures = [
        Figure("the inventory itself: the database after the first look", sizes[0], "MB"),
        Figure("it grows on the first day", grown[0], "MB", GROWTH_MB),
        Figure("the database at the end", sizes[-1], "MB"),
        Figure("it grows a day, mean of the last seven", sum(later) / len(later), "MB", GROWTH_MB),
        Figure("it grows a day, the worst after the first", max(grown[1:], default=0.0), "MB", GROWTH_MB),
    ]
    sys.stdout.write(f"\n{lined_up(rows)}\n\n{report(figures)}\n")
    if tidied:
        words = ", ".join(f"{name} {times} times" for name, times in tidied.most_common())
        sys.stdout.write(f"\nVacuumed (not FULL) when autovacuum's thresholds had been crossed: {words}\n")
    return 0


def day_words(day: int) -> str:
    return f"day {day}" if day else "first look"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--postgres", action="store_true", help="on a throw-away PostgreSQL")
    options = parser.parse_args()
    if options.postgres and "DRPORTAL_TEST_DATABASE_URL" not in os.environ:
        return with_postgres.main([sys.executable, "-m", "tests.bench.growth", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="drportal-bench-") as name:
        prepare(Path(name))
        return measured(options.images, options.days)


if __name__ == "__main__":
    sys.exit(main())
