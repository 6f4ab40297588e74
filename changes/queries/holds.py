"""Holds: what stands still, and why."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import models

from changes.models import Hold
from patchflow.kernel.blockers import Blocker, english


def open_hold_of(subject: models.Model) -> Hold | None:
    """The open hold of an RFC or a release."""
    return _open(subject).select_related("placed_by").first()


def _open(subject: models.Model) -> models.QuerySet[Hold]:
    return open_holds(type(subject), subject.pk)


def open_holds(model: type[models.Model], subject_id: Any) -> models.QuerySet[Hold]:
    """The open holds of one subject; `subject_id` may be an expression of an outer query."""
    return Hold.objects.filter(subject_type=model._meta.label_lower, subject_id=subject_id, resumed_at__isnull=True)


def holds_of(model: type[models.Model], pks: Collection[int]) -> dict[int, Hold]:
    """Subject → its open hold, for all rows of a page by one query."""
    rows = Hold.objects.filter(subject_type=model._meta.label_lower, subject_id__in=pks, resumed_at__isnull=True)
    return {hold.subject_id: hold for hold in rows.select_related("placed_by")}


def hold_blocker(subject: models.Model) -> list[Blocker]:
    """The reason that an open hold gives against every verb but leaving; empty if there is none."""
    hold = open_hold_of(subject) if _open(subject).exists() else None
    if hold is None:
        return []
    return [
        Blocker(
            "hold.open",
            english(
                "On hold by %(placed_by)s: %(because)s Resume it first.",
                placed_by=hold.placed_by,
                because=_ended(hold.reason),
            ),
            tone="wait",
        )
    ]


def _ended(reason: str) -> str:
    """A reason as a sentence, so that what follows it is another one."""
    return reason if reason.endswith((".", "!", "?", "…")) else f"{reason}."
