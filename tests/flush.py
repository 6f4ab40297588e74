"""What a transactional test has left is taken away: of the tables that have rows, and of no others.

Django's own flush empties every table (TRUNCATE makes new files for each and its indexes) and makes content types and
permissions anew; here the latter stay, and the triggers are lifted from the append-only tables that have something.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from patchflow.kernel import append_only

STAY = {"django_content_type", "auth_permission"}
"""What `migrate` makes, and a flush would make again."""


def filled() -> list[str]:
    """The tables that have rows, without those of `STAY`."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - STAY
    asked = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in sorted(tables)]  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(asked))
        return [table for (table,) in cursor.fetchall()]


def flush() -> None:
    """Takes every row away. What refers to what is looked at when all are gone."""
    with transaction.atomic(), connection.cursor() as cursor:
        tables = filled()
        with _unguarded(tables, cursor):
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608


@contextmanager
def _unguarded(tables: list[str], cursor: Any) -> Iterator[None]:
    """Without the triggers of these tables; foreign keys hold."""
    if connection.vendor == "postgresql":
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered that has checks to come
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return
    guarded = [table for table in tables if table in append_only.TABLES]
    for table in guarded:
        append_only.remove(connection, table)
    yield
    for table in guarded:
        append_only.install(connection, table)
