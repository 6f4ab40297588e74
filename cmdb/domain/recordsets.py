"""Many rows by one statement: rows travel as one JSON parameter, so the number of queries does not grow with them.

The same SQL on both databases but for how JSON becomes a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, models

from patchflow.kernel.json_text import text_from

TYPES = {"text": "text", "bool": "boolean", "int": "bigint", "json": "jsonb"}


def recordset(columns: Mapping[str, str]) -> str:
    """SQL of a table `r` with these columns (name → text | bool | int | json) made of one JSON parameter."""
    if connection.vendor == "postgresql":
        return (
            f"json_to_recordset(%s::json) AS r({', '.join(f'{name} {TYPES[kind]}' for name, kind in columns.items())})"
        )
    fields = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {fields} FROM json_each(%s)) AS r"  # noqa: S608  column names are ours


def insert(
    model: type[models.Model],
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    constants: Mapping[str, Any],
) -> None:
    """INSERT of rows (by column name) with the same constants in each; what is there already is left as it is."""
    if not rows:
        return
    names, fixed = list(columns), list(constants)
    sql = (
        f"INSERT INTO {model._meta.db_table} ({', '.join(names + fixed)})"  # noqa: S608
        f" SELECT {', '.join([f'r.{n}' for n in names] + ['%s'] * len(fixed))} FROM {recordset(columns)} WHERE true"
        " ON CONFLICT DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_adapted(model, constants), text_from(rows)])


def insert_joined(
    model: type[models.Model],
    foreign: str,
    match: Mapping[str, str],
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    constants: Mapping[str, Any],
    within: tuple[str, int],
) -> list[int]:
    """As `insert`, where each row finds the row of the foreign key `foreign`'s table that equals it in the columns `match` (within
    column = value); returns the foreign ids inserted."""
    if not rows:
        return []
    field: Any = model._meta.get_field(foreign)
    other: type[models.Model] = field.related_model
    names, fixed = list(columns), list(constants)
    on = " AND ".join(f"o.{name} = r.{name}" for name in match)
    sql = (
        f"INSERT INTO {model._meta.db_table} ({', '.join([field.column, *names, *fixed])})"  # noqa: S608
        f" SELECT o.id, {', '.join([f'r.{n}' for n in names] + ['%s'] * len(fixed))}"
        f" FROM {recordset({**match, **columns})} JOIN {other._meta.db_table} o ON o.{within[0]} = %s AND {on} WHERE true"
        f" ON CONFLICT DO NOTHING RETURNING {field.column}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_adapted(model, constants), text_from(rows), within[1]])
        return [row[0] for row in cursor.fetchall()]


def _adapted(model: type[models.Model], constants: Mapping[str, Any]) -> list[Any]:
    """The values as the columns' fields write them."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    return [fields[name].get_db_prep_save(value, connection) for name, value in constants.items()]
