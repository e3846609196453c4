"""Raw answers as evidence: a few queries for any number of images, and of a large pool each image's own part."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from drportal.drivers.base import Answer
from drportal.inventory.models import MirroredImage, Observation, Site, SitePair
from drportal.inventory.observations import KEEP_OF_IMAGE, OUTPUT_LIMIT, Keeper
from tests.conftest import Person

pytestmark = pytest.mark.django_db
STATUS = "rbd mirror pool status one --verbose --format json"
NOON = dt.datetime(2026, 5, 5, 12, 0, tzinfo=dt.UTC)


def answer(command: str, said: str, second: float = 0) -> Answer:
    return Answer(command, "host", 0, said, "", NOON + dt.timedelta(seconds=second), 0.1)


def infos(number: int, second: float = 0) -> list[tuple[str, Answer]]:
    """An exact answer for each of many images."""
    return [(f"one/i-{n}", answer(f"rbd info one/i-{n}", f"info {n} {second}", second)) for n in range(number)]


def large(second: float = 0, **odd: str) -> tuple[str, Answer]:
    """A pool's status that is too long to be kept; ``odd``: the states of images in which something is wrong."""
    images = [
        {
            "name": f"i-{n}",
            "state": odd.get(f"i_{n}", "up+replaying"),
            "description": f'replaying, {{"n": {second}}}',
            "filling": "x" * 1000,
        }
        for n in range(300)
    ]
    return "one", answer(STATUS, json.dumps({"summary": {}, "images": images}), second)


def queries(work: Any) -> int:
    with CaptureQueriesContext(connection) as made:
        work()
    return len(made)


def test_a_new_process_looks_up_what_was_kept_in_one_query_for_all_images(pair: SitePair) -> None:
    Keeper().keep(pair.a, infos(400))
    assert queries(lambda: Keeper().keep(pair.a, infos(400))) == 1, "nothing is new: one look is all"
    assert Observation.objects.count() == 400
    few = queries(lambda: Keeper().keep(pair.a, infos(10, 5)))
    many = queries(lambda: Keeper().keep(pair.a, infos(400, 6)))
    assert few <= many < 12, "an insert of many rows is a few statements"
    known = Keeper()
    known.keep(pair.a, infos(400, 6))
    assert queries(lambda: known.keep(pair.a, infos(400, 6))) == 0


def test_of_each_image_only_the_newest_are_kept(pair: SitePair) -> None:
    keeper = Keeper()
    for second in range(KEEP_OF_IMAGE + 3):
        keeper.keep(pair.a, infos(3, second))
    kept = Observation.objects.filter(subject="one/i-1")
    assert [one.output for one in kept] == [f"info 1 {second}" for second in (6, 5, 4, 3)]


def test_what_the_other_site_said_is_another_matter(pair: SitePair) -> None:
    keeper = Keeper()
    keeper.keep(pair.a, infos(2))
    assert keeper.keep(pair.b, infos(2)) == 2


def test_of_a_pool_whose_status_is_too_long_each_image_keeps_its_own_part(viewer: Person, pair: SitePair) -> None:
    SitePair.objects.update(polled_at=timezone.now())
    image = MirroredImage.objects.create(pair=pair, pool="one", name="i-7")
    other = MirroredImage.objects.create(pair=pair, pool="one", name="i-8")
    subject, status = large()
    assert len(status.stdout) > OUTPUT_LIMIT
    keeper = Keeper()
    keeper.keep(pair.a, [(subject, status)])

    def shown(row: MirroredImage) -> dict[str, Any]:
        (seen,) = viewer.read(f"/images/{row.pk}")["observations"]
        assert (seen["command"], seen["site"]) == (STATUS, "site-a")
        return {**json.loads(seen["output"]), "at": seen["at"]}

    assert shown(image)["name"] == "i-7"
    keeper.keep(pair.a, [large(30, i_7="up+error")])
    assert (shown(image)["state"], shown(image)["at"]) == ("up+error", "2026-05-05T12:00:30Z")
    assert (shown(other)["state"], shown(other)["at"]) == ("up+replaying", "2026-05-05T12:00:00Z"), "nothing new of it"
    keeper.keep(pair.a, [large(700)])
    assert shown(other)["at"] == "2026-05-05T12:11:40Z"
    assert Observation.objects.filter(site=pair.a, subject="one/i-8").count() == 1, "in the place of the one before"
    assert queries(lambda: keeper.keep(pair.a, [large(730)])) == 0, "its figures alone are not news"


@pytest.mark.parametrize("command", [STATUS, "observe-pool one info status pool (status)"])
def test_a_part_of_a_small_pools_status_is_shown_whoever_answered(viewer: Person, pair: SitePair, command: str) -> None:
    image = MirroredImage.objects.create(pair=pair, pool="one", name="i-7")
    said = json.dumps({"images": [{"name": "i-7", "state": "up+replaying"}, {"name": "i-8"}]})
    Keeper().keep(pair.b, [("one", answer(command, said))])
    (seen,) = viewer.read(f"/images/{image.pk}")["observations"]
    assert json.loads(seen["output"]) == {"name": "i-7", "state": "up+replaying"}


def test_a_rolled_back_round_is_kept_by_the_next(pair: SitePair, monkeypatch: pytest.MonkeyPatch) -> None:
    from drportal.engine.facts import Side
    from drportal.inventory import heard
    from drportal.inventory.polling import PairWatch
    from drportal.inventory.reading import SiteReading

    watch = PairWatch(pair.pk, "me", 5.0)
    reading = SiteReading(asked_at=NOON, answers=infos(2))
    with monkeypatch.context() as patch:
        patch.setattr(heard, "write_pools", lambda site, reading: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch.write(pair, {Side.A: reading})
    with monkeypatch.context() as patch:
        patch.setattr(PairWatch, "write_cloud", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watch.write(pair, {Side.A: reading})
    assert not Observation.objects.exists()
    watch.write(pair, {Side.A: reading})
    assert Observation.objects.filter(site=Site.objects.get(pk=pair.a_id)).count() == 2
