"""SHA-256 made by the database: whether rows are still what was read from them, without reading them again."""

from __future__ import annotations

from typing import Any

from django.db.models import Aggregate, Model, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import SHA256, Cast, JSONArray


class TextHash(SHA256):
    """SHA-256 of a text in hex, by what PostgreSQL has built in: Django's own asks for an extension (pgcrypto)."""

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "ENCODE(SHA256(CONVERT_TO(%(expressions)s, 'UTF8')), 'hex')"
        return self.as_sql(compiler, connection, template=template, **extra)


class _Lines(Aggregate):
    """The texts of all rows in one, a line each; on SQLite in the order in which it meets them."""

    name = "Lines"
    output_field = TextField()
    template = "GROUP_CONCAT(%(expressions)s, CHAR(10))"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "STRING_AGG(%(expressions)s, CHR(10) ORDER BY %(expressions)s)"
        return self.as_sql(compiler, connection, template=template, **extra)


def rows_sum(model: type[Model], parent: str) -> Subquery:
    """For a query of the parent: the hash of every column of all its rows in `model`; None without a row. Equal sums are
    equal rows; rows that are equal may have another sum where they are met in another order."""
    columns = [field.attname for field in model._meta.concrete_fields]
    text = Cast(JSONArray(*columns), TextField())
    rows: QuerySet[Any] = model._base_manager.filter(**{parent: OuterRef("pk")}).order_by().values(parent)
    return Subquery(rows.annotate(sum_of_rows=TextHash(_Lines(text))).values("sum_of_rows"))
