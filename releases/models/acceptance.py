"""Acceptance: each update is installed, checked, taken back and installed again on a test host, before anybody else gets it.

A run: planned → running → passed | failed | inconclusive. Its steps are rows, never edited.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, DueWork
from patchflow.kernel.rules import capability
from releases.enums import RunState, StepKind, StepOutcome
from releases.models.build import OfReleaseQuerySet
from releases.models.manifest import InsertOnly
from releases.rules import any_of, system

worked = any_of(capability("acceptance.record"), system)
judged = any_of(capability("acceptance.judge"), capability("acceptance.record"))


class OfPlanQuerySet(OfReleaseQuerySet):
    path = "plan__release__in"


class AcceptancePlan(models.Model):
    """What must be shown for one update on one host class: the test host, the checks, and whether the way back is walked."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="acceptance_plans")
    update = models.ForeignKey("changes.SoftwareUpdate", models.PROTECT, related_name="+")
    host = models.ForeignKey("cmdb.Host", models.PROTECT, related_name="+", help_text="The test host.")
    checks = models.JSONField(default=list, help_text="Health checks: name, kind, target, expect.")
    walk_back = models.BooleanField(default=True, help_text="Go back to the previous versions and forward again.")
    planned_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    planned_at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True, blank=True)

    objects = OfReleaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("acceptance plan")
        constraints = [
            models.UniqueConstraint(
                fields=["release", "update", "host"],
                condition=Q(dropped_at__isnull=True),
                name="releases_acceptanceplan_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.update} on {self.host}"


class AcceptanceRun(Audited, DueWork):
    """One walk of a plan on its test host, for one build; due work while running."""

    plan = models.ForeignKey(AcceptancePlan, models.PROTECT, related_name="runs")
    build = models.ForeignKey("releases.Build", models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField()
    state = state_field(RunState)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    judged_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    job_key = models.CharField(
        max_length=100, blank=True, default="", help_text="The attempt that is at work on the host."
    )
    ordered = models.JSONField(default=dict, help_text="What was ordered by that attempt, to find it again.")

    objects = OfPlanQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("acceptance run")
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="releases_acceptancerun_number"),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(state__in=["planned", "running"]), name="releases_acceptancerun_one_live"
            ),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="releases_acceptancerun_state"),
            models.CheckConstraint(
                condition=~Q(state__in=["failed", "inconclusive"]) | ~Q(reason=""),
                name="releases_acceptancerun_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan}, run {self.number}"

    def scope_keys(self) -> list[frozenset[str]]:
        return self.plan.host.scope_keys()

    def _end(self, actor: Any, at: datetime, reason: str) -> None:
        self.finished_at, self.reason, self.judged_by = at, reason, actor
        self.lease_until, self.lease_owner, self.not_before = None, "", None

    @transition(field=state, source=RunState.PLANNED, target=RunState.RUNNING, verb="release.acceptance.started",
                allowed=[worked], by_system=True)  # fmt: skip
    def start(self, *, actor: Any, at: datetime, **facts: Any) -> None:
        self.started_at = at

    @transition(field=state, source=RunState.RUNNING, target=RunState.PASSED, verb="release.acceptance.passed",
                allowed=[worked], gated=True, by_system=True)  # fmt: skip
    def succeed(self, *, actor: Any, at: datetime, reason: str = "", **facts: Any) -> None:
        self._end(actor, at, reason)

    @transition(field=state, source=[RunState.PLANNED, RunState.RUNNING], target=RunState.FAILED,
                verb="release.acceptance.failed", allowed=[judged], label="Judge as failed")  # fmt: skip
    def fail(self, *, actor: Any, at: datetime, reason: str, **facts: Any) -> None:
        self._end(actor, at, reason)

    @transition(field=state, source=[RunState.PLANNED, RunState.RUNNING], target=RunState.INCONCLUSIVE,
                verb="release.acceptance.inconclusive", allowed=[judged], label="Judge as inconclusive")  # fmt: skip
    def give_up(self, *, actor: Any, at: datetime, reason: str, **facts: Any) -> None:
        self._end(actor, at, reason)


class AcceptanceStep(InsertOnly):
    """What one step showed: outcome, a sentence, and what the host said (package states, log's end)."""

    run = models.ForeignKey(AcceptanceRun, models.PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=StepKind)
    outcome = models.CharField(max_length=8, choices=StepOutcome)
    summary = models.TextField()
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ["run", "position"]
        constraints = [models.UniqueConstraint(fields=["run", "position"], name="releases_acceptancestep_place")]

    def __str__(self) -> str:
        return f"{self.position} · {self.kind}: {self.outcome}"
