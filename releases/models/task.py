"""Task: the order of one host that a person carries out.

waiting → begun → done → attested; waiting, begun → could not be done; waiting → called off, not begun in time. What became
of the host is the job's to say: done is a report, and a scan, or a second person's attestation, verifies it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.models import Host
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.enums_tasks import TaskState
from releases.models.job import Job
from releases.rules_rollout import runs
from releases.rules_steps import not_performer, not_task_signer

S = TaskState
performs = [capability("job.perform"), not_task_signer]


class TaskQuerySet(models.QuerySet["HandTask"]):
    def visible_to(self, actor: User) -> TaskQuerySet:
        """Tasks on hosts in the actor's scope."""
        if actor.scopes_for("rollout.view") is None:
            return self
        return self.filter(job__host__in=Host.objects.within(actor, "rollout.view"))

    def open(self) -> TaskQuerySet:
        return self.filter(state__in=(TaskState.WAITING, TaskState.BEGUN))


class HandTask(Audited):
    """One attempt on one host by hand. `order` is what the executor was given, as it would be said to a host; `begin_by` the
    cut-off of its window; once begun it is over at `finish_by`. `packages`: what a second person attested, name → version."""

    job = models.ForeignKey(Job, models.PROTECT, related_name="tasks")
    job_key = models.CharField(max_length=100, unique=True)
    state = state_field(TaskState)
    order = models.JSONField()
    minutes = models.PositiveIntegerField()
    given_at = models.DateTimeField()
    begin_by = models.DateTimeField()
    begun_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    begun_at = models.DateTimeField(null=True, blank=True)
    finish_by = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    remark = models.TextField(blank=True, default="")
    attested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    attested_at = models.DateTimeField(null=True, blank=True)
    attestation = models.TextField(blank=True, default="")
    packages = models.JSONField(default=dict)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("task")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=TaskState.values), name="releases_task_state"),
            models.CheckConstraint(
                condition=Q(attested_by__isnull=True) | ~Q(attested_by=models.F("ended_by")),
                name="releases_task_two_people",
            ),
        ]
        indexes = [models.Index(fields=["state", "begin_by"])]

    def __str__(self) -> str:
        return f"{self.job.host.name}: {self.job_key}"

    def get_absolute_url(self) -> str:
        return reverse("releases:task-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        return list(self.job.host.scope_keys())

    def is_overdue(self, at: datetime) -> bool:
        """Whether it was begun, and its time is over without a report."""
        return self.state == S.BEGUN and self.finish_by is not None and self.finish_by < at

    def performer_ids(self) -> set[int]:
        return {pk for pk in (self.begun_by_id, self.ended_by_id) if pk}

    def _ended(self, actor: User, at: datetime, remark: str) -> None:
        self.ended_by, self.ended_at, self.remark = actor, at, remark

    @transition(field=state, source=S.WAITING, target=S.BEGUN, verb="release.task.begun", allowed=performs, gated=True,
                label="Begin")  # fmt: skip
    def begin(self, *, actor: User, at: datetime, finish_by: datetime, **facts: Any) -> None:
        self.begun_by, self.begun_at, self.finish_by = actor, at, finish_by

    @transition(
        field=state,
        source=S.BEGUN,
        target=S.DONE,
        verb="release.task.done",
        allowed=performs,
        label="Report it as done",
    )
    def finish(self, *, actor: User, at: datetime, remark: str = "", **facts: Any) -> None:
        self._ended(actor, at, remark)

    @transition(field=state, source=[S.WAITING, S.BEGUN], target=S.COULD_NOT, verb="release.task.could_not", allowed=performs,
                label="Report that it could not be done", dangerous=True)  # fmt: skip
    def give_up(self, *, actor: User, at: datetime, remark: str, **facts: Any) -> None:
        self._ended(actor, at, remark)

    @transition(field=state, source=[S.BEGUN, S.DONE], target=S.ATTESTED, verb="release.task.attested",
                allowed=[capability("job.attest"), not_performer], gated=True, label="Attest what the host has")  # fmt: skip
    def attest(self, *, actor: User, at: datetime, packages: dict[str, str], remark: str, **facts: Any) -> None:
        self.attested_by, self.attested_at, self.attestation, self.packages = actor, at, remark, packages

    @transition(
        field=state,
        source=S.WAITING,
        target=S.CALLED_OFF,
        verb="release.task.called_off",
        allowed=[runs],
        by_system=True,
    )
    def call_off(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self.ended_at = at

    @transition(
        field=state, source=S.WAITING, target=S.EXPIRED, verb="release.task.expired", allowed=[runs], by_system=True
    )
    def expire(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self.ended_at = at
