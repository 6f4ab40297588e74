"""Who was told that a ring is next, who knows, and who asks for more time.

A representative (owner of hosts, or member of their support group) is told, acknowledges, and passes it on. A request for
delay: asked → granted | refused | withdrawn; a granted one keeps the ring from starting before its time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability, rule
from releases.enums_telling import DelayState, Via
from releases.models.rollout import Ring

D = DelayState


class Representative(models.Model):
    """One person who was told about their hosts of one ring. `reminded_at`, `passed_on_at`, `reported_at`: when their silence
    was answered by a reminder, by telling the next in the chain, and by telling the change managers."""

    ring = models.ForeignKey(Ring, models.CASCADE, related_name="representatives")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    via = models.CharField(max_length=16, choices=Via, default=Via.OWNER)
    support_groups = models.JSONField(
        default=list, help_text="Names of the support groups of their hosts: whose leads are next."
    )
    hosts = models.PositiveIntegerField()
    told_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)
    passed_on_at = models.DateTimeField(null=True, blank=True)
    reported_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    comment = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["ring", "user__username"]
        verbose_name = _("representative")
        constraints = [
            models.UniqueConstraint(fields=["ring", "user"], name="releases_representative_once"),
            models.CheckConstraint(condition=Q(via__in=Via.values), name="releases_representative_via"),
        ]
        indexes = [models.Index(fields=["user", "acknowledged_at"])]

    def __str__(self) -> str:
        return f"{self.user}: {self.ring}"


@rule("delay.own", "You asked for this delay: somebody else decides.")
def not_asker(request: DelayRequest, actor: User) -> bool:
    return actor.pk != request.asked_by_id


@rule("delay.not_own", "Who asked for it withdraws it.")
def asker(request: DelayRequest, actor: User) -> bool:
    return actor.pk == request.asked_by_id


class DelayRequestQuerySet(models.QuerySet["DelayRequest"]):
    def counted(self) -> DelayRequestQuerySet:
        """With `granted_before`: how often the ring had been granted more time before."""
        earlier = self.model._base_manager.filter(
            ring=models.OuterRef("ring"), state=D.GRANTED, pk__lt=models.OuterRef("pk")
        )
        count = earlier.order_by().values("ring").annotate(n=models.Count("pk")).values("n")
        return self.annotate(granted_before=Coalesce(models.Subquery(count), 0))


class DelayRequest(Audited):
    """A representative asks that the ring starts later, with a reason. `until`: not before; the same as asked, or earlier."""

    ring = models.ForeignKey(Ring, models.PROTECT, related_name="delay_requests")
    state = state_field(DelayState)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    reason = models.TextField()
    until = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    comment = models.TextField(blank=True, default="")

    objects = DelayRequestQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("request for delay")
        verbose_name_plural = _("requests for delay")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=DelayState.values), name="releases_delay_state"),
            models.CheckConstraint(condition=~Q(reason=""), name="releases_delay_reason"),
            models.CheckConstraint(condition=Q(until__gt=models.F("asked_at")), name="releases_delay_later"),
            models.UniqueConstraint(
                fields=["ring", "asked_by"], condition=Q(state=DelayState.ASKED), name="releases_delay_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ring}: {self.asked_by}"

    def scope_keys(self) -> list[frozenset[str]]:
        return self.ring.scope_keys()

    def _decided(self, actor: User, at: datetime, comment: str) -> None:
        self.decided_by, self.decided_at, self.comment = actor, at, comment

    @transition(field=state, source=D.ASKED, target=D.GRANTED, verb="release.delay.granted",
                allowed=[capability("ring.delay"), not_asker], gated=True)  # fmt: skip
    def grant(self, *, actor: User, at: datetime, comment: str = "", **facts: Any) -> None:
        self._decided(actor, at, comment)

    @transition(field=state, source=D.ASKED, target=D.REFUSED, verb="release.delay.refused",
                allowed=[capability("ring.delay"), not_asker])  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, comment: str, **facts: Any) -> None:
        self._decided(actor, at, comment)

    @transition(field=state, source=D.ASKED, target=D.WITHDRAWN, verb="release.delay.withdrawn", allowed=[asker])
    def withdraw(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._decided(actor, at, "")
