"""The database itself refuses to change or remove an entry of the trail."""

from django.db import migrations

SENTENCE = "the audit trail only grows"
SQLITE = [
    (
        f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit_auditentry BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
        f"DROP TRIGGER audit_no_{verb.lower()}",
    )
    for verb in ("UPDATE", "DELETE")
]
POSTGRESQL = [
    (
        f"CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$",
        "DROP FUNCTION audit_refuse()",
    ),
    (
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_auditentry FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
        "DROP TRIGGER audit_no_change ON audit_auditentry",
    ),
    (
        "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditentry FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
        "DROP TRIGGER audit_no_truncate ON audit_auditentry",
    ),
]


def statements(vendor):
    if vendor == "sqlite":
        return SQLITE
    if vendor == "postgresql":
        return POSTGRESQL
    raise NotImplementedError(f"no triggers for {vendor}: the portal runs on SQLite and PostgreSQL")


def put_up(apps, schema_editor):
    for forward, _ in statements(schema_editor.connection.vendor):
        schema_editor.execute(forward)


def take_down(apps, schema_editor):
    for _, backward in reversed(statements(schema_editor.connection.vendor)):
        schema_editor.execute(backward)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(put_up, take_down)]
