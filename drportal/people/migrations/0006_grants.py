import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ROLES = ("viewer", "operator", "approver", "manager", "administrator", "service-account")


class Migration(migrations.Migration):

    dependencies = [
        ('people', '0005_factor_secrets'),
        ('inventory', '0001_initial'),
        ('recovery', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[(role, role) for role in ROLES], max_length=30)),
                ('given_by', models.CharField(max_length=150)),
                ('given_at', models.DateTimeField()),
                ('reason', models.TextField(blank=True)),
                ('until', models.DateTimeField(null=True)),
                ('pair', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.sitepair')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to=settings.AUTH_USER_MODEL)),
                ('plan', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='recovery.recoveryplan')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('pair', None), ('plan', None), _connector='OR'), name='a_grant_has_one_scope'),
                    models.UniqueConstraint(condition=models.Q(('pair', None), ('plan', None)), fields=('person', 'role'), name='one_grant_everywhere'),
                    models.UniqueConstraint(condition=models.Q(('pair__isnull', False)), fields=('person', 'role', 'pair'), name='one_grant_at_a_pair'),
                    models.UniqueConstraint(condition=models.Q(('plan__isnull', False)), fields=('person', 'role', 'plan'), name='one_grant_for_a_plan'),
                ],
            },
        ),
    ]
