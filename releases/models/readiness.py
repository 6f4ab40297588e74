"""Readiness: the review before deployment signs one manifest. open → go | no_go | void.

What is asked (`ReviewDefinition`) and what was decided (`ReadinessReview`) are different tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability
from releases.enums import ReadinessState, ReviewSlot
from releases.models.build import OfReleaseQuerySet
from releases.models.manifest import InsertOnly
from releases.rules import any_of, system

ended = any_of(capability("release.sign"), capability("release.revise"), capability("release.cancel"), system)


class ReviewDefinition(InsertOnly):
    """The review that stands in a slot, for one kind of RFC (empty: all). The newest row of slot and kind is in force.

    `levels`: [{name, role, quorum, amount, hours}]; `questions`: what the people are asked to answer.
    """

    slot = models.CharField(max_length=16, choices=ReviewSlot)
    kind = models.CharField(max_length=20, blank=True, default="")
    name = models.CharField(max_length=80)
    levels = models.JSONField(default=list)
    questions = models.JSONField(default=list)
    configured_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    configured_at = models.DateTimeField()

    class Meta:
        ordering = ["slot", "kind", "-id"]
        verbose_name = _("review definition")

    def __str__(self) -> str:
        return self.name


class ReadinessReview(Audited):
    """A review of one manifest by one sign-off round."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="readiness_reviews")
    manifest = models.OneToOneField("releases.Manifest", models.PROTECT, related_name="readiness_review")
    round = models.OneToOneField("kernel.SignOffRound", models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    questions = models.JSONField(default=list)
    state = state_field(ReadinessState)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    objects = OfReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("readiness review")
        constraints = [
            models.UniqueConstraint(fields=["release"], condition=Q(state="open"), name="releases_readiness_one_open"),
            models.CheckConstraint(condition=Q(state__in=ReadinessState.values), name="releases_readiness_state"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.manifest}"

    @transition(field=state, source=ReadinessState.OPEN, target=ReadinessState.GO, verb="release.readiness.go",
                allowed=[capability("release.sign")], by_system=True)  # fmt: skip
    def go(self, *, actor: Any, at: datetime, **facts: Any) -> None:
        self.closed_at = at

    @transition(field=state, source=ReadinessState.OPEN, target=ReadinessState.NO_GO, verb="release.readiness.no_go",
                allowed=[ended], by_system=True)  # fmt: skip
    def refuse(self, *, actor: Any, at: datetime, reason: str, **facts: Any) -> None:
        self.closed_at, self.reason = at, reason

    @transition(field=state, source=[ReadinessState.OPEN, ReadinessState.GO], target=ReadinessState.VOID,
                verb="release.readiness.void", allowed=[ended], by_system=True)  # fmt: skip
    def void(self, *, actor: Any, at: datetime, reason: str, **facts: Any) -> None:
        self.closed_at, self.reason = at, reason
