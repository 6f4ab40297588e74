"""What models say that the database refuses, it refuses: no migration has taken a constraint or an index away by the way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

pytestmark = pytest.mark.django_db


def test_every_constraint_and_index_of_every_model_is_in_the_database() -> None:
    missing = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if not model._meta.managed or not model.__module__.startswith(("patchflow", "cmdb", "changes", "releases")):
                continue
            there = _names(cursor, model._meta.db_table)
            wanted = [*model._meta.constraints, *model._meta.indexes]
            missing += [f"{model._meta.label}: {each.name}" for each in wanted if each.name not in there]
    assert missing == []


def _names(cursor: Any, table: str) -> set[str]:
    """The names of a table's constraints and indexes. (Django's own look at SQLite cannot read every condition.)"""
    if connection.vendor != "sqlite":
        return set(connection.introspection.get_constraints(cursor, table))
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = %s", [table])
    rows = cursor.fetchall()
    written = {name for _own, sql in rows for name in re.findall(r'CONSTRAINT "([^"]+)"', sql or "")}
    return written | {name for name, _sql in rows}
