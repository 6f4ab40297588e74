"""Numbers that people quote: RFC-2026-00042, REL-2026-00017."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from patchflow.kernel.models import Number


def next_number(series: str, *, at: datetime) -> str:
    """The next number of `series` in the year of `at`. Inside the creating transaction: a rollback leaves no gap."""
    with transaction.atomic():
        Number.objects.get_or_create(series=series, year=at.year)
        row = Number.objects.select_for_update().get(series=series, year=at.year)
        row.last += 1
        row.save(update_fields=["last"])
        return str(row)
