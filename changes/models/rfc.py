"""Request for change: what shall be changed where, why, how, and how back.

draft → submitted → evaluating → awaiting approval → authorized → implementing → in review → closed; aside: suspended,
rejected, cancelled. One machine for all kinds; `changes.rules.KIND_MAY` says what a kind may not.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from changes.enums import CloseCode, RFCKind, RFCState, UpdateClass, WayBack
from changes.rules import (
    authorized_by_round,
    glass_asked_by_another,
    not_approver,
    not_author,
    not_author_by_program,
    own_or_manager,
    round_over,
)
from cmdb.models import GroupMember, Host
from cmdb.models.host import GROUP_SCOPE
from patchflow.kernel.enums import RoundState
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import Audited, SignOffRound
from patchflow.kernel.rules import capability
from patchflow.kernel.signoffs import signers_of_all

if TYPE_CHECKING:
    from changes.models.rfc_parts import BreakGlass
    from changes.models.risk import RiskAssessment
    from patchflow.kernel.models import User

S = RFCState


class RFCQuerySet(models.QuerySet["RFC"]):
    def visible_to(self, actor: User) -> RFCQuerySet:
        """Those with a target in the actor's scope, and those the actor raised; nothing without the right to look."""
        scopes = actor.scopes_for("rfc.view")
        if scopes is None:
            return self
        if not scopes:
            return self.none()
        targets = apps.get_model("changes", "RFCTarget").objects.filter(
            rfc=models.OuterRef("pk"), host__in=Host.objects.visible_to(actor)
        )
        return self.filter(Q(requested_by=actor) | models.Exists(targets))

    def open(self) -> RFCQuerySet:
        """Not closed, rejected or cancelled."""
        return self.exclude(state__in=[S.CLOSED, S.REJECTED, S.CANCELLED])

    def awaiting(self, actor: User) -> RFCQuerySet:
        """Those whose open round asks `actor` at its present level and has not heard from them."""
        rounds = SignOffRound.objects.filter(
            subject_type=self.model._meta.label_lower,
            state=RoundState.OPEN,
            levels__position=models.F("position"),
            levels__voters__user=actor,
        ).exclude(signoffs__user=actor)
        return self.filter(pk__in=rounds.values("subject_id")).exclude(requested_by=actor)


class RFC(Audited):
    """A change that somebody asks for. What approval signs is `change_document()`; its SHA-256 is `change_digest`."""

    number = models.CharField(max_length=20, unique=True)
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=RFCKind, default=RFCKind.NORMAL)
    state = state_field(RFCState)
    state_at = models.DateTimeField(help_text="Since when it is in this state.")
    cycle = models.ForeignKey("changes.Cycle", models.PROTECT, related_name="rfcs")
    change_model = models.ForeignKey("changes.ChangeModel", models.PROTECT, related_name="rfcs", null=True, blank=True)
    parent = models.ForeignKey("self", models.PROTECT, related_name="children", null=True, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="rfcs_requested")
    raised_at = models.DateTimeField()
    other_reason = models.TextField(blank=True, default="", help_text="Why, where no target misses an update.")

    implementation_plan = models.TextField(blank=True, default="")
    test_plan = models.TextField(blank=True, default="")
    back_out_plan = models.TextField(blank=True, default="")
    communication_plan = models.TextField(blank=True, default="")
    way_back = models.CharField(max_length=20, choices=WayBack, default=WayBack.REINSTALL_PREVIOUS)
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)

    update_class = models.CharField(max_length=8, choices=UpdateClass, default=UpdateClass.MEDIUM)
    clock_started_at = models.DateTimeField(help_text="The notification from which the start-by target counts.")
    start_by = models.DateTimeField(null=True, blank=True)
    clock_stopped_at = models.DateTimeField(null=True, blank=True)

    submitted_at = models.DateTimeField(null=True, blank=True)
    authorized_at = models.DateTimeField(null=True, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    close_code = models.CharField(max_length=24, choices=CloseCode, blank=True, default="")
    outcome = models.CharField(max_length=24, blank=True, default="", help_text="What the release reported.")
    trial = models.BooleanField(default=False, help_text="Raised in trial mode: it never counts as real.")

    objects = RFCQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "RFC"
        verbose_name_plural = "RFCs"
        indexes = [models.Index(fields=["state", "-id"]), models.Index(fields=["start_by"])]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RFCState.values), name="changes_rfc_state_known"),
            models.CheckConstraint(
                condition=Q(not_after__isnull=True)
                | Q(not_before__isnull=True)
                | Q(not_after__gt=models.F("not_before")),
                name="changes_rfc_dates_ordered",
            ),
            models.CheckConstraint(
                condition=Q(parent__isnull=True) | ~Q(parent=models.F("id")), name="changes_rfc_not_own_parent"
            ),
            models.CheckConstraint(
                condition=~Q(state="closed") | ~Q(close_code=""), name="changes_rfc_closed_has_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.title}" if self.title else self.number

    def get_absolute_url(self) -> str:
        return reverse("changes:rfc-detail", args=[self.pk])

    # --- questions about this row ---------------------------------------------------------------------------------------
    def scope_keys(self) -> list[frozenset[str]]:
        """The scope keys of each target's host, one set per host."""
        hosts = self.targets.filter(removed_at__isnull=True).values_list("host_id", flat=True)
        keys: dict[int, set[str]] = {host_id: set() for host_id in hosts}
        for host_id, group_id in GroupMember.objects.filter(host_id__in=hosts).values_list("host_id", "group_id"):
            keys[host_id].add(f"{GROUP_SCOPE}{group_id}")
        return [frozenset(one) for one in keys.values()]

    def author_ids(self) -> set[int]:
        """Who asked for it and who wrote it since: none of them approves it."""
        return {self.requested_by_id, *self.revisions.filter(authored=True).values_list("by_id", flat=True)}

    def approver_ids(self) -> set[int]:
        """Who decided about it, in a round, on whose seat somebody did, or by breaking the glass: none of them builds or starts
        it."""
        this = type(self).objects.filter(pk=self.pk)
        return signers_of_all(this) | self.glass.model.breakers_of(this)

    def open_glass(self) -> BreakGlass | None:
        """The request to break the glass that nobody has answered yet."""
        return self.glass.filter(broken_at__isnull=True, withdrawn_at__isnull=True).order_by("-pk").first()

    @property
    def risk(self) -> RiskAssessment | None:
        """The newest assessment; earlier ones are history."""
        return self.assessments.order_by("-pk").first()

    def change_document(self) -> dict[str, Any]:
        """What an approval signs (schema 1): updates, targets, dates, windows, way back, plans, risk."""
        risk = self.risk
        return {
            "schema": 1,
            "rfc": self.number,
            "kind": self.kind,
            "updates": [
                {"distribution": u.distribution, "release": u.release, "name": u.name, "fixed_version": u.fixed_version}
                for u in sorted(
                    self.updates.filter(removed_at__isnull=True),
                    key=lambda u: (u.distribution, u.release, u.name, u.fixed_version),
                )
            ],
            "other_reason": self.other_reason,
            "targets": [
                {"host": host_id, "name": name}
                for host_id, name in self.targets.filter(removed_at__isnull=True)
                .order_by("host_id")
                .values_list("host_id", "host_name")
            ],
            "dates": {"earliest": self.not_before, "latest": self.not_after},
            "windows": [
                {"window": window_id, "name": name}
                for window_id, name in self.windows.order_by("window_id").values_list("window_id", "name")
            ],
            "way_back": self.way_back,
            "plans": {
                "implementation": self.implementation_plan,
                "test": self.test_plan,
                "back_out": self.back_out_plan,
                "communication": self.communication_plan,
            },
            "risk": {"level": risk.level, "score": risk.score, "factors": risk.factors} if risk else None,
            **({"trial": True} if self.trial else {}),
        }

    def what_is_asked(self) -> dict[str, Any]:
        """What voters read and an edit voids: the document, and beside its digest the title and the model that chose the levels."""
        model = self.change_model
        return {"title": self.title, "change_model": model.name if model else None, **self.change_document()}

    def content_digest(self) -> str:
        """What an assessment of risk is about: the document without the risk itself."""
        return digest({key: value for key, value in self.change_document().items() if key != "risk"})

    @property
    def change_digest(self) -> str:
        return digest(self.change_document())

    # --- the machine ------------------------------------------------------------------------------------------------------
    @transition(field=state, source=S.DRAFT, target=S.SUBMITTED, verb="change.rfc.submitted",
                allowed=[capability("rfc.submit"), own_or_manager], gated=True, label="Submit")  # fmt: skip
    def submit(self, *, actor: User, at: datetime) -> None:
        self.state_at = self.submitted_at = at

    @transition(field=state, source=S.SUBMITTED, target=S.EVALUATING, verb="change.rfc.evaluated",
                allowed=[capability("rfc.evaluate")], gated=True, label="Evaluate")  # fmt: skip
    def evaluate(self, *, actor: User, at: datetime) -> None:
        self.state_at = at

    @transition(field=state, source=[S.SUBMITTED, S.EVALUATING], target=S.AWAITING_APPROVAL,
                verb="change.rfc.approval_requested", allowed=[capability("rfc.request_approval")],
                gated=True, label="Request approval")  # fmt: skip
    def request_approval(self, *, actor: User, at: datetime) -> None:
        self.state_at = at

    @transition(field=state, source=[S.SUBMITTED, S.AWAITING_APPROVAL], target=S.AUTHORIZED,
                verb="change.rfc.authorized", allowed=[authorized_by_round, not_author, not_author_by_program],
                gated=True, by_system=True)  # fmt: skip
    @transition(field=state, source=S.SUSPENDED, target=S.IMPLEMENTING, verb="change.rfc.authorized",
                allowed=[authorized_by_round, not_author, not_author_by_program], gated=True, by_system=True)  # fmt: skip
    def authorize(self, *, actor: User, at: datetime, digest: str = "", round: int = 0) -> None:
        self.state_at = self.authorized_at = at

    @transition(field=state, source=[S.SUBMITTED, S.EVALUATING, S.AWAITING_APPROVAL], target=S.AUTHORIZED,
                verb="change.rfc.glass_broken",
                allowed=[capability("rfc.break_glass"), not_author, not_author_by_program, glass_asked_by_another],
                gated=True, dangerous=True, label="Break the glass")  # fmt: skip
    def break_glass(self, *, actor: User, at: datetime, reason: str = "", digest: str = "") -> None:
        self.state_at = self.authorized_at = at

    @transition(field=state, source=S.AWAITING_APPROVAL, target=S.EVALUATING, verb="change.rfc.refused",
                allowed=[round_over], by_system=True)  # fmt: skip
    def refused(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=S.AWAITING_APPROVAL, target=S.EVALUATING, verb="change.rfc.expired",
                allowed=[round_over], by_system=True)  # fmt: skip
    def expired(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=S.AWAITING_APPROVAL, target=S.EVALUATING, verb="change.rfc.voided",
                allowed=[round_over], by_system=True)  # fmt: skip
    def voided(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=[S.SUBMITTED, S.EVALUATING], target=S.DRAFT, verb="change.rfc.sent_back",
                allowed=[capability("rfc.send_back")], gated=True, label="Send back")  # fmt: skip
    def send_back(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at = at

    @transition(field=state, source=[S.EVALUATING, S.AWAITING_APPROVAL], target=S.REJECTED,
                verb="change.rfc.rejected", allowed=[capability("rfc.reject")], gated=True, dangerous=True,
                label="Reject")  # fmt: skip
    def reject(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at = self.closed_at = at

    @transition(field=state, source=S.AUTHORIZED, target=S.EVALUATING, verb="change.rfc.lapsed",
                allowed=[capability("rfc.lapse")], gated=True, dangerous=True, label="Withdraw authorization")  # fmt: skip
    @transition(field=state, source=S.IMPLEMENTING, target=S.SUSPENDED, verb="change.rfc.lapsed",
                allowed=[capability("rfc.lapse")], gated=True, dangerous=True, label="Suspend")  # fmt: skip
    def lapse(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at = at

    @transition(field=state, source=[S.DRAFT, S.SUBMITTED, S.EVALUATING, S.AWAITING_APPROVAL, S.AUTHORIZED],
                target=S.CANCELLED, verb="change.rfc.cancelled", allowed=[capability("rfc.cancel"), own_or_manager],
                gated=True, dangerous=True, label="Cancel")  # fmt: skip
    def cancel(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at = self.closed_at = at

    @transition(field=state, source=S.AUTHORIZED, target=S.IMPLEMENTING, verb="change.rfc.begun",
                allowed=[capability("rfc.begin"), not_approver], gated=True, by_system=True)  # fmt: skip
    def begin(self, *, actor: User, at: datetime) -> None:
        self.state_at = self.begun_at = at

    @transition(field=state, source=S.IMPLEMENTING, target=S.IN_REVIEW, verb="change.rfc.implemented",
                allowed=[capability("rfc.implement")], gated=True, by_system=True)  # fmt: skip
    def implemented(self, *, actor: User, at: datetime, outcome: str) -> None:
        self.state_at, self.outcome = at, outcome

    @transition(field=state, source=[S.IMPLEMENTING, S.SUSPENDED], target=S.IN_REVIEW, verb="change.rfc.stopped",
                allowed=[capability("rfc.stop")], gated=True, dangerous=True, label="Stop")  # fmt: skip
    def stop(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at, self.outcome = at, "stopped"

    @transition(field=state, source=S.IN_REVIEW, target=S.CLOSED, verb="change.rfc.closed",
                allowed=[capability("rfc.close")], gated=True, label="Close")  # fmt: skip
    def close(self, *, actor: User, at: datetime, code: str, summary: str = "") -> None:
        self.state_at = self.closed_at = at
        self.close_code = code
