"""Adding many rows at once.

Django's ``bulk_create`` hands PostgreSQL a list for each column, and psycopg writes a list of JSON texts quote by quote
in Python: that took longer than everything else that a commit of the executor does.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

BATCH = 100  # rows of a statement: databases have a limit of its parameters


def insert_rows(rows: Sequence[Model], *, unique: Sequence[str] = (), update: Sequence[str] = ()) -> None:
    """New rows, all of one model. Where one with the same ``unique`` columns is there, its ``update`` columns are set
    instead; no two of ``rows`` may have the same.
    """
    if not rows:
        return
    database, meta = connections[DEFAULT_DB_ALIAS], rows[0]._meta
    fields = [field for field in meta.local_concrete_fields if field.name != "id"]
    quote = database.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    head = f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES "  # noqa: S608  (our own models' names)
    tail = ""
    if unique:
        changed = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in update)
        tail = f" ON CONFLICT ({', '.join(map(quote, unique))}) DO UPDATE SET {changed}"
    one = f"({', '.join(['%s'] * len(fields))})"
    with database.cursor() as cursor:
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            values = [
                field.get_db_prep_save(field.pre_save(row, add=True), database) for row in some for field in fields
            ]
            cursor.execute(head + ", ".join([one] * len(some)) + tail, values)
