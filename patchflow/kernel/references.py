"""References that PostgreSQL checks once for all rows of a statement, in place of once for each row.

What a foreign key promises stays: no row refers to what is not there, and nothing that is referred to is deleted. But a foreign
key asks and locks the other row for each new row by itself, at the end of the transaction, while whoever waits for
its locks goes on waiting; entries come by the thousand, and all of a crew refer to one actor. SQLite keeps its foreign keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class CheckedByStatement(migrations.RunPython):
    """Migration operation: `CheckedByStatement("kernel_auditentry", "actor_id", "kernel_user")`."""

    def __init__(self, table: str, column: str, parent: str) -> None:
        self.told = (table, column, parent)
        super().__init__(self._install, self._remove, elidable=False)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return (type(self).__name__, list(self.told), {})

    def _install(self, _apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        if editor.connection.vendor != "postgresql":
            return
        table, column, parent = self.told
        for pending in editor.deferred_sql:  # a foreign key of a table made in the same migration is made at its end
            editor.execute(pending, None)
        editor.deferred_sql.clear()
        with editor.connection.cursor() as cursor:
            cursor.execute(_KEYS, [table, column])
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
            for statement in _statements(table, column, parent):
                cursor.execute(statement)

    def _remove(self, _apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        if editor.connection.vendor != "postgresql":
            return
        table, column, parent = self.told
        name = f"{table}_{column}"
        with editor.connection.cursor() as cursor:
            cursor.execute(f"DROP FUNCTION {name}_is_there() CASCADE")
            cursor.execute(f"DROP FUNCTION {name}_is_wanted() CASCADE")
            cursor.execute(
                f'ALTER TABLE "{table}" ADD CONSTRAINT "{name}_fk" FOREIGN KEY ("{column}") REFERENCES "{parent}" (id)'
                " DEFERRABLE INITIALLY DEFERRED"
            )


_KEYS = """
SELECT conname FROM pg_constraint
WHERE contype = 'f' AND conrelid = %s::regclass AND conkey = ARRAY[
    (SELECT attnum FROM pg_attribute WHERE attrelid = conrelid AND attname = %s)]
"""


def _statements(table: str, column: str, parent: str) -> Iterator[str]:
    """The parents that new rows name are locked against deletion until the transaction ends, as a foreign key does."""
    name = f"{table}_{column}"
    code = "USING ERRCODE = 'foreign_key_violation'"
    yield f"""
        CREATE FUNCTION {name}_is_there() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        DECLARE there integer; wanted integer;
        BEGIN
            PERFORM 1 FROM "{parent}" p WHERE p.id = ANY(ARRAY(SELECT DISTINCT "{column}" FROM fresh)) FOR KEY SHARE OF p;
            GET DIAGNOSTICS there = ROW_COUNT;
            SELECT count(DISTINCT "{column}") INTO wanted FROM fresh;
            IF there < wanted THEN
                RAISE EXCEPTION '{table} refers by {column} to what {parent} does not have' {code};
            END IF;
            RETURN NULL;
        END $$"""  # noqa: S608  our own names
    for kind in ("INSERT", "UPDATE"):  # a trigger with a table of new rows is for one kind
        yield (
            f'CREATE TRIGGER {name}_is_there_{kind.lower()} AFTER {kind} ON "{table}" REFERENCING NEW TABLE AS fresh'
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}_is_there()"
        )
    yield f"""
        CREATE FUNCTION {name}_is_wanted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND NEW.id = OLD.id THEN
                RETURN NEW;
            END IF;
            IF EXISTS (SELECT 1 FROM "{table}" WHERE "{column}" = OLD.id) THEN
                RAISE EXCEPTION '{table} refers by {column} to this row of {parent}' {code};
            END IF;
            RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
        END $$"""  # noqa: S608  our own names
    yield (
        f'CREATE TRIGGER {name}_is_wanted BEFORE DELETE OR UPDATE OF id ON "{parent}" FOR EACH ROW EXECUTE FUNCTION {name}_is_wanted()'
    )
