"""The catalogue of steps before and after an installation: what an operator has written and another person has reviewed.

proposed → approved → retired, proposed → refused. A step is never edited: a change is a new revision, which is reviewed
anew. Install profiles name steps by name and revision; a manifest carries their whole content.
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
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.enums_steps import Act, Effect, Moment, Runs, StepState
from releases.rules_rollout import either
from releases.rules_steps import not_writer

S = StepState


class HostStepQuerySet(models.QuerySet["HostStep"]):
    def visible_to(self, actor: User) -> HostStepQuerySet:
        """All, for everybody who sees releases somewhere: a step names no host."""
        scopes = actor.scopes_for("release.view")
        return self if scopes is None or scopes else self.none()

    def approved(self) -> HostStepQuerySet:
        return self.filter(state=StepState.APPROVED)


class HostStep(Audited):
    """One step at one revision. `target` is what it is about: a path, a unit, an address, or a program with its arguments
    (which runs without a shell). `group`: only on its members; empty: on every host of the release. `secret_file`: where on
    the host the token of a call is read from; secrets themselves have no place here."""

    name = models.CharField(max_length=60)
    revision = models.PositiveIntegerField(default=1)
    state = state_field(StepState)
    description = models.TextField(blank=True, default="")
    moment = models.CharField(max_length=6, choices=Moment)
    kind = models.CharField(max_length=14, choices=Act)
    target = models.CharField(max_length=1000, blank=True, default="")
    body = models.TextField(blank=True, default="")
    secret_file = models.CharField(max_length=255, blank=True, default="")
    amount = models.PositiveIntegerField(default=0)
    expect = models.CharField(max_length=40, blank=True, default="")
    limit_seconds = models.PositiveIntegerField(default=60)
    on_failure = models.CharField(max_length=4, choices=Effect, default=Effect.STOP)
    runs = models.CharField(max_length=7, choices=Runs, default=Runs.SUCCESS)
    way_back = models.BooleanField(default=False)
    group = models.ForeignKey("cmdb.HostGroup", models.PROTECT, null=True, blank=True, related_name="+")
    digest = models.CharField(max_length=64)
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    comment = models.TextField(blank=True, default="")

    objects = HostStepQuerySet.as_manager()

    class Meta:
        ordering = ["name", "-revision"]
        verbose_name = _("step on hosts")
        verbose_name_plural = _("steps on hosts")
        constraints = [
            models.UniqueConstraint(fields=["name", "revision"], name="releases_step_revision"),
            models.UniqueConstraint(fields=["name"], condition=Q(state=S.PROPOSED), name="releases_step_one_proposed"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="releases_step_state"),
            models.CheckConstraint(condition=Q(kind__in=Act.values), name="releases_step_kind"),
            models.CheckConstraint(condition=Q(limit_seconds__gte=1), name="releases_step_limit"),
        ]

    def __str__(self) -> str:
        return f"{self.name} (revision {self.revision})"

    def scope_keys(self) -> list[frozenset[str]]:
        """The group that it is for; a step for every host concerns them all."""
        return self.group.scope_keys() if self.group else [frozenset()]

    def get_absolute_url(self) -> str:
        return reverse("releases:step-detail", args=[self.pk])

    def content(self) -> dict[str, Any]:
        """What a review approves, a manifest carries, and a host is told."""
        return {
            "name": self.name, "revision": self.revision, "moment": self.moment, "kind": self.kind, "target": self.target,
            "body": self.body, "secret_file": self.secret_file, "amount": self.amount, "expect": self.expect,
            "limit": self.limit_seconds, "on_failure": self.on_failure, "runs": self.runs, "way_back": self.way_back,
            "group": self.group_id,
        }  # fmt: skip

    @property
    def intact(self) -> bool:
        """Whether its content still is what was written, and reviewed."""
        return digest(self.content()) == self.digest

    def _decided(self, actor: User, at: datetime, comment: str) -> None:
        self.decided_by, self.decided_at, self.comment = actor, at, comment

    @transition(field=state, source=S.PROPOSED, target=S.APPROVED, verb="release.step.approved",
                allowed=[capability("step.approve"), not_writer], gated=True, label="Approve")  # fmt: skip
    def approve(self, *, actor: User, at: datetime, comment: str = "", **facts: Any) -> None:
        self._decided(actor, at, comment)

    @transition(field=state, source=S.PROPOSED, target=S.REFUSED, verb="release.step.refused",
                allowed=[capability("step.approve")], label="Refuse")  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, comment: str, **facts: Any) -> None:
        self._decided(actor, at, comment)

    @transition(field=state, source=[S.PROPOSED, S.APPROVED], target=S.RETIRED, verb="release.step.retired",
                allowed=[either(capability("step.write"), capability("step.approve"))], dangerous=True, label="Retire")  # fmt: skip
    def retire(self, *, actor: User, at: datetime, comment: str, **facts: Any) -> None:
        self._decided(actor, at, comment)
