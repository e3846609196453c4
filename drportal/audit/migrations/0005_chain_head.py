"""PostgreSQL locks the chain and tells its newest entry in one call: between the two nobody waits for the network.

In two statements of one function and not in one statement: in READ COMMITTED each statement of a VOLATILE function sees
what was committed before *it*, so the newest entry is read after the wait for the lock. (PostgreSQL manual, 36.7.)
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION audit_chain_head(key bigint) RETURNS TABLE (seq bigint, hash varchar, at timestamptz)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(key);
    RETURN QUERY SELECT one.seq::bigint, one.hash::varchar, one.at FROM audit_auditentry one ORDER BY one.seq DESC LIMIT 1;
END $$
"""


def put_up(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FORWARD)


def take_down(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION audit_chain_head(bigint)")


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_refuse_replacing")]
    operations = [migrations.RunPython(put_up, take_down)]
