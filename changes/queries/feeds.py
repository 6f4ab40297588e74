"""How the sources of advisories stand: silence is a state, and it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery

from changes.enums_identify import AdvisoryStatus, FeedRunState
from changes.models import Advisory, Feed, FeedRun, QuarantinedDocument, SoftwareUpdate

if TYPE_CHECKING:
    from patchflow.kernel.models import User


def visible_feeds(actor: User) -> QuerySet[Feed]:
    """Feeds are for all who may look at updates anywhere, and for those who manage feeds."""
    sees = actor.holds_somewhere("update.view") or actor.holds_somewhere("feed.manage")
    return Feed.objects.all() if sees else Feed.objects.none()


def visible_runs(actor: User) -> QuerySet[FeedRun]:
    """Their runs."""
    return FeedRun.objects.filter(feed__in=visible_feeds(actor)).select_related("feed", "requested_by")


def not_listed(run: FeedRun) -> QuerySet[Advisory]:
    """The advisories in force that the poll did not find, while it takes the source in or is held for a person; one whose
    document was put aside is not lost, only unread. Once it is decided, none."""
    if run.state not in (FeedRunState.RUNNING, FeedRunState.HELD):
        return Advisory.objects.none()
    unread = QuarantinedDocument.objects.filter(feed=run.feed_id, last_seen_at__gte=run.started_at)
    missing = Advisory.objects.filter(feed=run.feed_id, status=AdvisoryStatus.CURRENT, last_seen_run__lt=run.pk)
    return missing.exclude(advisory_id__in=unread.exclude(advisory_id="").values("advisory_id")).exclude(
        document_name__in=unread.exclude(document_name="").values("document_name")
    )


def losing(run: FeedRun, actor: User) -> QuerySet[Advisory]:
    """What a held poll would lose, as it is shown before a person decides: each with the updates that it announces."""
    updates = SoftwareUpdate.objects.visible_to(actor).order_by("name", "pk")
    return not_listed(run).select_related("feed").prefetch_related(Prefetch("updates", queryset=updates))


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
