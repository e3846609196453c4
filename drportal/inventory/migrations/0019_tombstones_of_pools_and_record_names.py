from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0018_less_room"),
    ]

    operations = [
        migrations.AddField(
            model_name="pool",
            name="gone_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="vmdisk",
            name="record_id",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="vmdisk",
            name="record_name",
            field=models.CharField(blank=True, default="", max_length=200),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="virtualmachine",
            name="devices",
            field=models.JSONField(default=list),
        ),
        migrations.AlterField(
            model_name="siteresource",
            name="kind",
            field=models.CharField(
                choices=[
                    ("datastore", "Datastore"),
                    ("host", "Host"),
                    ("double", "Double"),
                    ("taken", "Taken"),
                ],
                max_length=20,
            ),
        ),
    ]
