"""SQLite refuses to put an entry in another one's place.

INSERT OR REPLACE removes the row in its way without asking the trigger against DELETE (unless ``recursive_triggers`` is
on, which whoever connects decides). PostgreSQL knows no REPLACE; its ON CONFLICT DO UPDATE is an UPDATE, and refused.
"""

from django.db import migrations

SENTENCE = "the audit trail only grows"
# By number, by hash, and by SQLite's own row number, which a statement may name. NEW.rowid is -1 where it names none.
SQLITE = [
    (
        "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit_auditentry "
        "WHEN EXISTS (SELECT 1 FROM audit_auditentry WHERE seq = NEW.seq) "
        "OR EXISTS (SELECT 1 FROM audit_auditentry WHERE hash = NEW.hash) "
        "OR (NEW.rowid > 0 AND EXISTS (SELECT 1 FROM audit_auditentry WHERE rowid = NEW.rowid)) "
        f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END",
        "DROP TRIGGER audit_no_replace",
    )
]


def put_up(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for forward, _ in SQLITE:
            schema_editor.execute(forward)


def take_down(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for _, backward in SQLITE:
            schema_editor.execute(backward)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_filters_and_anchors")]
    operations = [migrations.RunPython(put_up, take_down)]
