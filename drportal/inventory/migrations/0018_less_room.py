"""A day of exposure takes half the room, in one row for what had been in up to three; indexes that nobody looks in go;
and PostgreSQL is told which rows are written again and again.
"""

import math
import struct

import django.db.models.deletion
from django.db import migrations, models

from drportal.inventory.slots import Slot, coarser, empty, length, slots_in, with_slot

DAY_S = 86_400
# Images: all rows are written anew within a minute, so each page has room for another version of its rows, which is
# found there without a vacuum, and no index hears of it. (Two rows of nearly 2 KB, the most before one is cut up, go
# into a page as well; with 50 it would be one.) Curves and answers: a vacuum when a hundredth is dead, for what is
# written at once of all images is little beside what is kept of them for a month.
OPTIONS = {
    "inventory_mirroredimage": {"fillfactor": "52"},
    "inventory_exposureday": {"autovacuum_vacuum_scale_factor": "0.01"},
    "inventory_observation": {"autovacuum_vacuum_scale_factor": "0.01"},
}
UNBOUNDED, UNTOLD = "unbounded:", "untold:"


def set_options(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, options in OPTIONS.items():
            told = ", ".join(f"{name} = {value}" for name, value in options.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({told})")


def reset_options(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, options in OPTIONS.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(options)})")


def days(exposure_days):
    return list(exposure_days.order_by("pair", "day").values_list("pair", "day").distinct())


def kind_and_subject(subject):
    kind = next((kind for kind in (UNBOUNDED, UNTOLD) if subject.startswith(kind)), "")
    return kind, subject.removeprefix(kind)


def slot_of(kind, value):
    return Slot(None if kind else value, kind == UNBOUNDED, kind == UNTOLD)


def in_two_bytes(row, kind):
    given = struct.unpack(f"<{len(row.packed) // 4}f", bytes(row.packed))
    packed = empty(len(given))
    for place, value in enumerate(given):
        if not math.isnan(value):
            packed = with_slot(packed, place, slot_of(kind, value))
    return packed


def joined(packed, other):
    """Of two rows of a day; where only one of them had been thinned yet, both are."""
    fewer = min(length(packed), length(other))
    packed, other = (coarser(one, length(one) // fewer) for one in (packed, other))
    for place, slot in slots_in(other):
        packed = with_slot(packed, place, slot)
    return packed


def join(apps, schema_editor):
    exposure_day = apps.get_model("inventory", "ExposureDay")
    for pair, day in days(exposure_day.objects):
        rows = exposure_day.objects.filter(pair=pair, day=day)
        found = {}
        for row in rows.order_by("pk").iterator(chunk_size=500):
            kind, subject = kind_and_subject(row.subject)
            packed = in_two_bytes(row, kind)
            found[subject] = joined(found[subject], packed) if subject in found else packed
        rows.delete()
        new = (
            exposure_day(pair_id=pair, day=day, subject=subject, step_s=DAY_S // length(packed), packed=packed)
            for subject, packed in found.items()
        )
        exposure_day.objects.bulk_create(new, batch_size=500)


def split(apps, schema_editor):
    exposure_day = apps.get_model("inventory", "ExposureDay")
    for pair, day in days(exposure_day.objects):
        rows = exposure_day.objects.filter(pair=pair, day=day)
        new = []
        for row in rows.order_by("pk").iterator(chunk_size=500):
            slots = dict(slots_in(bytes(row.packed)))
            for kind, value in (
                ("", lambda slot: slot.seconds),
                (UNBOUNDED, lambda slot: 1.0 if slot.unbounded else None),
                (UNTOLD, lambda slot: 1.0 if slot.untold else None),
            ):
                given = {place: value(slot) for place, slot in slots.items() if value(slot) is not None}
                if given:
                    told = [given.get(place, math.nan) for place in range(DAY_S // row.step_s)]
                    packed = struct.pack(f"<{len(told)}f", *told)
                    new.append((kind + row.subject, row.step_s, packed))
        rows.delete()
        exposure_day.objects.bulk_create(
            (
                exposure_day(pair_id=pair, day=day, subject=subject, step_s=step_s, packed=packed)
                for subject, step_s, packed in new
            ),
            batch_size=500,
        )
    # The table is altered next, which PostgreSQL refuses while rows are still to be checked.
    schema_editor.connection.check_constraints()


class Migration(migrations.Migration):
    dependencies = [("inventory", "0017_observations_packed")]

    operations = [
        migrations.RenameField("exposureday", "values", "packed"),
        migrations.AlterField(
            "exposureday",
            "pair",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="exposure_days",
                to="inventory.sitepair",
            ),
        ),
        migrations.AlterField("mirroredimage", "global_id", models.CharField(blank=True, max_length=64)),
        migrations.AlterField(
            "mirroredimage",
            "pair",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="images",
                to="inventory.sitepair",
            ),
        ),
        migrations.RunPython(set_options, reset_options),
        migrations.RunPython(join, split),
    ]
