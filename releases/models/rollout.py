"""Rollout: one carrying out of a manifest, ring after ring. RO-2026-00001.

planned → running ⇄ paused; running | paused → halted → running; → stopping → stopped; → completed; planned → cancelled.
A way back is a rollout that *reverses* another. Ring: pending → notified → running → soaking → passed; failed; skipped.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.models import Host
from cmdb.queries.groups import scope_keys_of
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from releases.confidence import LEAST_CONFIDENCE, MOST_CONFIDENCE, USUAL_CONFIDENCE
from releases.enums_rollout import OPEN_ROLLOUT, RingState, RolloutState
from releases.models.acting import Acting
from releases.rules_rollout import advances, either, not_signer, not_starter

S, R = RolloutState, RingState


class RolloutQuerySet(models.QuerySet["Rollout"]):
    def visible_to(self, actor: User) -> RolloutQuerySet:
        """Rollouts with at least one host in the actor's scope; nothing without the right to look."""
        scopes = actor.scopes_for("rollout.view")
        if scopes is None:
            return self
        if not scopes:
            return self.none()
        from releases.models.job import Job

        jobs = Job.objects.filter(rollout=models.OuterRef("pk"), host__in=Host.objects.within(actor, "rollout.view"))
        return self.filter(models.Exists(jobs))

    def open(self) -> RolloutQuerySet:
        return self.filter(state__in=OPEN_ROLLOUT)


class Rollout(Acting, Audited):
    """One carrying out of one manifest, or its way back. `statement`: what the whole waits for now, in a sentence."""

    number = models.CharField(max_length=20, unique=True)
    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="rollouts")
    manifest = models.ForeignKey("releases.Manifest", models.PROTECT, related_name="rollouts")
    reverses = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="reversed_by")
    state = state_field(RolloutState)
    executor = models.CharField(max_length=40, help_text="The registered executor that acts on its hosts.")
    reason = models.TextField(
        blank=True, default="", help_text="Why it was paused, halted, stopped or cancelled, last time."
    )
    statement = models.TextField(blank=True, default="", help_text="What the whole rollout waits for; empty: nothing.")
    slip_key = models.CharField(max_length=120, blank=True, default="")
    planned_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    planned_at = models.DateTimeField()
    state_at = models.DateTimeField(help_text="Since when it has its state.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("rollout")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RolloutState.values), name="releases_rollout_state"),
            models.UniqueConstraint(
                fields=["release"], condition=Q(state__in=OPEN_ROLLOUT), name="releases_rollout_one_open"
            ),
            models.CheckConstraint(
                condition=Q(started_by__isnull=False, started_at__isnull=False)
                | Q(state__in=[RolloutState.PLANNED, RolloutState.CANCELLED]),
                name="releases_rollout_started_by",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("releases:rollout-detail", args=[self.pk])

    def get_windows_url(self) -> str:
        """The page of what edits of its windows did to its queued hosts."""
        return reverse("releases:rollout-windows", args=[self.pk])

    @property
    def named(self) -> str:
        """ "RO-2026-00001 · OpenSSL on the web tier"; the release's `labelled`."""
        return f"{self.number} · {self.release.labelled}"

    @property
    def is_way_back(self) -> bool:
        return self.reverses_id is not None

    def scope_keys(self) -> list[frozenset[str]]:
        """The scope keys of each of its hosts, one set per host."""
        return list(scope_keys_of(self.jobs.values_list("host_id", flat=True)).values())

    def _came(self, at: datetime, reason: str | None = None) -> None:
        self.state_at = at
        if reason is not None:
            self.reason = reason

    @transition(field=state, source=S.PLANNED, target=S.RUNNING, verb="release.rollout.started",
                allowed=[either(capability("rollout.start"), capability("rollout.roll_back")), not_signer],
                by_system=True, dangerous=True)  # fmt: skip
    def start(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.started_by, self.started_at = actor, at

    @transition(field=state, source=S.RUNNING, target=S.PAUSED, verb="release.rollout.paused",
                allowed=[capability("rollout.pause")])  # fmt: skip
    def pause(self, *, actor: User, at: datetime, reason: str = "", **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=[S.PAUSED, S.HALTED], target=S.RUNNING, verb="release.rollout.resumed",
                allowed=[either(capability("rollout.resume"), capability("rollout.retry")), not_signer], gated=True,
                dangerous=True)  # fmt: skip
    def resume(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, "")

    @transition(field=state, source=[S.RUNNING, S.PAUSED], target=S.HALTED, verb="release.rollout.halted",
                allowed=[either(capability("rollout.halt"), advances)])  # fmt: skip
    def halt(self, *, actor: User, at: datetime, cause: str, **facts: Any) -> None:
        self._came(at, cause)

    @transition(field=state, source=[S.RUNNING, S.PAUSED, S.HALTED], target=S.STOPPING,
                verb="release.rollout.stopping", allowed=[capability("rollout.stop")], dangerous=True)  # fmt: skip
    def stop(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.STOPPING, target=S.STOPPED, verb="release.rollout.stopped", allowed=[advances],
                by_system=True)  # fmt: skip
    def stopped(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.ended_at, self.statement = at, ""

    @transition(field=state, source=S.RUNNING, target=S.COMPLETED, verb="release.rollout.completed", allowed=[advances],
                by_system=True)  # fmt: skip
    def complete(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.ended_at, self.statement = at, ""

    @transition(field=state, source=S.PLANNED, target=S.CANCELLED, verb="release.rollout.cancelled",
                allowed=[capability("rollout.stop")])  # fmt: skip
    def cancel(self, *, actor: User, at: datetime, reason: str = "", **facts: Any) -> None:
        self._came(at, reason)
        self.ended_at = at


class Ring(Audited):
    """A lane of hosts. `concurrency` at once; `failure_limit` failures halt; `success_percent` of those that reported, and
    a share of success that is proven to be `bound_percent` at least (0: not asked), and `class_hosts` good hosts so far of
    each class of machine in `classes_asked` (none: not asked)."""

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="rings")
    position = models.PositiveSmallIntegerField(help_text="The ring's number in the manifest.")
    name = models.CharField(max_length=60)
    concurrency = models.PositiveIntegerField()
    failure_limit = models.PositiveIntegerField()
    success_percent = models.PositiveSmallIntegerField()
    confidence_percent = models.PositiveSmallIntegerField(default=USUAL_CONFIDENCE)
    bound_percent = models.PositiveSmallIntegerField(default=0)
    class_hosts = models.PositiveSmallIntegerField(default=0)
    classes_asked = models.JSONField(default=list, help_text="Classes of machine of which good hosts are asked.")
    soak_seconds = models.PositiveIntegerField()
    state = state_field(RingState)
    state_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    soak_until = models.DateTimeField(null=True, blank=True)
    proposal = models.TextField(blank=True, default="", help_text="Why it should be accepted as it is.")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    accepted_partly = models.BooleanField(default=False, help_text="A person accepted what it had reached.")
    reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["rollout", "position"]
        verbose_name = _("ring")
        constraints = [
            models.UniqueConstraint(fields=["rollout", "position"], name="releases_ring_position"),
            models.CheckConstraint(condition=Q(state__in=RingState.values), name="releases_ring_state"),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, failure_limit__gte=1, success_percent__gte=1, success_percent__lte=100),
                name="releases_ring_bounds",
            ),
            models.CheckConstraint(
                condition=Q(
                    confidence_percent__gte=LEAST_CONFIDENCE,
                    confidence_percent__lte=MOST_CONFIDENCE,
                    bound_percent__lt=100,
                ),
                name="releases_ring_confidence",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rollout.number} · {self.name}"

    @property
    def labelled(self) -> str:
        """What is rolled out, and that it is simulated."""
        return self.rollout.release.labelled

    def get_people_url(self) -> str:
        """Who was told, who knows, who asks for more time."""
        return reverse("releases:ring-people", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        """Those of each host of the ring."""
        return list(scope_keys_of(self.jobs.values_list("host_id", flat=True)).values())

    def _came(self, at: datetime, reason: str = "") -> None:
        self.state_at, self.reason = at, reason

    @transition(field=state, source=R.PENDING, target=R.NOTIFIED, verb="release.ring.notified", allowed=[advances],
                by_system=True)  # fmt: skip
    def notify(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=R.NOTIFIED, target=R.RUNNING, verb="release.ring.started", allowed=[advances],
                by_system=True)  # fmt: skip
    def start(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.started_at = at

    @transition(field=state, source=R.RUNNING, target=R.SOAKING, verb="release.ring.soaking", allowed=[advances],
                by_system=True)  # fmt: skip
    def soak(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.soak_until = at + timedelta(seconds=self.soak_seconds)

    @transition(field=state, source=R.SOAKING, target=R.PASSED, verb="release.ring.passed", allowed=[advances],
                by_system=True)  # fmt: skip
    def hold(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=[R.RUNNING, R.SOAKING], target=R.FAILED, verb="release.ring.failed",
                allowed=[advances], by_system=True)  # fmt: skip
    def fail(self, *, actor: User, at: datetime, cause: str, **facts: Any) -> None:
        self._came(at, cause)
        self.soak_until = None

    @transition(field=state, source=R.FAILED, target=R.RUNNING, verb="release.ring.retried",
                allowed=[capability("rollout.retry")], gated=True, dangerous=True, label="Retry failed hosts")  # fmt: skip
    def retry(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=R.FAILED, target=R.SOAKING, verb="release.ring.accepted_partly",
                allowed=[capability("rollout.accept_partial"), not_starter], gated=True, by_system=True, dangerous=True,
                label="Accept as it is")  # fmt: skip
    def accept_partial(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)
        self.accepted_partly = True
        self.soak_until = at + timedelta(seconds=self.soak_seconds)

    @transition(field=state, source=[R.PENDING, R.NOTIFIED], target=R.SKIPPED, verb="release.ring.skipped",
                allowed=[either(capability("rollout.stop"), advances)], dangerous=True)  # fmt: skip
    def skip(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)
