from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0012_fence_rung'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='on_hold',
            field=models.JSONField(default=list),
        ),
    ]
