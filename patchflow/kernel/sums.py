"""Sums made by the database: whether rows are still what was read from them, without reading them again."""

from __future__ import annotations

from typing import Any

from django.db.models import Aggregate, F, Func, Model, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import SHA256

SERVER = "pg_postmaster_start_time()::text"
"""SQL of which PostgreSQL answers: versions of rows are those of one server's history. One that was restored or has taken
over counts its transactions anew."""


def version_of(row: str) -> str:
    """SQL of which version of the row `row` (its table or alias) it is, by the transaction that wrote it and its place (PostgreSQL):
    no two versions have the same."""
    return f"{row}.xmin::text || {row}.ctid::text"


class TextHash(SHA256):
    """SHA-256 of a text in hex, by what PostgreSQL has built in: Django's own asks for an extension (pgcrypto)."""

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "ENCODE(SHA256(CONVERT_TO(%(expressions)s, 'UTF8')), 'hex')"
        return self.as_sql(compiler, connection, template=template, **extra)


class _RowText(Func):
    """What differs as soon as the row was written again, by whomever: all its columns in one text (the key is the first of
    them), or on PostgreSQL its version."""

    function = "JSON_ARRAY"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        key, params = compiler.compile(self.source_expressions[0])
        return version_of(key.rpartition(".")[0]), params


class _Lines(Aggregate):
    """The texts of all rows in one, a line each, in the order of their keys; on SQLite in the order in which it meets them."""

    name = "Lines"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        text, params = compiler.compile(self.source_expressions[0])
        return f"GROUP_CONCAT({text}, CHAR(10))", params

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        (text, params), (key, more) = map(compiler.compile, self.source_expressions[:2])
        return f"STRING_AGG({text}, CHR(10) ORDER BY {key}) || {SERVER}", [*params, *more]


def rows_sum(model: type[Model], parent: str) -> Subquery:
    """For a query of the parent: the hash of all its rows in `model`, or of their versions; None without a row. Equal sums are
    equal rows; rows that are equal may have another sum where they are met in another order, or were written again."""
    key = model._meta.pk.attname
    columns = [key, *(field.attname for field in model._meta.concrete_fields if field.attname != key)]
    rows: QuerySet[Any] = model._base_manager.filter(**{parent: OuterRef("pk")}).order_by().values(parent)
    return Subquery(rows.annotate(sum_of_rows=TextHash(_Lines(_RowText(*columns), F(key)))).values("sum_of_rows"))
