"""Times from PostgreSQL: as the driver reads them, only quicker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import DataError, connection

from patchflow.kernel.timestamps import QuickLoader

pytestmark = [pytest.mark.pg, pytest.mark.django_db]


def _read(text: str | None) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-30 03:04:05.678901+00", datetime(2026, 11, 30, 3, 4, 5, 678901, UTC)),
        ("2026-11-30 03:04:05.5+00", datetime(2026, 11, 30, 3, 4, 5, 500000, UTC)),
        ("2026-11-30 03:04:05+00", datetime(2026, 11, 30, 3, 4, 5, 0, UTC)),
        ("2026-03-29 02:30:00+01", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("0001-01-01 00:00:00+00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31 23:59:59.999999+00", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        (None, None),
    ],
)
def test_moments_are_read_to_the_last_digit(text: str | None, moment: datetime | None) -> None:
    found = _read(text)
    assert found == moment
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize("text", ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"])
def test_what_is_no_moment_of_ours_is_refused_by_the_driver(text: str) -> None:
    with pytest.raises(DataError, match="timestamp"):
        _read(text)


def test_this_reader_is_the_one_that_reads() -> None:
    connection.ensure_connection()
    oid = connection.connection.adapters.types["timestamptz"].oid
    assert connection.connection.adapters.get_loader(oid, psycopg.pq.Format.TEXT) is QuickLoader
