from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('recovery', '0014_vms_on_hold'),
    ]

    operations = [
        migrations.AddField(
            model_name='approval',
            name='attested_rung',
            field=models.PositiveSmallIntegerField(default=5),
        ),
        migrations.AddField(
            model_name='approval',
            name='deviation',
            field=models.TextField(blank=True, default=''),
            preserve_default=False,
        ),
    ]
