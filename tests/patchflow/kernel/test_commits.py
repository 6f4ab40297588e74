"""Only news that can be heard again is committed without waiting for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from patchflow.kernel.commits import need_not_wait

ROOT = Path(__file__).resolve().parents[3]


def _waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return bool(cursor.fetchone()[0] == "on")


@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_it_holds_for_one_transaction() -> None:
    with transaction.atomic():
        need_not_wait()
        assert not _waits()
    assert _waits()
    with transaction.atomic():
        assert _waits()


def test_without_a_transaction_it_says_so() -> None:
    with pytest.raises(TransactionManagementError):
        need_not_wait()


def test_only_crews_and_ticks_do_not_wait() -> None:
    """Whoever is added here has an answer to what becomes of a lost commit, as docs/adr/0031 has for these."""
    apps = [path for app in ("patchflow", "cmdb", "changes", "releases") for path in (ROOT / app).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in apps if "need_not_wait(" in path.read_text()}
    assert found == {"patchflow/kernel/commits.py", "releases/domain/advance.py", "releases/domain/crews.py"}
