from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0013_sights"),
    ]

    operations = [
        migrations.AddField(
            model_name="virtualmachine",
            name="owner",
            field=models.CharField(blank=True, default="", max_length=100),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="virtualmachine",
            name="labels",
            field=models.TextField(blank=True, default=""),
            preserve_default=False,
        ),
    ]
