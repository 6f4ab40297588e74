"""How the sources of advisories stand: silence is a state, and it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, OuterRef, QuerySet, Subquery

from changes.enums_identify import FeedRunState
from changes.models import Feed, FeedRun

if TYPE_CHECKING:
    from patchflow.kernel.models import User


def visible_feeds(actor: User) -> QuerySet[Feed]:
    """Feeds are for all who may look at updates anywhere, and for those who manage feeds."""
    sees = actor.holds_somewhere("update.view") or actor.holds_somewhere("feed.manage")
    return Feed.objects.all() if sees else Feed.objects.none()


def visible_runs(actor: User) -> QuerySet[FeedRun]:
    """Their runs."""
    return FeedRun.objects.filter(feed__in=visible_feeds(actor)).select_related("feed", "requested_by")


def with_last_run(feeds: QuerySet[Feed]) -> QuerySet[Feed]:
    """The feeds with the state of their newest run, for `standing_of` over many."""
    newest = FeedRun.objects.filter(feed=OuterRef("pk")).order_by("-pk").values("state")[:1]
    return feeds.annotate(last_state=Subquery(newest))


def standing_of(feed: Feed, *, at: datetime) -> str:
    """off, polling, held, failed, new, stale or fresh: what a page says of a feed."""
    if not feed.enabled:
        return "off"
    last = feed.last_state if hasattr(feed, "last_state") else feed.runs.values_list("state", flat=True).first()
    if last in (FeedRunState.QUEUED, FeedRunState.RUNNING):
        return "polling"
    if last == FeedRunState.HELD:
        return "held"
    if feed.last_good_at is None:
        return "failed" if feed.problem else "new"
    if feed.is_stale(at):
        return "stale"
    return "failed" if feed.problem else "fresh"


@dataclass(frozen=True, slots=True)
class Polled:
    """A feed in use, how it stands, and what its polls of a span came to: run state → runs."""

    feed: Feed
    standing: str
    runs: dict[str, int]


def polled(actor: User, start: datetime, end: datetime, *, at: datetime) -> list[Polled]:
    """The feeds in use that the actor may see, with their polls in [start, end). Two queries."""
    feeds = list(with_last_run(visible_feeds(actor).filter(enabled=True).order_by("name")))
    runs: dict[int, dict[str, int]] = {feed.pk: {} for feed in feeds}
    rows = FeedRun.objects.filter(feed__in=list(runs), requested_at__gte=start, requested_at__lt=end).order_by()
    for feed_id, state, count in rows.values_list("feed_id", "state").annotate(n=Count("pk")):
        runs[feed_id][state] = count
    return [Polled(feed, standing_of(feed, at=at), runs[feed.pk]) for feed in feeds]


def late(*, at: datetime) -> tuple[int, int]:
    """(feeds whose word does not count now, feeds in use)."""
    feeds = list(Feed.objects.filter(enabled=True))
    return sum(feed.is_stale(at) for feed in feeds), len(feeds)
