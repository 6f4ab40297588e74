"""A plan rehearsed on a simulated clock: what was asked, and what it came to. Never edited; a new one is made."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import User
from releases.enums import RehearsalEnd
from releases.models.manifest import InsertOnly, InsertOnlyQuerySet


class PlanRehearsalQuerySet(InsertOnlyQuerySet):
    def visible_to(self, actor: User) -> PlanRehearsalQuerySet:
        """For who sees every host only: a result names them."""
        return self if actor.scopes_for("release.view") is None else self.none()


class PlanRehearsal(InsertOnly):
    """One run of a plan on paper, of a release or of an RFC that none carries yet. `digest`: of the document that was rehearsed,
    which is the manifest's if it is sealed like this; `inputs`: rates and minutes, and the profile that was supposed of an
    RFC; `result`: rings with their nights, hosts that do not fit, the course over time."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="rehearsals", null=True, blank=True)
    rfc = models.ForeignKey(
        "changes.RFC", models.PROTECT, related_name="rehearsals", null=True, blank=True,
        help_text="The change that was rehearsed alone, before any release.",
    )  # fmt: skip
    digest = models.CharField(max_length=64)
    seed = models.PositiveIntegerField()
    inputs = models.JSONField(default=dict)
    starts_at = models.DateTimeField(help_text="When the rehearsed deployment starts.")
    end = models.CharField(max_length=12, choices=RehearsalEnd)
    cause = models.TextField(blank=True, default="", help_text="Why it halts, or would wait without end.")
    ends_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    objects = PlanRehearsalQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["-id"]
        verbose_name = _("plan rehearsal")
        constraints = [
            models.CheckConstraint(condition=Q(end__in=RehearsalEnd.values), name="releases_rehearsal_end"),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=False, stopped_at__isnull=True)
                | Q(ends_at__isnull=True, stopped_at__isnull=False),
                name="releases_rehearsal_one_end",
            ),
            models.CheckConstraint(
                condition=Q(release__isnull=False, rfc__isnull=True) | Q(release__isnull=True, rfc__isnull=False),
                name="releases_rehearsal_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release or self.rfc} rehearsed {self.made_at:%Y-%m-%d %H:%M}"
