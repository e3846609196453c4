from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0013_approval_policy'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='on_hold',
            field=models.JSONField(default=list),
        ),
    ]
