"""Half-open spans [start, end): "as of" is a filter, and ends never precede starts."""

from __future__ import annotations

from datetime import datetime

from django.db.models import CheckConstraint, F, Q


def within(at: datetime, *, start: str, end: str, prefix: str = "") -> Q:
    """Rows whose span holds `at`; an open end is NULL."""
    return Q(**{f"{prefix}{start}__lte": at}) & (
        Q(**{f"{prefix}{end}__isnull": True}) | Q(**{f"{prefix}{end}__gt": at})
    )


def ordered(*, start: str, end: str, name: str) -> CheckConstraint:
    """The constraint that a span ends after it starts (or is still open)."""
    return CheckConstraint(condition=Q(**{f"{end}__isnull": True}) | Q(**{f"{end}__gte": F(start)}), name=name)
