"""Only news that can be heard again is committed without waiting for the disk."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from patchflow.kernel.commits import need_not_wait

pytestmark = [pytest.mark.django_db(transaction=True)]


def _waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return bool(cursor.fetchone()[0] == "on")


@pytest.mark.pg
def test_it_holds_for_one_transaction() -> None:
    with transaction.atomic():
        need_not_wait()
        assert not _waits()
    assert _waits()
    with transaction.atomic():
        assert _waits()
