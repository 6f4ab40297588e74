"""Tables that only grow: triggers by which the database itself refuses UPDATE, DELETE and TRUNCATE, on both vendors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLES: set[str] = set()
"""Every table that a migration made append-only (filled when migrations are loaded)."""


class AppendOnly(migrations.RunPython):
    """Migration operation: `AppendOnly("kernel_auditentry", …)`."""

    def __init__(self, *tables: str) -> None:
        self.tables = tables
        TABLES.update(tables)
        super().__init__(self._install, self._remove, elidable=False)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (type(self).__name__, list(self.tables), {})

    def _install(self, _apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        for table in self.tables:
            install(editor.connection, table)

    def _remove(self, _apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        for table in self.tables:
            remove(editor.connection, table)


def install(database: BaseDatabaseWrapper, table: str) -> None:
    """Puts the triggers on `table`."""
    with database.cursor() as cursor:
        for statement in _statements(database.vendor, table):
            cursor.execute(statement)


def remove(database: BaseDatabaseWrapper, table: str) -> None:
    """Takes the triggers off `table`."""
    suffix = f" ON {table}" if database.vendor == "postgresql" else ""
    with database.cursor() as cursor:
        for kind in ("update", "delete", "truncate"):
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{kind}{suffix}")


def _statements(vendor: str, table: str) -> Iterator[str]:
    message = f"{table} is append-only"
    if vendor == "sqlite":
        for kind in ("update", "delete"):
            body = f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            yield f"CREATE TRIGGER IF NOT EXISTS {table}_no_{kind} BEFORE {kind.upper()} ON {table} {body}"
        return
    yield (
        "CREATE OR REPLACE FUNCTION patchflow_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for kind, level in (("update", "ROW"), ("delete", "ROW"), ("truncate", "STATEMENT")):
        yield f"DROP TRIGGER IF EXISTS {table}_no_{kind} ON {table}"
        yield f"CREATE TRIGGER {table}_no_{kind} BEFORE {kind.upper()} ON {table} FOR EACH {level} EXECUTE FUNCTION patchflow_append_only()"


@contextmanager
def lifted() -> Iterator[None]:
    """Without the triggers, for the flush of a transactional test; never used by the product."""
    tables = sorted(TABLES & set(connection.introspection.table_names()))
    for table in tables:
        remove(connection, table)
    try:
        yield
    finally:
        for table in tables:
            install(connection, table)
