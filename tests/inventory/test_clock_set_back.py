"""A site's clock that shows an hour twice makes nothing young: not the status of a dead daemon, nor the exposure."""

from __future__ import annotations

import datetime as dt
import json
from zoneinfo import ZoneInfo

import pytest

from drportal.drivers.base import Answer, ImageInfo, ImageRef, MirrorMode, Peer, PoolReading
from drportal.drivers.ceph_parse import mirror_status
from drportal.engine.facts import Side
from drportal.inventory.image_book import ImageBook
from drportal.inventory.models import MirroredImage, SitePair
from drportal.inventory.reading import Heard, SiteReading

WRITTEN = dt.datetime(2026, 10, 25, 0, 50, tzinfo=dt.UTC)  # 02:50 there; ten minutes later it is 02:00 again
THERE = ZoneInfo("Europe/Madrid")
REF = ImageRef("one", "one-1")
HALF_A_MINUTE = dt.timedelta(seconds=30)


def replaying(entry: int) -> str:
    position = {"tag_tid": 3, "entry_tid": entry, "object_number": 1}
    return "replaying, " + json.dumps({"primary_position": position, "non_primary_position": position})


def read(at: dt.datetime, *, primary: bool, entry: int = 7, written: dt.datetime = WRITTEN) -> SiteReading:
    """As the site answered then; the copy's daemon wrote its status at ``written`` and never again."""
    answer = Answer("rbd", "there", 0, "", "", at, 0.1)
    said = {
        "name": REF.name,
        "global_id": "g",
        "state": "up+stopped" if primary else "up+replaying",
        "description": "local image is primary" if primary else replaying(entry),
        "last_update": f"{written.astimezone(THERE):%F %T}",
    }
    status = mirror_status(said, at.astimezone(THERE))
    pool = PoolReading(
        pool="one", mode="image", site_name="x", peers=(Peer("u", "rx-tx", "y", "m"),), health="OK", daemon_health="OK",
        daemons=(), statuses={REF.name: status}, image_names=(REF.name,), parents={}, site_clock_skew_s=0.0,
        answers=(answer,),
    )  # fmt: skip
    info = ImageInfo(REF, "id", 1, ("journaling",), None, MirrorMode.JOURNAL, "enabled", "g", primary, answer)
    return SiteReading(at, ssh=Heard(True), ceph=Heard(True), pools={"one": pool}, infos={REF: info})


@pytest.mark.django_db
@pytest.mark.parametrize("restarted", [False, True], ids=["one poller", "a new poller at each look"])
def test_the_hour_that_comes_twice_makes_no_exposure_smaller(pair: SitePair, restarted: bool) -> None:
    book = ImageBook(pair)
    for beats in (2, 1):
        earlier = WRITTEN - beats * HALF_A_MINUTE
        copy = read(earlier, primary=False, entry=7 - beats, written=earlier)
        book.round({Side.A: read(earlier, primary=True), Side.B: copy}, earlier)
    for minute in (1, 9, 20, 45, 65, 68, 90):
        book = ImageBook(pair) if restarted else book
        now = WRITTEN + dt.timedelta(minutes=minute)
        book.round({Side.A: read(now, primary=True), Side.B: read(now, primary=False)}, now)
        row = MirroredImage.objects.get()
        assert row.protected_until is not None, "7 was learned after 5 was told"
        assert row.protected_until < WRITTEN, f"{minute} minutes later"
        status = book.sides_of("one", "one-1")[Side.B].status
        assert status is not None
        age_s = status.age_s + (now - status.read_at).total_seconds()  # type: ignore[operator]
        assert age_s == pytest.approx(60 * minute, abs=5), f"{minute} minutes later"
    copy = read(now, primary=False, entry=8, written=now)
    book.round({Side.A: read(now, primary=True), Side.B: copy}, now)
    row = MirroredImage.objects.get()
    assert row.protected_until is not None
    assert row.protected_until < WRITTEN, "nor when it tells news at last: it may have known them for as long"
