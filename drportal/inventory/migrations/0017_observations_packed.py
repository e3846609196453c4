"""Raw answers are kept packed; two indexes that others begin with are gone."""

import django.db.models.deletion
from django.db import migrations, models

from drportal.inventory.packing import packed, unpacked

AT_ONCE = 500


def each(observations, work):
    """A batch at a time: each may be a quarter of a megabyte."""
    after = 0
    while rows := list(observations.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        for row in rows:
            work(row)
        observations.bulk_update(rows, ["packed", "output"], batch_size=50)
        after = rows[-1].pk


def pack(apps, schema_editor):
    def one(row):
        row.packed, row.output = packed(row.output), ""

    each(apps.get_model("inventory", "Observation").objects, one)


def unpack(apps, schema_editor):
    def one(row):
        row.packed, row.output = b"", unpacked(bytes(row.packed))

    each(apps.get_model("inventory", "Observation").objects, one)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0016_witnesses")]

    operations = [
        migrations.AddField("observation", "packed", models.BinaryField(default=b""), preserve_default=False),
        migrations.AlterField("observation", "output", models.TextField(default="")),
        migrations.RunPython(pack, unpack),
        migrations.RemoveField("observation", "output"),
        migrations.AlterField("observation", "at", models.DateTimeField()),
        migrations.AlterField(
            "observation",
            "site",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="observations",
                to="inventory.site",
            ),
        ),
    ]
