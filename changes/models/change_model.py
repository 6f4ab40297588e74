"""Change model: what a kind of change demands, and for standard changes the licence to run without a round of their own.

draft → proposed → approved → retired. A failure, or an edit, takes the approval away: approved → draft.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.enums import ModelState, RFCKind
from changes.rules import model_signed, not_model_author, round_over
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

S = ModelState


class ChangeModelQuerySet(models.QuerySet["ChangeModel"]):
    def visible_to(self, actor: User) -> ChangeModelQuerySet:
        """All, for everybody who sees changes somewhere: a model names no host."""
        scopes = actor.scopes_for("rfc.view")
        return self if scopes is None or scopes else self.none()

    def usable(self, kind: str = "") -> ChangeModelQuerySet:
        """Those that give something to a change now: approved, of that kind."""
        rows = self.filter(state=ModelState.APPROVED)
        return rows.filter(kind=kind) if kind else rows


class ChangeModel(Audited):
    """A model of changes. `levels`: [{name, roles, quorum, amount, working_days | hours, escalate_to}] in sequence;
    `packages` empty means any; `max_score` is the highest risk score that the licence covers. `tasks`: [{title, stage, required,
    instructions}] that each of its changes starts with."""

    name = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=10, choices=RFCKind)
    state = state_field(ModelState)
    description = models.TextField(blank=True, default="")
    levels = models.JSONField(default=list, blank=True)
    packages = models.JSONField(default=list, blank=True)
    tasks = models.JSONField(default=list, blank=True)
    max_score = models.PositiveSmallIntegerField(default=8)
    max_hosts = models.PositiveIntegerField(default=50)
    implementation_plan = models.TextField(blank=True, default="")
    test_plan = models.TextField(blank=True, default="")
    back_out_plan = models.TextField(blank=True, default="")
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    revised_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)

    objects = ChangeModelQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "name"]
        verbose_name = _("change model")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("changes:model-detail", args=[self.pk])

    def author_ids(self) -> set[int]:
        return {pk for pk in (self.written_by_id, self.revised_by_id) if pk}

    def model_document(self) -> dict[str, Any]:
        """What an approval of the model signs."""
        return {
            "schema": 1,
            "model": self.name,
            "kind": self.kind,
            "description": self.description,
            "levels": self.levels,
            "packages": sorted(self.packages),
            "max_score": self.max_score,
            "max_hosts": self.max_hosts,
            "plans": {
                "implementation": self.implementation_plan,
                "test": self.test_plan,
                "back_out": self.back_out_plan,
            },
            **({"tasks": self.tasks} if self.tasks else {}),
        }

    @property
    def model_digest(self) -> str:
        return digest(self.model_document())

    @transition(field=state, source=S.DRAFT, target=S.PROPOSED, verb="change.model.proposed",
                allowed=[capability("change_model.edit")], label="Propose")  # fmt: skip
    def propose(self, *, actor: User, at: datetime) -> None:
        self.approved_at = None

    @transition(field=state, source=S.PROPOSED, target=S.APPROVED, verb="change.model.approved",
                allowed=[model_signed, not_model_author], by_system=True)  # fmt: skip
    def approve(self, *, actor: User, at: datetime, digest: str = "") -> None:
        self.approved_at = at

    @transition(field=state, source=S.PROPOSED, target=S.DRAFT, verb="change.model.refused",
                allowed=[round_over], by_system=True)  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.approved_at = None

    @transition(field=state, source=S.PROPOSED, target=S.DRAFT, verb="change.model.voided",
                allowed=[round_over], by_system=True)  # fmt: skip
    def void(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.approved_at = None

    @transition(field=state, source=S.APPROVED, target=S.DRAFT, verb="change.model.licence_lost",
                allowed=[capability("rfc.lapse")], by_system=True, dangerous=True,
                label="Withdraw the approval")  # fmt: skip
    def lose_licence(self, *, actor: User, at: datetime, reason: str) -> None:
        self.approved_at = None

    @transition(field=state, source=[S.DRAFT, S.APPROVED], target=S.RETIRED, verb="change.model.retired",
                allowed=[capability("change_model.edit")], dangerous=True, label="Retire")  # fmt: skip
    def retire(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.approved_at = None
