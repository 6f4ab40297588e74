"""The peer that dispatching is measured against: a task that does nothing, on the same broker and workers."""

from __future__ import annotations

from celery import shared_task

QUEUE = "nothing"
"""Its own queue, so that its messages can all be there before the workers are told to take them."""


@shared_task
def nothing(*, number: int) -> None:
    """Does nothing."""
