"""One index per filter, the site of an entry, and the heads noted outside.

SQLite remakes a table to change a column, which would lose the triggers silently: so they are taken down before and put
up again after.
"""

import importlib

from django.db import migrations, models

triggers = importlib.import_module("drportal.audit.migrations.0002_refuse_changes")


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_refuse_changes")]
    operations = [
        migrations.RunPython(triggers.take_down, triggers.put_up),
        migrations.AddField("auditentry", "site", models.CharField(max_length=60, null=True)),
        migrations.AlterField("auditentry", "action", models.CharField(max_length=80)),
        migrations.AlterField("auditentry", "run_id", models.BigIntegerField(null=True)),
        migrations.AddIndex("auditentry", models.Index(fields=["actor", "seq"], name="audit_by_actor")),
        migrations.AddIndex("auditentry", models.Index(fields=["action", "seq"], name="audit_by_action")),
        migrations.AddIndex("auditentry", models.Index(fields=["site", "seq"], name="audit_by_site")),
        migrations.AddIndex("auditentry", models.Index(fields=["run_id", "seq"], name="audit_by_run")),
        migrations.RunPython(triggers.put_up, triggers.take_down),
        migrations.CreateModel(
            name="TrailAnchor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("place", models.CharField(max_length=300)),
                ("seq", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
                ("ok", models.BooleanField()),
                ("sentence", models.TextField()),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["place", "-id"], name="anchor_of_place")],
            },
        ),
    ]
