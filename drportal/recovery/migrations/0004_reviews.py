import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recovery", "0003_receipts_and_stumbles")]
    operations = [
        migrations.CreateModel(
            name="ReviewAct",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("verb", models.CharField(max_length=20)),
                ("by", models.CharField(max_length=150)),
                ("text", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="review_acts", to="recovery.run"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("verb", "accepted")), fields=("run",), name="accepted_once"
                    )
                ],
            },
        ),
    ]
