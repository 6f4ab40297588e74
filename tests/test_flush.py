"""Transactional tests leave nothing behind, and the append-only tables guarded."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection

from patchflow.kernel import append_only
from patchflow.kernel.models import AuditEntry
from tests.factories.changes import implementing, make_world
from tests.factories.people import make_cast
from tests.flush import filled, flush

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("flush")]


def holding() -> set[str]:
    """The models that have rows, by themselves: not by what the flush asks."""
    kept = (ContentType, Permission)
    models = [m for m in apps.get_models() if m not in kept and m._meta.managed]
    return {m._meta.label for m in models if m._base_manager.exists()}


def test_flush_takes_every_row_and_keeps_what_migrations_made(now: datetime) -> None:
    kept = (ContentType.objects.count(), Permission.objects.count())
    implementing(make_world(make_cast(), now))
    assert {"kernel.User", "kernel.AuditEntry", "changes.RFC", "cmdb.Host"} <= holding()
    assert {"kernel_auditentry", "changes_rfc"} <= set(filled())
    flush()
    assert holding() == set()
    assert filled() == []
    assert (ContentType.objects.count(), Permission.objects.count()) == kept
    assert kept > (0, 0)


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_finds_nothing_of_the_one_before(turn: int, now: datetime) -> None:
    assert holding() == set()
    implementing(make_world(make_cast(), now))
    assert holding()


def test_after_a_flush_the_database_refuses_as_before(now: datetime) -> None:
    implementing(make_world(make_cast(), now))
    guarded = set(filled()) & append_only.TABLES
    assert "kernel_auditentry" in guarded
    flush()
    implementing(make_world(make_cast(), now))
    assert guarded <= set(filled())
    for table in sorted(guarded):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id"):  # noqa: S608
            with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
                cursor.execute(statement)
    assert AuditEntry.objects.exists()
