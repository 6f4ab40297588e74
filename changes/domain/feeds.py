"""Feeds: where notifications of updates come from, and when they are asked."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from changes.enums_identify import FeedRunState, LocationKind
from changes.feeds import base
from changes.models import Feed, FeedRun
from changes.rules_identify import may_manage_feeds, may_poll_feeds
from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep
from patchflow.kernel.rules import failing


@workflow.verb("change.feed.added", Feed)
def add(
    *,
    name: str,
    kind: str,
    location_kind: str,
    location: str,
    actor: User,
    at: datetime,
    title: str = "",
    every_minutes: int = 60,
    stale_after_minutes: int = 2880,
    allow_private: bool = False,
) -> Feed:
    """Adds a source of advisories; it is polled from the next sweep on. Raises NotAllowed, Invalid (name, kind, location)."""
    _demand(Feed, actor)
    feed = Feed(
        name=name,
        title=title,
        kind=kind,
        location_kind=location_kind,
        location=location.strip(),
        every_minutes=every_minutes,
        stale_after_minutes=stale_after_minutes,
        allow_private=allow_private,
        created_at=at,
    )
    _check(feed)
    feed.save(force_insert=True)
    audit.record(feed, "change.feed.added", actor=actor, at=at, detail=_described(feed))
    return feed


@workflow.verb("change.feed.revised", Feed, "feed_id")
def revise(*, feed_id: int, actor: User, at: datetime, **changes: Any) -> Feed:
    """Changes title, location, interval or reach of a feed; what it has brought stays. Raises NotAllowed, Invalid."""
    feed = workflow.lock(Feed, feed_id)
    _demand(feed, actor)
    before = _described(feed)
    for column in ("title", "location_kind", "location", "every_minutes", "stale_after_minutes", "allow_private"):
        if column in changes:
            setattr(feed, column, changes[column])
    _check(feed)
    feed.save()
    audit.record(feed, "change.feed.revised", actor=actor, at=at, detail={"before": before, "after": _described(feed)})
    return feed


def enable(*, feed_id: int, actor: User, at: datetime) -> Feed:
    """Polls it again from now on."""
    return _switch(True, feed_id, actor, at)


def disable(*, feed_id: int, actor: User, at: datetime) -> Feed:
    """Polls it no more; what it said stays in force until it is stale, and then makes verdicts unknown."""
    return _switch(False, feed_id, actor, at)


def _switch(enabled: bool, feed_id: int, actor: User, at: datetime) -> Feed:
    name = "change.feed.enabled" if enabled else "change.feed.disabled"

    @workflow.verb(name, Feed, "feed_id")
    def switch(*, feed_id: int, actor: User, at: datetime) -> Feed:
        feed = workflow.lock(Feed, feed_id)
        _demand(feed, actor)
        if feed.enabled != enabled:
            feed.enabled = enabled
            feed.save(update_fields=["enabled"])
            audit.record(feed, name, actor=actor, at=at)
        return feed

    return switch(feed_id=feed_id, actor=actor, at=at)


@workflow.verb("change.feed.requested", Feed, "feed_id")
def poll(*, feed_id: int, actor: User, at: datetime) -> FeedRun:
    """Asks for a poll now; the run is due work. Raises Conflict while one is under way, Blocked while one is held."""
    feed = workflow.lock(Feed, feed_id)
    if refused := _may_not_poll(feed, actor):
        raise NotAllowed(refused)
    if under_way := _under_way(feed):
        raise Conflict(under_way)
    if held := _held(feed):
        raise Blocked(held)
    run = FeedRun.objects.create(feed=feed, requested_by=actor, requested_at=at)
    Feed.objects.filter(pk=feed.pk).update(last_tried_at=at)
    audit.record(feed, "change.feed.requested", run, actor=actor, at=at)
    queue.enqueue("changes.tasks.run_feed", run_id=run.pk)
    return run


@sweep("changes.feeds")
def sweep_feeds(*, now: datetime) -> int:
    """Polls the feeds whose time has come, and rings again for runs that nobody holds."""
    bot, count = User.bot(), 0
    live = [FeedRunState.QUEUED, FeedRunState.RUNNING]
    for feed in Feed.objects.filter(enabled=True).exclude(runs__state__in=[*live, FeedRunState.HELD]):
        if feed.next_due_at is None or feed.next_due_at <= now:
            try:
                poll(feed_id=feed.pk, actor=bot, at=now)
            except Conflict:  # another scheduler's sweep was first: the next feed
                continue
            count += 1
    waiting = queue.due(FeedRun.objects.filter(state__in=live, requested_at__lt=now), now=queue.database_now())
    for pk in list(waiting.values_list("pk", flat=True)[:50]):
        queue.enqueue("changes.tasks.run_feed", run_id=pk)
        count += 1
    return count


def why_not_poll(feed: Feed, actor: User) -> list[Blocker]:
    """Why this person cannot ask for a poll now, the same as the verb raises."""
    return _may_not_poll(feed, actor) or _under_way(feed) or _held(feed)


def _may_not_poll(feed: Feed, actor: User) -> list[Blocker]:
    return failing([may_poll_feeds], feed, actor) if failing([may_manage_feeds], feed, actor) else []


def _under_way(feed: Feed) -> list[Blocker]:
    if not feed.runs.filter(state__in=[FeedRunState.QUEUED, FeedRunState.RUNNING]).exists():
        return []
    return [Blocker("conflict.feed_polled", "A poll of this feed is under way already.", tone="wait")]


def _held(feed: Feed) -> list[Blocker]:
    run = feed.runs.filter(state=FeedRunState.HELD).first()
    if run is None:
        return []
    sentence = english(
        "Run %(pk)s would lose %(vanished)s of %(known_before)s records: a person decides about that first.",
        pk=run.pk,
        vanished=run.vanished,
        known_before=run.known_before,
    )
    return [Blocker("feed.held", sentence, where=f"/feeds/{feed.pk}/", tone="wait")]


# --- checks ----------------------------------------------------------------------------------------------------------------
def _demand(obj: Any, actor: User) -> None:
    if refused := failing([may_manage_feeds], obj, actor):
        raise NotAllowed(refused)


def _described(feed: Feed) -> dict[str, Any]:
    columns = ("name", "kind", "location_kind", "location", "every_minutes", "stale_after_minutes", "allow_private")
    return {column: getattr(feed, column) for column in columns}


def _check(feed: Feed) -> None:
    found = []
    if feed.kind not in base.kinds():
        found.append(
            Blocker(
                "feed.kind",
                english(
                    "There is no kind %(kind)s; there are: %(kinds)s.",
                    kind=repr(feed.kind),
                    kinds=", ".join(base.kinds()),
                ),
            )
        )
    is_url = urlsplit(feed.location).scheme in ("http", "https") and bool(urlsplit(feed.location).hostname)
    if feed.location_kind == LocationKind.URL and not is_url:
        found.append(Blocker("feed.location", "A web address begins with https:// or http:// and names a host."))
    if feed.location_kind != LocationKind.URL and not Path(feed.location).is_absolute():
        found.append(Blocker("feed.location", "The path of a file, folder or archive on the server begins with /."))
    if not 5 <= feed.every_minutes <= 60 * 24 * 31:
        found.append(Blocker("feed.every_minutes", "It is polled at most every 5 minutes and at least every month."))
    if not found:
        try:
            feed.full_clean(exclude=["created_at"])
        except ValidationError as error:
            wrong = {name: " ".join(texts) for name, texts in error.message_dict.items()}
            found = [Blocker(f"feed.{name}", text) for name, text in wrong.items()]
    if found:
        raise Invalid(found)
