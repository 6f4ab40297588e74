"""Many rows by one statement. On PostgreSQL new ones are copied in and changed ones travel as one JSON parameter, so that thousands
cost no parsing of placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, connection, models, transaction

from patchflow.kernel.json_text import text_from

M = TypeVar("M", bound=models.Model)
BATCH = 2500


def insert(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    same: Mapping[str, Any] | None = None,
    ignore_conflicts: bool = False,
) -> None:
    """INSERT of rows given as columns (names of attributes), all of them the same ones; `same`: columns with one value for
    all. One that is not given gets its field's default, one with a default of the database gets that. Keys are not read back.
    """
    if not rows:
        return
    same = same or {}
    if connection.vendor != "postgresql":
        made = [model(**same, **row) for row in rows]
        model._base_manager.bulk_create(made, ignore_conflicts=ignore_conflicts, batch_size=500)
        return
    blank = model()
    fields = [f for f in model._meta.concrete_fields if not f.primary_key and not f.has_db_default()]
    once = {f: same.get(f.attname, getattr(blank, f.attname)) for f in fields if f.attname not in rows[0]}
    own = [f for f in fields if f.attname in rows[0]]
    if not ignore_conflicts:
        _copy(model, rows, once, own)
        return
    try:
        with transaction.atomic():
            _copy(model, rows, once, own)
    except IntegrityError:  # one of them is there already: the slower way passes over it
        _insert(model, rows, once, own)


def _copy(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], once: Mapping[Any, Any], own: list[Any]
) -> None:
    """COPY, which takes half of what an INSERT of the same rows does: nothing is parsed as a statement."""
    columns = ", ".join(f'"{f.column}"' for f in [*once, *own])
    begins = "".join(f"{_cell(value, _is_json(f))}\t" for f, value in once.items())
    told = [(f.attname, _is_json(f)) for f in own]
    sql = f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN'
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as copy:
        for start in range(0, len(rows), BATCH):
            lines = [
                begins + "\t".join([_cell(row[name], as_json) for name, as_json in told])
                for row in rows[start : start + BATCH]
            ]
            copy.write("\n".join([*lines, ""]))


def _is_json(field: Any) -> bool:
    return isinstance(field, models.JSONField)


_special = re.compile(r"[\\\t\n\r]").search
_escapes = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _cell(value: Any, as_json: bool) -> str:
    """A value in COPY's text format."""
    if value is None:
        return r"\N"
    if as_json:
        return text_from(value).replace("\\", r"\\")
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text.translate(_escapes) if _special(text) else text


def _insert(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], once: Mapping[Any, Any], own: list[Any]
) -> None:
    columns = ", ".join(f'"{f.column}"' for f in [*once, *own])
    chosen = ", ".join([*["%s"] * len(once), *(f'r."{f.attname}"' for f in own)])
    given = [field.get_db_prep_save(value, connection) for field, value in once.items()]
    sql = f'INSERT INTO "{model._meta.db_table}" ({columns}) SELECT {chosen} FROM {table(own)} ON CONFLICT DO NOTHING'  # noqa: S608
    for start in range(0, len(rows), BATCH):
        with connection.cursor() as cursor:
            cursor.execute(sql, [*given, text_from(rows[start : start + BATCH])])


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
    sets = [f'"{by_name[name].column}" = %s' for name in same] + [f'"{f.column}" = r."{f.attname}"' for f in fields]
    sql = (
        f'UPDATE "{model._meta.db_table}" t SET {", ".join(sets)} FROM {table([key, *fields])}'  # noqa: S608
        f' WHERE t."{key.column}" = r."{key.attname}"'
    )
    given = [by_name[name].get_db_prep_save(each, connection) for name, each in same.items()]
    told = [{f.attname: getattr(row, f.attname) for f in [key, *fields]} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*given, text_from(told)])


def table(fields: Sequence[Any]) -> str:
    """SQL of a table `r` with these columns, by the names of their attributes, made of one JSON parameter (PostgreSQL)."""
    shape = ", ".join(
        f'"{f.attname}" {f.rel_db_type(connection) if f.primary_key else f.db_type(connection)}' for f in fields
    )
    return f"json_to_recordset(%s::json) AS r({shape})"
