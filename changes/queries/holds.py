"""Holds: what stands still, and why."""

from __future__ import annotations

from django.db import models

from changes.models import Hold
from patchflow.kernel.blockers import Blocker


def open_hold_of(subject: models.Model) -> Hold | None:
    """The open hold of an RFC or a release."""
    return _open(subject).select_related("placed_by").first()


def _open(subject: models.Model) -> models.QuerySet[Hold]:
    return Hold.objects.filter(subject_type=subject._meta.label_lower, subject_id=subject.pk, resumed_at__isnull=True)


def hold_blocker(subject: models.Model) -> list[Blocker]:
    """The reason that an open hold gives against every verb but leaving; empty if there is none."""
    hold = open_hold_of(subject) if _open(subject).exists() else None
    if hold is None:
        return []
    return [Blocker("hold.open", f"On hold by {hold.placed_by}: {hold.reason} Resume it first.", tone="wait")]
