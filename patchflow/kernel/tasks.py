"""The clockwork: cheap ticks that look for due rows. Two schedulers, or none for a while, change nothing."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from patchflow.kernel import queue, signoffs, trail
from patchflow.kernel.enums import RoundState
from patchflow.kernel.models import SignOffRound, User


@shared_task
def sweep(**_: object) -> dict[str, int]:
    """Runs all sweeps; one at a time is enough, so a sweep under way lets this one go: for one more period at most, as the
    worker that runs it may have died."""
    if not cache.add("patchflow.sweep", "1", timeout=2 * settings.PATCHFLOW["SWEEP_SECONDS"]):
        return {}
    try:
        return queue.sweep(now=timezone.now())
    finally:
        cache.delete("patchflow.sweep")


@shared_task
def seal(**_: object) -> None:
    """Seals what was written since; repeats until nothing is left."""
    while trail.seal(at=timezone.now()):
        pass


@shared_task
def publish_heads(**_: object) -> None:
    trail.publish(at=timezone.now())


@shared_task
def expire_rounds(**_: object) -> None:
    """Ends rounds whose asked level stayed silent past its deadline."""
    now = timezone.now()
    for pk in SignOffRound.objects.filter(state=RoundState.OPEN, not_before__lte=now).values_list("pk", flat=True):
        signoffs.expire(round_id=pk, actor=User.bot(), at=now)
