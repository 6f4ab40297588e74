"""Release (ITIL): a set of authorized changes that is built, tested, deployed and reviewed together. REL-2026-00017.

planning → building → testing → scheduling → awaiting_readiness → ready → deploying → deployed → completed; back to
planning by revise, build_failed, test_failed, no_go; rolling_back → rolled_back → completed; or cancelled. An RFC has
at most one open release.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.domain import evidence
from changes.enums import WayBack
from changes.models import RFC, BreakGlass
from cmdb.models import Host
from cmdb.queries.groups import scope_keys_of
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability
from patchflow.kernel.signoffs import signers_of_all
from releases.enums import ReleaseOutcome, ReleaseState
from releases.models.acting import Acting
from releases.rules import any_of, not_signer, signed_before, system

S = ReleaseState
BEFORE_DEPLOY = (S.PLANNING, S.BUILDING, S.TESTING, S.SCHEDULING, S.AWAITING_READINESS, S.READY)
CLOSED = (S.COMPLETED, S.CANCELLED)
judged = any_of(capability("acceptance.judge"), capability("acceptance.run"), system)
reviewed = any_of(capability("release.sign"), system)
moved_by_rollout = any_of(
    system, capability("rollout.stop"), capability("rollout.roll_back"), capability("release.deploy")
)


class ReleaseQuerySet(models.QuerySet["Release"]):
    def visible_to(self, actor: User) -> ReleaseQuerySet:
        """Releases with at least one host in the actor's scope; nothing without the right to look."""
        scopes = actor.scopes_for("release.view")
        if scopes is None:
            return self
        if not scopes:
            return self.none()
        planned = self.model.planned_hosts.rel.related_model._base_manager.filter(
            release=models.OuterRef("pk"), host__in=Host.objects.within(actor, "release.view")
        )
        return self.filter(models.Exists(planned))

    def open(self) -> ReleaseQuerySet:
        return self.exclude(state__in=CLOSED)


class Release(Acting, Audited):
    """What we do: RFCs, the hosts, rings and windows planned for them, and how far it has come."""

    number = models.CharField(max_length=20, unique=True)
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, help_text="The most urgent kind among its RFCs; says who signs readiness.")
    state = state_field(ReleaseState)
    outcome = models.CharField(max_length=20, choices=ReleaseOutcome, blank=True, default="")
    executor = models.CharField(max_length=40, help_text="The registered executor that acts on its hosts.")
    trial = models.BooleanField(default=False, help_text="Composed in trial mode: only the simulator acts for it.")
    profile = models.ForeignKey(
        "releases.InstallProfile", models.PROTECT, null=True, blank=True, related_name="releases"
    )
    way_back = models.CharField(max_length=20, choices=WayBack, default=WayBack.REINSTALL_PREVIOUS)
    earliest_at = models.DateTimeField(null=True, blank=True)
    latest_at = models.DateTimeField(null=True, blank=True, help_text="No host starts at or after this.")
    reason = models.TextField(blank=True, default="", help_text="Why it came back, was voided or cancelled, last time.")
    next_rfc = models.ForeignKey(
        "changes.RFC",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Takes up the hosts it missed.",
    )
    composed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    composed_at = models.DateTimeField()
    state_at = models.DateTimeField(help_text="Since when it has its state.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("release")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ReleaseState.values), name="releases_release_state"),
            models.CheckConstraint(
                condition=Q(earliest_at__isnull=True)
                | Q(latest_at__isnull=True)
                | Q(latest_at__gt=models.F("earliest_at")),
                name="releases_release_start_span",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["deployed", "rolled_back", "completed"]) & ~Q(outcome="")
                | ~Q(state__in=["deployed", "rolled_back", "completed"]),
                name="releases_release_outcome",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("releases:release-detail", args=[self.pk])

    @property
    def labelled(self) -> str:
        """Its title, and that it is simulated: what stands wherever it is named."""
        return ", ".join(filter(None, [self.title, self.simulated_word]))

    @property
    def named(self) -> str:
        """ "REL-2026-00017 · OpenSSL on the web tier"; `labelled`."""
        return f"{self.number} · {self.labelled}"

    # --- questions about this row -----------------------------------------------------------------------------------
    def rfc_ids(self) -> list[int]:
        return sorted(self.links.values_list("rfc_id", flat=True))

    def signer_ids(self, *, seats: bool = True) -> set[int]:
        """All who signed an RFC of this release, broke the glass for it, or signed a manifest of it or an amendment; with `seats`
        also on whose seat somebody did."""
        changes = RFC.objects.filter(release_links__release=self.pk)
        signed = signers_of_all(type(self).objects.filter(pk=self.pk), changes, self.amendments.all(), seats=seats)
        return signed | BreakGlass.breakers_of(changes)

    def carrier_ids(self) -> set[int]:
        """All who carried out one of its changes, in this release or another (`evidence.carriers`)."""
        return evidence.carriers(*RFC.objects.filter(release_links__release=self.pk).only("pk"))

    def scope_keys(self) -> list[frozenset[str]]:
        """The scope keys of each planned host, one set per host."""
        return list(scope_keys_of(self.planned_hosts.values_list("host_id", flat=True)).values())

    # --- the machine -----------------------------------------------------------------------------------------------
    def _came(self, at: datetime, reason: str = "") -> None:
        self.state_at, self.reason = at, reason

    @transition(field=state, source=S.PLANNING, target=S.BUILDING, verb="release.release.build_requested",
                allowed=[capability("release.build"), not_signer], gated=True)  # fmt: skip
    def build(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=S.BUILDING, target=S.TESTING, verb="release.release.built", allowed=[system],
                gated=True, by_system=True)  # fmt: skip
    def built(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=S.BUILDING, target=S.PLANNING, verb="release.release.build_failed", allowed=[system],
                by_system=True)  # fmt: skip
    def build_failed(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.TESTING, target=S.SCHEDULING, verb="release.release.tested", allowed=[judged],
                gated=True, by_system=True)  # fmt: skip
    def tested(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=S.TESTING, target=S.PLANNING, verb="release.release.test_failed", allowed=[judged],
                by_system=True)  # fmt: skip
    def test_failed(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.SCHEDULING, target=S.AWAITING_READINESS, verb="release.release.sealed",
                allowed=[capability("release.seal"), not_signer], gated=True, label="Seal the manifest")  # fmt: skip
    def seal(self, *, actor: User, at: datetime, digest: str, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=S.AWAITING_READINESS, target=S.READY, verb="release.release.ready",
                allowed=[capability("release.sign"), signed_before], gated=True, by_system=True)  # fmt: skip
    def ready(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)

    @transition(field=state, source=S.AWAITING_READINESS, target=S.PLANNING, verb="release.release.no_go",
                allowed=[reviewed, signed_before], by_system=True)  # fmt: skip
    def no_go(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.READY, target=S.SCHEDULING, verb="release.release.voided",
                allowed=[any_of(capability("release.revise"), system)], label="Void the readiness")  # fmt: skip
    def void(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.READY, target=S.DEPLOYING, verb="release.release.deploying",
                allowed=[capability("release.deploy"), not_signer], gated=True, dangerous=True)  # fmt: skip
    def deploy(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at)
        self.started_by, self.started_at = actor, at

    @transition(field=state, source=S.DEPLOYING, target=S.DEPLOYED, verb="release.release.finished",
                allowed=[moved_by_rollout], gated=True, by_system=True)  # fmt: skip
    def finish(self, *, actor: User, at: datetime, outcome: str, **facts: Any) -> None:
        self._came(at)
        self.outcome, self.finished_at = outcome, at

    @transition(field=state, source=S.DEPLOYING, target=S.DEPLOYED, verb="release.release.stopped",
                allowed=[capability("rollout.stop")], gated=True, dangerous=True)  # fmt: skip
    def stop(
        self, *, actor: User, at: datetime, outcome: str = ReleaseOutcome.PARTIAL, reason: str = "", **facts: Any
    ) -> None:
        self._came(at, reason)
        self.outcome, self.finished_at = outcome, at

    @transition(field=state, source=[S.DEPLOYING, S.DEPLOYED], target=S.ROLLING_BACK, verb="release.release.rolling_back",
                allowed=[any_of(capability("rollout.roll_back"), system)], gated=True, dangerous=True)  # fmt: skip
    def roll_back(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=S.ROLLING_BACK, target=S.ROLLED_BACK, verb="release.release.rolled_back",
                allowed=[moved_by_rollout], gated=True, by_system=True)  # fmt: skip
    def rolled_back(self, *, actor: User, at: datetime, outcome: str, **facts: Any) -> None:
        self._came(at, self.reason)
        self.outcome, self.finished_at = outcome, at

    @transition(field=state, source=[S.DEPLOYED, S.ROLLED_BACK], target=S.COMPLETED, verb="release.release.accepted",
                allowed=[capability("release.accept")], gated=True)  # fmt: skip
    def accept(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, self.reason)
        self.completed_at = at

    @transition(field=state, source=BEFORE_DEPLOY, target=S.PLANNING, verb="release.release.revised",
                allowed=[capability("release.revise")], gated=True)  # fmt: skip
    def revise(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)

    @transition(field=state, source=BEFORE_DEPLOY, target=S.CANCELLED, verb="release.release.cancelled",
                allowed=[capability("release.cancel")], dangerous=True)  # fmt: skip
    def cancel(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._came(at, reason)


class ReleaseRFC(models.Model):
    """An RFC in a release, with the change digest it was authorized with when it joined."""

    release = models.ForeignKey(Release, models.PROTECT, related_name="links")
    rfc = models.ForeignKey("changes.RFC", models.PROTECT, related_name="release_links")
    digest = models.CharField(max_length=64)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True, help_text="When the release was completed or cancelled.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "rfc"], name="releases_releaserfc_once"),
            models.UniqueConstraint(
                fields=["rfc"], condition=Q(left_at__isnull=True), name="releases_releaserfc_one_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release}: {self.rfc}"
