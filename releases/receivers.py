"""What reaches releases from below."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from changes.signals import authorization_lost
from patchflow.kernel import queue
from releases.domain.rollouts import ADVANCE
from releases.queries.rollouts import due_rollouts


@receiver(authorization_lost, dispatch_uid="releases.authorization_lost")
def look_at_rollouts(sender: Any, *, rfc_id: int, **_: Any) -> None:
    """Rings for the rollouts that act for this RFC; their gates halt them, or let them wait out a hold. The open rollout is
    the due row: if this message is lost, the next sweep finds it."""
    rows = due_rollouts().filter(release__links__rfc_id=rfc_id, release__links__left_at__isnull=True)
    for pk in rows.values_list("pk", flat=True):
        queue.enqueue(ADVANCE, rollout_id=pk)
