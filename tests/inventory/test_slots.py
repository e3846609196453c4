"""A day of exposure in two bytes and two bits a slot: never less than it was, and what older portals kept is kept."""

from __future__ import annotations

import datetime as dt
import importlib
import math
import struct
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from drportal.inventory.models import ExposureDay, SitePair
from drportal.inventory.slots import Slot, coarser, empty, length, slots_in, with_slot

migration = importlib.import_module("drportal.inventory.migrations.0018_less_room")
KEPT = "00009100cd0c" + 40 * "00" + "8d4a" + "060000" + "000080"
DAY = dt.date(2026, 5, 5)


def day(slots: dict[int, Slot], of: int = 24) -> bytes:
    packed = empty(of)
    for place, slot in slots.items():
        packed = with_slot(packed, place, slot)
    return packed


@pytest.mark.parametrize("exact", [0.0, 0.125, 90.0, 511.875, 512.25, 1023.75, 86_400.0])
def test_a_figure_comes_back_as_it_was(exact: float) -> None:
    assert dict(slots_in(day({5: Slot(exact)}))) == {5: Slot(exact)}


@pytest.mark.parametrize("seconds", [0.01, 7.3, 511.9, 512.01, 1023.9, 4000.1, 86_399.9, 3e6, 31 * 86_400.7, 2.5e11])
def test_a_figure_in_between_is_shown_larger_and_hardly_so(seconds: float) -> None:
    ((_, slot),) = slots_in(day({0: Slot(seconds)}))
    assert slot.seconds is not None
    assert seconds <= slot.seconds <= max(seconds + 0.125, seconds * (1 + 1 / 2048))


def test_the_larger_figure_stays_and_what_is_worse_stays_beside_it() -> None:
    packed = day({3: Slot(700.0)})
    for slot in (Slot(90.0), Slot(unbounded=True), Slot(untold=True), Slot()):
        packed = with_slot(packed, 3, slot)
    assert dict(slots_in(packed)) == {3: Slot(700.0, unbounded=True, untold=True)}


def test_a_coarser_day_has_the_worst_of_each_of_its_slots() -> None:
    fine = {0: Slot(10.0), 11: Slot(70.0), 12: Slot(30.0), 13: Slot(unbounded=True), 287: Slot(untold=True)}
    coarse = coarser(day(fine, of=288), 12)
    assert (length(coarse), len(coarse)) == (24, 54)
    assert dict(slots_in(coarse)) == {0: Slot(70.0), 1: Slot(30.0, unbounded=True), 23: Slot(untold=True)}


def test_what_was_kept_by_the_first_portal_that_kept_slots_is_read_as_it_was() -> None:
    assert dict(slots_in(bytes.fromhex(KEPT))) == {
        1: Slot(18.0, unbounded=True),
        2: Slot(409.5, unbounded=True),
        23: Slot(86_400.0, untold=True),
    }


def floats(told: dict[int, float], of: int) -> bytes:
    return struct.pack(f"<{of}f", *(told.get(place, math.nan) for place in range(of)))


@pytest.mark.django_db
def test_days_that_an_older_portal_kept_are_one_row_each_and_the_way_back_is_there(pair: SitePair) -> None:
    old = [
        ("image:1", 300, {0: 10.0, 287: 7.3}),
        ("unbounded:image:1", 300, {1: 1.0}),
        ("untold:image:1", 300, {0: 1.0}),
        ("untold:image:2", 3600, {23: 1.0}),
        ("pool:one", 300, {0: 10.0, 11: 90.0}),
        ("unbounded:pool:one", 3600, {0: 1.0}),  # thinned before the other
    ]
    for subject, step_s, told in old:
        packed = floats(told, 86_400 // step_s)
        ExposureDay.objects.create(pair=pair, subject=subject, day=DAY, step_s=step_s, packed=packed)
    migration.join(apps, None)
    found = {row.subject: (row.step_s, dict(slots_in(bytes(row.packed)))) for row in ExposureDay.objects.all()}
    image = {0: Slot(10.0, untold=True), 1: Slot(unbounded=True), 287: Slot(7.375)}
    assert found == {
        "image:1": (300, image),
        "image:2": (3600, {23: Slot(untold=True)}),
        "pool:one": (3600, {0: Slot(90.0, unbounded=True)}),
    }
    migration.split(apps, SimpleNamespace(connection=connection))
    rows = {row.subject: (row.step_s, bytes(row.packed)) for row in ExposureDay.objects.all()}
    assert rows["image:1"] == (300, floats({0: 10.0, 287: 7.375}, 288))
    assert rows["unbounded:image:1"] == (300, floats({1: 1.0}, 288))
    assert rows["untold:image:1"] == (300, floats({0: 1.0}, 288))
    assert rows.keys() == {subject for subject, _, _ in old}


@pytest.mark.django_db
def test_only_postgresql_is_told_which_rows_are_written_again_and_again() -> None:
    said: list[str] = []
    migration.set_options(apps, SimpleNamespace(connection=connection, execute=said.append))
    if connection.vendor != "postgresql":
        assert said == []
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND relkind = 'r'")
        kept = dict(cursor.fetchall())
    assert len(said) == len(kept) == 3
    assert kept["inventory_mirroredimage"] == ["fillfactor=52"]
    assert kept["inventory_exposureday"] == ["autovacuum_vacuum_scale_factor=0.01"]
