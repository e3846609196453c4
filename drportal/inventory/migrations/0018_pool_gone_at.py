from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0017_observations_packed"),
    ]

    operations = [
        migrations.AddField(
            model_name="pool",
            name="gone_at",
            field=models.DateTimeField(null=True),
        ),
    ]
