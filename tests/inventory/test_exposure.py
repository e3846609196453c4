"""Exposure over time: the worst of each slot is kept, thinning never shows less, and what is kept is bounded."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from drportal.engine.exposure import JOURNAL_LAG_S, Mark, Track
from drportal.engine.facts import Position
from drportal.inventory import exposure as samples
from drportal.inventory.discovery import discover
from drportal.inventory.exposure import (
    COARSE_S,
    FINE_S,
    Sampler,
    curve,
    slots_of,
    thin,
    track_as_text,
    track_from_json,
    worst_of_slots,
)
from drportal.inventory.models import ExposureDay, MirroredImage, SitePair
from drportal.inventory.slots import Slot, length
from drportal.lab.control import LabClient
from tests.conftest import Person
from tests.inventory.test_polling import polling_now, until

NOON = dt.datetime(2026, 5, 5, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def image(pair: SitePair) -> MirroredImage:
    return MirroredImage.objects.create(pair=pair, pool="one", name="one-1", verdict="protected", global_id="g1")


def seen(sampler: Sampler, image: MirroredImage, now: dt.datetime, seconds: float) -> None:
    image.protected_until = now - dt.timedelta(seconds=seconds)
    sampler.take(image, None, now)
    sampler.flush(now)


def at(seconds: float) -> dt.datetime:
    return NOON + dt.timedelta(seconds=seconds)


def test_the_worst_of_a_slot_stays_and_a_hole_stays_a_hole(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    for second, value in ((0, 10), (60, 90), (200, 20), (900, 5), (1200, 7), (1260, 8)):
        seen(sampler, image, at(second), value)
    for subject in (f"image:{image.pk}", "pool:one"):
        slots = slots_of(image.pair_id, [subject], NOON)
        assert slots == {at(0): Slot(90.0), at(900): Slot(5.0), at(1200): Slot(8.0)}
    drawn = curve(slots, NOON, at(1499))
    values = [slot.seconds for _, slot in drawn.points]
    assert values[0] == 90
    assert [value is None for value in values] == [False, True, True, False, False]
    worst = worst_of_slots(slots, NOON)
    assert (worst.seconds, worst.at, worst.unbounded_slots) == (90.0, at(0), 0)


def test_a_look_that_moves_the_point_shows_how_bad_it_had_become(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    seen(sampler, image, at(0), 10)
    image.protected_until = at(25)
    sampler.take(image, at(-10), at(30))  # proven up to -10 until this look, up to 25 since
    sampler.flush(at(70))
    assert slots_of(image.pair_id, [f"image:{image.pk}"], NOON)[NOON] == Slot(40.0)


def test_after_a_pause_of_the_portal_the_time_in_between_is_not_made_up(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    seen(sampler, image, at(0), 10)
    image.protected_until = at(3590)
    sampler.take(image, at(-10), at(3600))
    sampler.flush(at(3600))
    assert slots_of(image.pair_id, [f"image:{image.pk}"], NOON) == {at(0): Slot(10.0), at(3600): Slot(10.0)}


def test_a_pool_shows_that_an_image_had_no_bound_and_the_worst_of_the_others(image: MirroredImage) -> None:
    other = MirroredImage.objects.create(pair=image.pair, pool="one", name="one-2", verdict="diverged", global_id="g2")
    sampler = Sampler(image.pair_id)
    sampler.take(other, None, NOON)
    seen(sampler, image, NOON, 12)
    assert slots_of(image.pair_id, [f"image:{other.pk}"], NOON) == {NOON: Slot(None, unbounded=True)}
    pool = slots_of(image.pair_id, ["pool:one"], NOON)
    assert pool == {NOON: Slot(12.0, unbounded=True)}
    assert curve(pool, NOON, at(299)).points == [(NOON, Slot(12.0, unbounded=True))]
    group = slots_of(image.pair_id, [f"image:{other.pk}", f"image:{image.pk}"], NOON)
    assert worst_of_slots(group, NOON) == worst_of_slots(pool, NOON)
    assert worst_of_slots(pool, NOON).unbounded_slots == 1


@pytest.mark.parametrize("verdict", ["broken_mirroring", "cannot_tell"])
def test_what_could_not_be_told_is_neither_a_figure_nor_without_bound(image: MirroredImage, verdict: str) -> None:
    other = MirroredImage.objects.create(pair=image.pair, pool="one", name="one-2", verdict=verdict, global_id="g2")
    sampler = Sampler(image.pair_id)
    sampler.take(other, None, NOON)
    seen(sampler, image, NOON, 12)
    assert slots_of(image.pair_id, [f"image:{other.pk}"], NOON) == {NOON: Slot(None, untold=True)}
    worst = worst_of_slots(slots_of(image.pair_id, ["pool:one"], NOON), NOON)
    assert (worst.seconds, worst.unbounded_slots, worst.untold_slots) == (12.0, 0, 1)


def test_what_nobody_mirrors_is_not_in_its_pools_exposure(image: MirroredImage, viewer: Person) -> None:
    golden = MirroredImage.objects.create(pair=image.pair, pool="one", name="golden", verdict="not_mirrored")
    SitePair.objects.update(pools=["one"], polled_at=timezone.now())
    sampler = Sampler(image.pair_id)
    sampler.take(golden, None, NOON)
    seen(sampler, image, NOON, 12)
    assert slots_of(image.pair_id, [f"image:{golden.pk}"], NOON) == {NOON: Slot(None, unbounded=True)}
    assert slots_of(image.pair_id, ["pool:one"], NOON) == {NOON: Slot(12.0)}, "it would never come to a bound"
    pool = viewer.read(f"/pairs/{image.pair_id}/pools/one")
    assert (pool["images"], pool["unbounded"], pool["counts"]["not_mirrored"]) == (2, 0, 1)
    assert [one["name"] for one in pool["worst_images"]] == ["one-1"]


def test_of_many_images_at_once_nothing_is_left_out(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    seen(sampler, image, NOON, 12)
    many = [f"image:{10_000_000 + number}" for number in range(40_000)]
    assert slots_of(image.pair_id, [*many, f"image:{image.pk}"], NOON) == {NOON: Slot(12.0)}


def test_old_days_become_coarse_without_showing_less_and_end(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    for second, value in ((0, 10), (600, 70), (3600, 30)):
        seen(sampler, image, at(second), value)
    seen(sampler, image, at(3700), 30)
    assert thin(image.pair_id, (NOON + dt.timedelta(days=2)).date()) == 0
    assert thin(image.pair_id, (NOON + dt.timedelta(days=3)).date()) == 2  # the image's row and the pool's
    row = ExposureDay.objects.get(subject=f"image:{image.pk}")
    assert (row.step_s, length(bytes(row.packed))) == (COARSE_S, 24)
    assert slots_of(image.pair_id, [row.subject], NOON) == {at(0): Slot(70.0), at(3600): Slot(30.0)}
    thin(image.pair_id, (NOON + dt.timedelta(days=samples.KEEP_DAYS + 1)).date())
    assert ExposureDay.objects.count() == 0


def test_of_an_image_there_is_one_row_a_day_whatever_was_so_in_it(image: MirroredImage) -> None:
    sampler = Sampler(image.pair_id)
    seen(sampler, image, at(0), 10)
    for second, verdict in ((300, "diverged"), (600, "cannot_tell")):
        image.verdict, image.protected_until = verdict, None
        sampler.take(image, None, at(second))
        sampler.flush(at(second))
    told = {at(0): Slot(10.0), at(300): Slot(unbounded=True), at(600): Slot(untold=True)}
    assert slots_of(image.pair_id, [f"image:{image.pk}"], NOON) == told
    assert ExposureDay.objects.get(subject__startswith="image:").step_s == FINE_S


def test_a_curve_of_a_month_has_a_bounded_number_of_points() -> None:
    drawn = curve({}, NOON - dt.timedelta(days=31), NOON)
    assert len(drawn.points) <= samples.MAX_POINTS
    assert len(curve({}, NOON - dt.timedelta(days=1), NOON).points) == 86_400 // FINE_S + 1


def test_a_track_survives_the_way_through_a_row() -> None:
    assert track_from_json({}) == Track()
    mark = Mark(NOON, Position(3, 7, 1))
    track = Track(point_at=NOON, marks=(mark,), told=(mark, mark))
    assert track_from_json(json.loads(track_as_text(track))) == track
    assert track_from_json({"point_at": NOON.isoformat(), "marks": []}) == Track(point_at=NOON), "of an older portal"


@pytest.mark.django_db(transaction=True)
async def test_the_poller_measures_both_modes_and_a_dead_site_lets_it_grow(lab: LabClient, lab_pair: SitePair) -> None:
    def measured() -> bool:
        rows = MirroredImage.objects.filter(gone_at=None)
        return rows.count() > 0 and not rows.filter(protected_until=None).exists()

    async with polling_now():
        await until("both modes are measured", measured)
        modes = await sync_to_async(lambda: set(MirroredImage.objects.values_list("mode", flat=True)))()
        assert modes == {"journal", "snapshot"}
        await sync_to_async(lab.fail)("a", "site-down")
        await until(
            "it is seen", lambda: set(MirroredImage.objects.values_list("verdict", flat=True)) == {"replica_only"}
        )
        await asyncio.sleep(3)
        for row in await sync_to_async(lambda: list(MirroredImage.objects.all()))():
            # What had come over is found whole a little later; of the time after nothing is ever proven.
            lag_s = JOURNAL_LAG_S if row.mode == "journal" else 0.0
            heard = dt.datetime.fromisoformat(row.side_a["last_heard"])
            assert row.protected_until <= heard - dt.timedelta(seconds=lag_s), "a dead site proves nothing more"


@pytest.mark.django_db(transaction=True)
def test_it_can_be_asked_for(viewer: Person, operator: Person, lab_pair: SitePair) -> None:
    discover(lab_pair.pk)
    image = MirroredImage.objects.filter(gone_at=None).order_by("name").first()
    assert image is not None
    MirroredImage.objects.filter(pk=image.pk).update(protected_until=timezone.now() - dt.timedelta(seconds=33))
    image.refresh_from_db()
    sampler = Sampler(lab_pair.pk)
    now = timezone.now()
    sampler.take(image, None, now)
    sampler.flush(now)
    told = viewer.read(f"/images/{image.pk}/exposure")
    assert told["now"]["kind"] == "measured"
    assert told["now"]["seconds"] >= 33
    assert told["target_s"] is None
    assert told["worst"]["day"]["seconds"] >= told["now"]["seconds"]
    assert [point for point in told["points"] if point["seconds"] is not None]
    pool = viewer.read(f"/pairs/{lab_pair.pk}/pools/{image.pool}")
    assert pool["images"] == MirroredImage.objects.filter(pool=image.pool, gone_at=None).count()
    assert pool["sides"]["site-a"]["mode"]
    assert viewer.read(f"/pairs/{lab_pair.pk}/pools/{image.pool}/exposure?period=week")["period"] == "week"
    assert viewer.api("GET", f"/pairs/{lab_pair.pk}/pools/none/exposure").status_code == 200
    assert viewer.api("GET", f"/pairs/{lab_pair.pk}/pools/none").status_code == 404
