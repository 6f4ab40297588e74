"""Many rows by one statement. On PostgreSQL new ones are copied in and changed ones travel as one JSON parameter, so that thousands
cost no parsing of placeholders."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

import orjson
from django.db import IntegrityError, connection, models, transaction
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from patchflow.kernel.json_text import bytes_from, read, text_from

M = TypeVar("M", bound=models.Model)
BATCH = 2500


class QuicklyRead(models.Model):
    """Base of models whose rows are read by the thousand: an instance is what the row says, made without the constructor,
    which asks for each column how it was given and takes most of the time of reading. Where somebody listens to instances
    being made, they are made as usual."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **given: Any) -> Self:
        if given or pre_init.has_listeners(cls) or post_init.has_listeners(cls):
            return super().from_db(db, field_names, values, **given)
        made = cls.__new__(cls)
        made._state = ModelState()
        made._state.adding, made._state.db = False, db
        made.__dict__.update(zip(field_names, values, strict=True))
        return made


def insert(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    same: Mapping[str, Any] | None = None,
    ignore_conflicts: bool = False,
) -> None:
    """INSERT of rows given as columns (names of attributes), all of them the same ones; `same`: columns with one value for
    all. One that is not given gets its field's default, one with a default of the database gets that. Keys are not read back.
    JSON that is at hand as text may be given as `orjson.Fragment`.
    """
    if not rows:
        return
    same = same or {}
    if connection.vendor != "postgresql":
        made = [model(**same, **{name: _unwrapped(value) for name, value in row.items()}) for row in rows]
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
    begins = "".join(f"{_cells([value], _is_json(f))[0]}\t" for f, value in once.items())
    sql = f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN'
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as copy:
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            cells = [_cells([row[f.attname] for row in some], _is_json(f)) for f in own]
            copy.write("".join([f"{begins}{line}\n" for line in map("\t".join, zip(*cells, strict=True))]))


def _is_json(field: Any) -> bool:
    return isinstance(field, models.JSONField)


_special = re.compile(r"[\\\t\n\r]").search
_escapes = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _cells(values: list[Any], as_json: bool) -> list[str]:
    """A column's values in COPY's text format; most columns are of one kind, and need no look at each value."""
    if as_json:
        return [r"\N" if value is None else text_from(value).replace("\\", r"\\") for value in values]
    kinds = set(map(type, values))
    if kinds == {datetime}:
        return [value.isoformat() for value in values]
    if kinds == {int}:
        return list(map(str, values))
    if kinds == {str} and not _special("".join(values)):
        return values
    return [_cell(value) for value in values]


def _cell(value: Any) -> str:
    if value is None:
        return r"\N"
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text.translate(_escapes) if _special(text) else text


def _unwrapped(value: Any) -> Any:
    return read(bytes_from(value)) if isinstance(value, orjson.Fragment) else value


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
    given = [by_name[name].get_db_prep_save(each, connection) for name, each in same.items()]
    sets = [f'"{by_name[name].column}" = %s' for name in same]
    if lists := _lists(rows, [key, *fields]):
        sets += [f'"{f.column}" = {_as_kept(f)}' for f in fields]
        names = ", ".join(f'"{f.attname}"' for f in [key, *fields])
        source = f"unnest({', '.join([_SPLIT] * len(lists))}) AS r({names})"
        where = _as_kept(key)
    else:
        sets += [f'"{f.column}" = r."{f.attname}"' for f in fields]
        source, where = table([key, *fields]), f'r."{key.attname}"'
        lists = [text_from([{f.attname: getattr(row, f.attname) for f in [key, *fields]} for row in rows])]
    sql = f'UPDATE "{model._meta.db_table}" t SET {", ".join(sets)} FROM {source} WHERE t."{key.column}" = {where}'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*given, *lists])


_BETWEEN, _NOTHING = "\x1e", "\x1d"
"""Between two values of a list, and in place of one that there is none of: in no text of ours, and never in JSON."""
_SPLIT = r"string_to_array(%s, E'\x1e', E'\x1d')"


def _lists(rows: Sequence[Any], fields: Sequence[Any]) -> list[str]:
    """Each column's values as one text to be split by the database, which takes three quarters of reading them out of JSON;
    nothing where that would not say the same (an only row's empty text, a text with one of the two signs)."""
    found: list[str] = []
    for field in fields:
        values = [getattr(row, field.attname) for row in rows]
        if not _is_json(field) and not all(isinstance(each, str | int | datetime | None) for each in values):
            return []
        told = text_from if _is_json(field) else _plainly
        texts = [_NOTHING if each is None else told(each) for each in values]
        joined = _BETWEEN.join(texts)
        if len(rows) < 2 or joined.count(_BETWEEN) >= len(rows) or joined.count(_NOTHING) != values.count(None):
            return []
        found.append(joined)
    return found


def _plainly(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _as_kept(field: Any) -> str:
    """SQL of a value of such a list, as its column keeps it. A text is left to be: said to be of the column's kind, one that is
    too long for it would be cut off in silence."""
    kind = field.rel_db_type(connection) if field.primary_key else field.db_type(connection)
    of_text = isinstance(field, models.CharField | models.TextField)
    return f'r."{field.attname}"' + ("" if of_text else f"::{kind}")


def table(fields: Sequence[Any]) -> str:
    """SQL of a table `r` with these columns, by the names of their attributes, made of one JSON parameter (PostgreSQL)."""
    shape = ", ".join(
        f'"{f.attname}" {f.rel_db_type(connection) if f.primary_key else f.db_type(connection)}' for f in fields
    )
    return f"json_to_recordset(%s::json) AS r({shape})"
