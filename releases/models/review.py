"""Post-implementation review: was it successful, what did it cost, what do we change? open → completed.

Figures are frozen when it is completed; answers are rows, and a corrected answer is a new row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.enums import ReviewState
from releases.models.manifest import InsertOnly
from releases.rules import not_carrier


class ReviewQuerySet(models.QuerySet["PostImplementationReview"]):
    def visible_to(self, actor: User) -> ReviewQuerySet:
        """Reviews of releases that the actor may see, for those who may see reviews."""
        from releases.models.release import Release

        scopes = actor.scopes_for("review.view")
        if scopes is not None and not scopes:
            return self.none()
        return self.filter(release__in=Release.objects.visible_to(actor))


class PostImplementationReview(Audited):
    """The review of one release after deployment or rollback."""

    release = models.OneToOneField("releases.Release", models.PROTECT, related_name="review")
    name = models.CharField(max_length=80)
    questions = models.JSONField(default=list)
    state = state_field(ReviewState)
    figures = models.JSONField(default=dict, help_text="Taken when it opened, again when it was completed.")
    opened_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    lessons = models.TextField(blank=True, default="")
    actions = models.TextField(blank=True, default="", help_text="What will be done, one a line.")

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("post-implementation review")
        constraints = [models.CheckConstraint(condition=Q(state__in=ReviewState.values), name="releases_review_state")]

    def __str__(self) -> str:
        return f"{self.name} of {self.release}"

    def get_absolute_url(self) -> str:
        return reverse("releases:review-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        return self.release.scope_keys()

    @transition(field=state, source=ReviewState.OPEN, target=ReviewState.COMPLETED, verb="release.review.completed",
                allowed=[capability("review.complete"), not_carrier], gated=True)  # fmt: skip
    def complete(
        self, *, actor: Any, at: datetime, figures: dict[str, Any], lessons: str = "", actions: str = "", **facts: Any
    ) -> None:
        self.completed_at, self.completed_by = at, actor
        self.figures, self.lessons, self.actions = figures, lessons, actions


class ReviewAnswer(InsertOnly):
    """An answer to a question of the review; the newest per question counts."""

    review = models.ForeignKey(PostImplementationReview, models.PROTECT, related_name="answers")
    question = models.CharField(max_length=200)
    answer = models.TextField()
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    answered_at = models.DateTimeField()

    class Meta:
        ordering = ["review", "id"]

    def __str__(self) -> str:
        return self.question
