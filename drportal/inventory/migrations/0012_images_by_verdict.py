from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0010_two_primaries_since"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="mirroredimage",
            index=models.Index(
                condition=models.Q(("gone_at", None)), fields=["pair", "verdict"], name="images_by_verdict"
            ),
        ),
    ]
