from django.db import migrations, models

import drportal.recovery.models


def one_token_each(apps, schema_editor):
    """A column's default is one value for all rows that are there; each group needs its own."""
    for group in apps.get_model("recovery", "ProtectionGroup").objects.all():
        group.token = drportal.recovery.models.new_token()
        group.save(update_fields=["token"])


class Migration(migrations.Migration):
    dependencies = [
        ("recovery", "0002_run_standing"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="stumbles",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="protectiongroup",
            name="token",
            field=models.CharField(default=drportal.recovery.models.new_token, max_length=40),
        ),
        migrations.RunPython(one_token_each, migrations.RunPython.noop),
    ]
