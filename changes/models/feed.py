"""Where notifications of updates come from: feeds, their runs, and documents that could not be taken in.

A run: queued → running → completed | held | failed. Held means that more records would be lost than is believed by
itself; a person accepts the loss (completed) or refuses it (refused).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import FeedRunState, LocationKind
from changes.rules_identify import may_ingest, may_manage_feeds
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, DueWork


class Feed(Audited):
    """A source of advisories: how it is read (`kind` names the slice), where, how often, and how it stands.

    `covers` lists the platforms ("debian:12") that its last good run spoke of; for other platforms it says nothing.
    """

    name = models.SlugField(_("name"), max_length=60, unique=True)
    title = models.CharField(_("title"), max_length=120, blank=True, default="")
    kind = models.CharField(_("kind"), max_length=20)
    location_kind = models.CharField(_("kind of location"), max_length=10, choices=LocationKind)
    location = models.CharField(_("location"), max_length=500)
    allow_private = models.BooleanField(_("may lie in the own network"), default=False)
    every_minutes = models.PositiveIntegerField(_("polled every (minutes)"), default=60)
    stale_after_minutes = models.PositiveIntegerField(_("stale after (minutes)"), default=2880)
    enabled = models.BooleanField(_("enabled"), default=True)
    covers = models.JSONField(default=list, blank=True)
    records = models.PositiveIntegerField(default=0)
    last_good_at = models.DateTimeField(null=True, blank=True)
    last_tried_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        verbose_name = _("feed")

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def next_due_at(self) -> datetime | None:
        """When it is polled next; None before the first poll (then at once)."""
        return self.last_tried_at + timedelta(minutes=self.every_minutes) if self.last_tried_at else None

    def is_stale(self, at: datetime) -> bool:
        """Whether its last good poll is too old to say anything about today."""
        return self.last_good_at is None or at - self.last_good_at > timedelta(minutes=self.stale_after_minutes)


class FeedRun(DueWork):
    """One poll of one feed, with what it brought. Its entries stand in the chain of its feed."""

    feed = models.ForeignKey(Feed, models.PROTECT, related_name="runs")
    state = state_field(FeedRunState)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    documents = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    withdrawn = models.PositiveIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    vanished = models.PositiveIntegerField(default=0)
    known_before = models.PositiveIntegerField(default=0)
    covers = models.JSONField(default=list, blank=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("feed run")
        constraints = [
            models.UniqueConstraint(
                fields=["feed"],
                condition=Q(state__in=["queued", "running"]),
                name="changes_feedrun_one_live",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feed} #{self.pk}"

    @property
    def audit_parent(self) -> Audited:
        return self.feed

    @property
    def loss_percent(self) -> int:
        """Of the records known before, how many this run did not find; rounded up."""
        return -(-100 * self.vanished // self.known_before) if self.known_before else 0

    @transition(
        field=state,
        source=FeedRunState.QUEUED,
        target=FeedRunState.RUNNING,
        verb="change.feed.started",
        allowed=[may_ingest],
        by_system=True,
    )
    def start(self, *, actor: Any, at: datetime) -> None:
        self.started_at = at

    @transition(
        field=state,
        source=FeedRunState.RUNNING,
        target=FeedRunState.COMPLETED,
        verb="change.feed.completed",
        allowed=[may_ingest],
        by_system=True,
    )
    def complete(self, *, actor: Any, at: datetime, **_counts: int) -> None:
        self.ended_at = at

    @transition(
        field=state,
        source=FeedRunState.RUNNING,
        target=FeedRunState.HELD,
        verb="change.feed.held",
        allowed=[may_ingest],
        by_system=True,
    )
    def hold(self, *, actor: Any, at: datetime, problem: str, **_counts: int) -> None:
        self.ended_at, self.problem = at, problem

    @transition(
        field=state,
        source=[FeedRunState.QUEUED, FeedRunState.RUNNING],
        target=FeedRunState.FAILED,
        verb="change.feed.failed",
        allowed=[may_ingest],
        by_system=True,
    )
    def fail(self, *, actor: Any, at: datetime, problem: str) -> None:
        self.ended_at, self.problem = at, problem

    @transition(
        field=state,
        source=FeedRunState.HELD,
        target=FeedRunState.COMPLETED,
        verb="change.feed.loss_accepted",
        allowed=[may_manage_feeds],
        dangerous=True,
        label="Accept the loss",
    )
    def accept_loss(self, *, actor: Any, at: datetime, reason: str) -> None:
        self.problem = ""

    @transition(
        field=state,
        source=FeedRunState.HELD,
        target=FeedRunState.REFUSED,
        verb="change.feed.loss_refused",
        allowed=[may_manage_feeds],
        label="Refuse the loss",
    )
    def refuse_loss(self, *, actor: Any, at: datetime, reason: str) -> None:
        self.problem = f"{self.problem} {reason}".strip()


class QuarantinedDocument(models.Model):
    """A document that was not taken in, with its error. What was known under its id before stays in force."""

    feed = models.ForeignKey(Feed, models.PROTECT, related_name="quarantine")
    document_name = models.CharField(max_length=320)
    document_sha256 = models.CharField(max_length=64)
    advisory_id = models.CharField(max_length=130, blank=True, default="")
    beginning = models.TextField(blank=True, default="", help_text=_("The first characters of the document."))
    error = models.TextField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-last_seen_at", "-id"]
        verbose_name = _("quarantined document")
        constraints = [
            models.UniqueConstraint(
                fields=["feed", "document_name", "document_sha256"], name="changes_quarantine_once"
            ),
        ]

    def __str__(self) -> str:
        return self.document_name
