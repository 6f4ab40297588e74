"""Change task: a piece of work that belongs to an RFC and that a person does, with its outcome.

open → in progress → done; open, in progress → not needed (with a reason); done, not needed → open again; open, in progress →
cancelled, with the change. It is no part of what is signed: it holds a change up, and never lets it through.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.enums_tasks import BEGINS, UNDONE, TaskStage, TaskState
from changes.models.rfc import RFC
from changes.rules_tasks import change_has_ended, concerned, may_relax, not_signer_carries_out, plans_it
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

S = TaskState
performs = [capability("task.perform"), concerned, not_signer_carries_out]
decides = [capability("rfc.revise"), plans_it]


class ChangeTaskQuerySet(models.QuerySet["ChangeTask"]):
    def visible_to(self, actor: User) -> ChangeTaskQuerySet:
        """Those of the changes that the actor may see."""
        if actor.scopes_for("rfc.view") is None:
            return self
        return self.filter(rfc__in=RFC.objects.visible_to(actor))

    def undone(self) -> ChangeTaskQuerySet:
        """Neither done, nor declared not needed, nor cancelled."""
        return self.filter(state__in=UNDONE)

    def given_to(self, actor: User) -> ChangeTaskQuerySet:
        """Those of the person, and those of nobody in a support group of theirs."""
        groups = actor.support_groups.order_by().values("pk")
        return self.filter(Q(assignee=actor) | Q(assignee__isnull=True, group__in=groups))

    def may_begin(self) -> ChangeTaskQuerySet:
        """Those whose turn it is by the state of their change, or that are begun."""
        turn = Q(state=TaskState.IN_PROGRESS)
        for stage, states in BEGINS.items():
            turn |= Q(stage=stage, rfc__state__in=states)
        return self.filter(turn)


class ChangeTask(Audited):
    """A task of a change. `number` is its change's with its position behind it; `required`: it must be done, or be declared
    not needed, before what `holds_up` names; `ended_*`: who said that it is over, when, and what came of it, or why not."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="tasks")
    position = models.PositiveSmallIntegerField()
    number = models.CharField(max_length=30, unique=True)
    title = models.CharField(max_length=200)
    instructions = models.TextField(blank=True, default="", help_text="What is to be done.")
    stage = models.CharField(max_length=16, choices=TaskStage)
    required = models.BooleanField(default=True)
    state = state_field(TaskState)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="change_tasks", null=True, blank=True
    )
    group = models.ForeignKey("cmdb.SupportGroup", models.PROTECT, related_name="+", null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    added_at = models.DateTimeField()
    begun_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.TextField(blank=True, default="", help_text="What came of it, or why it was not done.")

    objects = ChangeTaskQuerySet.as_manager()

    class Meta:
        ordering = ["rfc", "position"]
        verbose_name = _("change task")
        verbose_name_plural = _("change tasks")
        indexes = [models.Index(fields=["state", "due_at"])]
        constraints = [
            models.UniqueConstraint(fields=["rfc", "position"], name="changes_changetask_position"),
            models.CheckConstraint(condition=Q(state__in=TaskState.values), name="changes_changetask_state_known"),
            models.CheckConstraint(condition=Q(stage__in=TaskStage.values), name="changes_changetask_stage_known"),
            models.CheckConstraint(
                condition=Q(state__in=[*UNDONE, TaskState.CANCELLED]) | ~Q(outcome=""),
                name="changes_changetask_ended_says_how",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=models.F("added_at")),
                name="changes_changetask_span",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("changes:changetask-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        return self.rfc.scope_keys()

    @property
    def is_undone(self) -> bool:
        return self.state in UNDONE

    @property
    def may_begin(self) -> bool:
        """Whether it is its turn, by the state of its change."""
        return self.rfc.state in BEGINS[self.stage]

    def is_given_to(self, actor: User) -> bool:
        """Whether it is theirs; what is nobody's belongs to everybody in its support group."""
        if self.assignee_id:
            return self.assignee_id == actor.pk
        return self.group_id is not None and actor.support_groups.filter(pk=self.group_id).exists()

    def is_overdue(self, at: datetime) -> bool:
        return self.is_undone and self.due_at is not None and self.due_at <= at

    def _ended(self, actor: User | None, at: datetime | None, outcome: str) -> None:
        self.ended_by, self.ended_at, self.outcome = actor, at, outcome

    # --- the machine ----------------------------------------------------------------------------------------------------
    @transition(field=state, source=S.OPEN, target=S.IN_PROGRESS, verb="change.task.begun", allowed=performs,
                gated=True, label="Begin")  # fmt: skip
    def begin(self, *, actor: User, at: datetime) -> None:
        self.begun_by, self.begun_at = actor, at

    @transition(field=state, source=S.IN_PROGRESS, target=S.DONE, verb="change.task.done", allowed=performs, gated=True,
                label="Finish")  # fmt: skip
    def finish(self, *, actor: User, at: datetime, outcome: str) -> None:
        self._ended(actor, at, outcome)

    @transition(field=state, source=[S.OPEN, S.IN_PROGRESS], target=S.NOT_NEEDED, verb="change.task.not_needed",
                allowed=[*decides, may_relax], gated=True, dangerous=True, label="Declare not needed")  # fmt: skip
    def dismiss(self, *, actor: User, at: datetime, reason: str) -> None:
        self._ended(actor, at, reason)

    @transition(field=state, source=[S.DONE, S.NOT_NEEDED], target=S.OPEN, verb="change.task.reopened",
                allowed=decides, gated=True, label="Reopen")  # fmt: skip
    def reopen(self, *, actor: User, at: datetime, reason: str) -> None:
        self.begun_by = self.begun_at = None
        self._ended(None, None, "")

    @transition(field=state, source=[S.OPEN, S.IN_PROGRESS], target=S.CANCELLED, verb="change.task.cancelled",
                allowed=[change_has_ended], by_system=True)  # fmt: skip
    def cancel(self, *, actor: User, at: datetime, reason: str) -> None:
        self._ended(actor, at, reason)
