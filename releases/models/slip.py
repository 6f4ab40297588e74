"""Permission slip: what every gate said about one target at one moment, with its inputs. Written for refusals too.

Insert-only; a new row only when the verdict changes, not at each look.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.enums_rollout import SlipVerdict
from releases.models.job import Job
from releases.models.manifest import InsertOnly, InsertOnlyQuerySet
from releases.models.rollout import Rollout


class SlipQuerySet(InsertOnlyQuerySet):
    def about_jobs(self) -> SlipQuerySet:
        """Verdicts about what a job does to its host."""
        return self.exclude(attempt=0)

    def about_files(self) -> SlipQuerySet:
        """Verdicts about laying a host's files ready before its window."""
        return self.filter(attempt=0, job__isnull=False)


class PermissionSlip(InsertOnly):
    """Run, defer or refuse. `gates`: [{gate, verdict, input, sentence}] in the order asked; later ones "not asked".

    `job` empty: about the rollout as a whole. `attempt` 0 of a job: about laying its files ready before its window.
    """

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="slips", db_index=False)
    job = models.ForeignKey(Job, models.PROTECT, null=True, blank=True, related_name="slips", db_index=False)
    attempt = models.PositiveSmallIntegerField(default=0)
    verdict = models.CharField(max_length=8, choices=SlipVerdict)
    statement = models.TextField()
    gates = models.JSONField(default=list)
    not_before = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField()

    objects = SlipQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["-id"]
        verbose_name = _("permission slip")
        indexes = [models.Index(fields=["job", "-id"]), models.Index(fields=["rollout", "-id"])]

    def __str__(self) -> str:
        return self.statement
