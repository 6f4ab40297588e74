"""Carrying out a poll: the source is read outside of any transaction, what it says is taken in batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import transaction

from changes.domain import advisories, applicability, catalogue, exploited
from changes.domain.advisories import Ingested
from changes.enums_identify import AdvisoryStatus, FeedRunState, LocationKind
from changes.feeds import base
from changes.feeds.base import AdvisoryDraft, FeedError, Quarantined
from changes.models import Advisory, Feed, FeedRun, QuarantinedDocument
from changes.queries.feeds import not_listed
from patchflow.kernel import queue, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User

BATCH = 500
T = TypeVar("T")
FeedMaker = Callable[..., base.Feed]


@dataclass(slots=True)
class _Progress:
    """What has been seen of the source so far."""

    sum: Ingested = field(default_factory=Ingested)
    quarantined: list[Quarantined] = field(default_factory=list)
    covers: set[str] = field(default_factory=set)


def run(*, run_id: int, now: datetime, make: FeedMaker = base.make_feed) -> FeedRun | None:
    """Carries out a due run: reads the source outside of any transaction, takes it in batch by batch, evaluates.

    Records that the source no longer lists are marked, unless more than 20 % (configurable) would be lost: then the
    run is held for a person, and what was known stays in force. None: somebody else holds it, or it is over.
    """
    live = FeedRun.objects.filter(pk=run_id, state__in=[FeedRunState.QUEUED, FeedRunState.RUNNING])
    held = queue.claim(live, owner="feed", lease=settings.PATCHFLOW["LEASE"])
    if not held:
        return None
    bot = User.bot()
    row = FeedRun.objects.select_related("feed").get(pk=run_id)
    if row.state == FeedRunState.QUEUED:
        row = workflow.fire(FeedRun, run_id, "start", actor=bot, at=now)
    progress = _Progress()
    try:
        source = _open(row.feed, make, now=now)
        for batch in _batches(source.fetch(since=None), BATCH):
            _take(batch, progress, row, at=now)
            if not queue.renew(FeedRun, held[0], lease=settings.PATCHFLOW["LEASE"]):
                return None  # somebody else has taken over
    except FeedError as error:
        return _fail(run_id, str(error), at=now)
    if not source.tally.complete:
        advisories.quarantine(progress.quarantined, feed=row.feed, at=now)
        broken = (
            progress.quarantined[-1].error if progress.quarantined else english("The source broke off before its end.")
        )
        return _fail(run_id, broken, at=now)
    return _finish(row, progress, documents=source.tally.documents, at=now)


def _open(feed: Feed, make: FeedMaker, *, now: datetime) -> base.Feed:
    location: str | Path = feed.location if feed.location_kind == LocationKind.URL else Path(feed.location)
    return make(feed.kind, name=feed.name, location=location, now=now, allow_private=feed.allow_private)


def _batches(found: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(found, size)):
        yield batch


def _take(batch: list[AdvisoryDraft | Quarantined], progress: _Progress, run: FeedRun, *, at: datetime) -> None:
    drafts = [each for each in batch if isinstance(each, AdvisoryDraft)]
    progress.quarantined += [each for each in batch if isinstance(each, Quarantined)]
    for draft in drafts:
        progress.covers |= {f"{distribution}:{release}" for distribution, release, _ in draft.releases}
    if drafts:
        progress.sum.add(advisories.ingest(drafts, run=run, at=at))


def _fail(run_id: int, problem: str, *, at: datetime) -> FeedRun:
    row = workflow.fire(FeedRun, run_id, "fail", actor=User.bot(), at=at, problem=problem)
    Feed.objects.filter(pk=row.feed_id).update(problem=problem)
    return row


def _finish(row: FeedRun, progress: _Progress, *, documents: int, at: datetime) -> FeedRun:
    bot, taken = User.bot(), progress.sum
    with transaction.atomic():
        advisories.quarantine(progress.quarantined, feed=row.feed, at=at)
        lost = list(not_listed(row).values_list("pk", flat=True))
        current = Advisory.objects.filter(feed=row.feed_id, status=AdvisoryStatus.CURRENT)
        known_before = current.count() - taken.new
        counts = {
            "documents": documents, "new": taken.new, "changed": taken.changed, "unchanged": taken.unchanged,
            "withdrawn": taken.withdrawn, "quarantined": len(progress.quarantined), "vanished": len(lost),
            "known_before": max(known_before, 0),
        }  # fmt: skip
        FeedRun.objects.filter(pk=row.pk).update(**counts, covers=sorted(progress.covers))
        limit = settings.PATCHFLOW["FEED_LOSS_PERCENT"]
        if lost and 100 * len(lost) > limit * max(known_before, 1):
            problem = english(
                "It lists %(lost)s of %(known_before)s known advisories no more, which is over %(limit)s %%. Nothing was marked; "
                "what was new or changed was taken in. Look at the source, then accept or refuse the loss.",
                lost=len(lost),
                known_before=known_before,
                limit=limit,
            )
            row = workflow.fire(FeedRun, row.pk, "hold", actor=bot, at=at, problem=problem, **counts)
            Feed.objects.filter(pk=row.feed_id).update(problem=problem)
        else:
            taken.fixes |= advisories.mark_vanished(lost, at=at)
            row = workflow.fire(FeedRun, row.pk, "complete", actor=bot, at=at, **counts)
            _call_good(row, at=at)
        catalogue.settle(taken.updates, at=at)
        exploited.mark_updates(at=at)
        applicability.evaluate_fixes(taken.fixes)
        applicability.announce(taken.updates, actor=bot, at=at)
    applicability.count_reach()
    return row


def _call_good(row: FeedRun, *, at: datetime) -> None:
    records = Advisory.objects.filter(feed=row.feed_id, status=AdvisoryStatus.CURRENT).count()
    Feed.objects.filter(pk=row.feed_id).update(last_good_at=at, problem="", records=records, covers=row.covers)
    seen = QuarantinedDocument.objects.filter(
        feed=row.feed_id, settled_at__isnull=True, last_seen_at__lt=row.started_at or at
    )
    seen.update(settled_at=at)


def accept_loss(*, run_id: int, reason: str, actor: User, at: datetime) -> FeedRun:
    """Accepts that the source lists fewer advisories: those are marked as no longer listed (unknown, never "fixed")."""
    if not reason.strip():
        raise Invalid([Blocker("feed.reason", "Say why the loss is right.")])
    with transaction.atomic():
        gone = list(not_listed(workflow.lock(FeedRun, run_id)).values_list("pk", flat=True))
        row = workflow.fire(FeedRun, run_id, "accept_loss", actor=actor, at=at, reason=reason)
        fixes = advisories.mark_vanished(gone, at=at)
        _call_good(row, at=at)
        applicability.evaluate_fixes(fixes)
    applicability.count_reach()
    return row


def refuse_loss(*, run_id: int, reason: str, actor: User, at: datetime) -> FeedRun:
    """Refuses the loss: all advisories stay in force, and the feed can be polled again."""
    if not reason.strip():
        raise Invalid([Blocker("feed.reason", "Say why the loss is not believed.")])
    return workflow.fire(FeedRun, run_id, "refuse_loss", actor=actor, at=at, reason=reason)
