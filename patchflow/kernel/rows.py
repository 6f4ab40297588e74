"""Many rows by one statement: on PostgreSQL they travel as one JSON parameter, so that thousands cost no parsing of placeholders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

M = TypeVar("M", bound=models.Model)
BATCH = 2500


class TellingTimes(DjangoJSONEncoder):
    """Times with all their digits, which the framework's own cuts off at milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


def insert(model: type[M], rows: Sequence[M], *, ignore_conflicts: bool = False) -> None:
    """INSERT of unsaved rows; a column with a default of the database gets that. Their keys are not read back."""
    if connection.vendor != "postgresql":
        model._base_manager.bulk_create(rows, ignore_conflicts=ignore_conflicts, batch_size=500)
        return
    fields = _written(model)
    _insert(model, [{f.column: value(row, f) for f in fields} for row in rows], ignore_conflicts)


def insert_told(model: type[M], rows: Sequence[Mapping[str, Any]], *, ignore_conflicts: bool = False) -> None:
    """As `insert`, of rows given as columns (names of attributes); one that is not given gets its field's default."""
    if not rows:
        return
    if connection.vendor != "postgresql":
        insert(model, [model(**row) for row in rows], ignore_conflicts=ignore_conflicts)
        return
    blank = model()
    usual = {f.attname: getattr(blank, f.attname) for f in _written(model) if f.attname not in rows[0]}
    columns = {f.attname: str(f.column) for f in _written(model)}
    told = [{columns[name]: each for name, each in {**usual, **row}.items()} for row in rows]
    _insert(model, told, ignore_conflicts)


def _written(model: type[M]) -> list[Any]:
    return [f for f in model._meta.concrete_fields if not f.primary_key and not f.has_db_default()]


def _insert(model: type[M], told: Sequence[Mapping[str, Any]], ignore_conflicts: bool) -> None:
    fields = _written(model)
    names = ", ".join(f'"{f.column}"' for f in fields)
    sql = f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {names} FROM {table(fields)}'  # noqa: S608
    if ignore_conflicts:
        sql += " ON CONFLICT DO NOTHING"
    for start in range(0, len(told), BATCH):
        with connection.cursor() as cursor:
            cursor.execute(sql, [json.dumps(told[start : start + BATCH], cls=TellingTimes)])


def update(model: type[M], rows: Sequence[M], same: Mapping[str, Any], own: Sequence[str]) -> None:
    """UPDATE of rows: `same` columns to one value for all, `own` columns to each row's own (names of attributes)."""
    if own and connection.vendor == "postgresql":
        _update_from(model, rows, same, own)
        return
    if same:
        model._base_manager.filter(pk__among=[row.pk for row in rows]).update(**same)
    if own:
        model._base_manager.bulk_update(rows, own, batch_size=200)


def _update_from(model: type[M], rows: Sequence[M], same: Mapping[str, Any], own: Sequence[str]) -> None:
    by_name = {field.attname: field for field in model._meta.concrete_fields}
    key, fields = model._meta.pk, [by_name[name] for name in own]
    sets = [f'"{by_name[name].column}" = %s' for name in same] + [f'"{f.column}" = r."{f.column}"' for f in fields]
    sql = (
        f'UPDATE "{model._meta.db_table}" t SET {", ".join(sets)} FROM {table([key, *fields])}'  # noqa: S608
        f' WHERE t."{key.column}" = r."{key.column}"'
    )
    given = [by_name[name].get_db_prep_save(each, connection) for name, each in same.items()]
    told = [{f.column: value(row, f) for f in [key, *fields]} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*given, json.dumps(told, cls=TellingTimes)])


def table(fields: Sequence[Any]) -> str:
    """SQL of a table `r` with these columns, made of one JSON parameter (PostgreSQL)."""
    shape = ", ".join(
        f'"{f.column}" {f.rel_db_type(connection) if f.primary_key else f.db_type(connection)}' for f in fields
    )
    return f"json_to_recordset(%s::json) AS r({shape})"


def value(row: models.Model, field: Any) -> Any:
    """The row's value of the field, as JSON tells it; times with all their digits."""
    found = getattr(row, field.attname)
    return found.isoformat() if isinstance(found, datetime) else found
