"""Reviews at intervals (MOF: Operations Review, SLA Review): dated, over a period, with figures from rows. open → completed.

The figures are frozen in a record when it is completed; remarks are rows; actions are tracked until they are settled.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.enums import PeriodicKind, ReviewState
from releases.models.manifest import InsertOnly


class PeriodicReviewQuerySet(models.QuerySet["PeriodicReview"]):
    def visible_to(self, actor: User) -> PeriodicReviewQuerySet:
        """For who sees reviews everywhere: the figures are those of the whole estate."""
        return self if actor.scopes_for("review.view") is None else self.none()

    def open(self) -> PeriodicReviewQuerySet:
        return self.filter(state=ReviewState.OPEN)


class PeriodicReview(Audited):
    """One review of operations, or of service levels, over the half-open period [starts_at, ends_at)."""

    kind = models.CharField(_("kind"), max_length=12, choices=PeriodicKind)
    state = state_field(ReviewState)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    due_at = models.DateTimeField(_("due"))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("owner")
    )
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    completed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    completed_at = models.DateTimeField(null=True, blank=True)
    conclusion = models.TextField(_("conclusion"), blank=True, default="")

    objects = PeriodicReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-ends_at", "-id"]
        verbose_name = _("periodic review")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ReviewState.values), name="releases_periodic_state"),
            models.CheckConstraint(condition=Q(kind__in=PeriodicKind.values), name="releases_periodic_kind"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="releases_periodic_span"),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(state=ReviewState.OPEN), name="releases_periodic_one_open"
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.get_kind_display()}, {date_format(self.starts_at, 'j M Y')} – {date_format(self.ends_at, 'j M Y')}"
        )

    def get_absolute_url(self) -> str:
        return reverse("releases:periodic-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        """It concerns the whole estate: only what is held everywhere counts."""
        return [frozenset()]

    @transition(field=state, source=ReviewState.OPEN, target=ReviewState.COMPLETED, verb="release.periodic.completed",
                allowed=[capability("review.complete")], gated=True, label="Complete")  # fmt: skip
    def complete(self, *, actor: Any, at: datetime, conclusion: str = "", **facts: Any) -> None:
        self.completed_by, self.completed_at, self.conclusion = actor, at, conclusion


class PeriodicRecord(InsertOnly):
    """The figures of a completed review, as the rows said at `taken_at`, with the digest of what was recorded."""

    review = models.OneToOneField(PeriodicReview, models.PROTECT, related_name="record")
    figures = models.JSONField()
    digest = models.CharField(max_length=64)
    taken_at = models.DateTimeField()
    taken_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("record of a periodic review")
        verbose_name_plural = _("records of a periodic review")

    def __str__(self) -> str:
        return str(self.review)


class PeriodicRemark(InsertOnly):
    """What somebody said in the discussion."""

    review = models.ForeignKey(PeriodicReview, models.PROTECT, related_name="remarks")
    text = models.TextField()
    said_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    said_at = models.DateTimeField()

    class Meta:
        ordering = ["review", "id"]
        verbose_name = _("remark")

    def __str__(self) -> str:
        return self.text[:60]


class PeriodicAction(models.Model):
    """What will be done, by whom, until when; open until somebody says what came of it."""

    review = models.ForeignKey(PeriodicReview, models.PROTECT, related_name="actions")
    text = models.CharField(_("what"), max_length=500)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("owner"))
    due_on = models.DateField(_("due"))
    raised_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    raised_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    dropped = models.BooleanField(default=False)
    outcome = models.CharField(_("what came of it"), max_length=500, blank=True, default="")

    class Meta:
        ordering = ["review", "due_on", "id"]
        verbose_name = _("action")
        indexes = [
            models.Index(fields=["owner", "due_on"], condition=Q(settled_at__isnull=True), name="releases_action_open")
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def state(self) -> str:
        """open, done or dropped."""
        return "open" if self.settled_at is None else "dropped" if self.dropped else "done"
