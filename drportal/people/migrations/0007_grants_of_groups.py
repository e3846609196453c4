import django.utils.timezone
from django.db import migrations

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
    """Apart from the table: PostgreSQL changes no table in whose transaction rows wait for their checks."""

    dependencies = [
        ('people', '0006_grants'),
        ('audit', '0001_initial'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [migrations.RunPython(to_grants, to_groups)]
