import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

ROLES = ("viewer", "operator", "approver", "manager", "administrator", "service-account")
WHY = "Held before rights had a scope."


def to_grants(apps, schema_editor):
    """Who was in a role's group holds that role everywhere, since when and by whom the trail last said."""
    User, Grant = apps.get_model("auth", "User"), apps.get_model("people", "Grant")
    Entry = apps.get_model("audit", "AuditEntry")
    entries = Entry.objects.filter(action__in=["person.add", "person.roles"]).order_by("seq")
    said = {subject: (at, by) for subject, at, by in entries.values_list("subject", "at", "actor")}
    now = django.utils.timezone.now()
    for user in User.objects.prefetch_related("groups"):
        at, by = said.get(user.username, (now, "portal"))
        for group in user.groups.all():
            if group.name in ROLES:
                Grant.objects.create(person=user, role=group.name, given_by=by, given_at=at, reason=WHY)
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


def to_groups(apps, schema_editor):
    """What counts everywhere becomes a group again. What was held at a pair, for a plan or until a time is not
    widened: it is gone."""
    Grant, Group = apps.get_model("people", "Grant"), apps.get_model("auth", "Group")
    for grant in Grant.objects.filter(pair=None, plan=None, until=None).select_related("person"):
        grant.person.groups.add(Group.objects.get_or_create(name=grant.role)[0])


class Migration(migrations.Migration):

    dependencies = [
        ('people', '0005_factor_secrets'),
        ('audit', '0001_initial'),
        ('auth', '0012_alter_user_first_name_max_length'),
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
        migrations.RunPython(to_grants, to_groups),
    ]
