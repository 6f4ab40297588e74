"""Staging: the files of one job, laid ready on its host before the window opens. Nothing is installed.

waiting → ordered → staged; waiting, ordered → refused; ordered → failed, unknown; ordered → waiting, to be tried again; ordered →
ordered, as its host is silent or answers again. However it ends, the job is not held up: it fetches what is not there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from cmdb.models import Host
from patchflow.kernel.blockers import kept
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import DueWork, User
from releases.enums_staging import StagingState
from releases.models.job import Job
from releases.models.rollout import Ring, Rollout
from releases.rules_rollout import advances

S = StagingState
OPEN = (S.WAITING, S.ORDERED)
WAITS = kept("Its files are laid ready before its window opens.")


class StagingQuerySet(models.QuerySet["Staging"]):
    def visible_to(self, actor: User) -> StagingQuerySet:
        """Those of hosts in the actor's scope."""
        if actor.scopes_for("rollout.view") is None:
            return self
        return self.filter(job__host__in=Host.objects.within(actor, "rollout.view"))


class Staging(DueWork):
    """One job's files ahead of its window. `key` names the attempt on the host; `statement` says what will happen, or what
    happened, and why; `ordered_at`: an order under this key may have reached the host since; `window_at`: when the window
    opens for which it was let through. `staged` is the host's own account: its job compares every file again."""

    job = models.OneToOneField(Job, models.PROTECT, related_name="staging")
    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="stagings", db_index=False)
    ring = models.ForeignKey(Ring, models.PROTECT, related_name="stagings", db_index=False)
    not_before = models.DateTimeField(null=True, blank=True)
    state = state_field(StagingState, db_index=False)
    state_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=1)
    key = models.CharField(max_length=100, unique=True)
    statement = models.TextField(blank=True, default=WAITS)
    reason = models.TextField(blank=True, default="")
    code = models.CharField(max_length=60, blank=True, default="")
    slip_key = models.CharField(max_length=120, blank=True, default="")
    asked_at = models.DateTimeField()
    window_at = models.DateTimeField(null=True, blank=True)
    ordered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = StagingQuerySet.as_manager()

    class Meta:
        ordering = ["ring", "id"]
        verbose_name = _("staging")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=StagingState.values), name="releases_staging_state")
        ]
        indexes = [
            models.Index(fields=["rollout", "state"]),
            models.Index(fields=["ring", "not_before"], condition=Q(state__in=OPEN), name="releases_staging_open"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def audit_parent(self) -> Ring:
        return self.ring

    def scope_keys(self) -> list[frozenset[str]]:
        return list(self.job.host.scope_keys())

    def _came(self, at: datetime, statement: str, reason: str = "", code: str = "") -> None:
        self.state_at, self.statement, self.reason, self.code = at, statement, reason, code
        self.lease_until, self.lease_owner, self.not_before = None, "", None

    def _ended(self, at: datetime, statement: str, reason: str, code: str = "") -> None:
        self._came(at, statement, reason, code)
        self.ended_at = at

    @transition(field=state, source=S.WAITING, target=S.WAITING, verb="release.staging.deferred", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def defer(self, *, actor: User, at: datetime, statement: str, code: str, reason: str, not_before: datetime, slip_key: str,
              **facts: Any) -> None:  # fmt: skip
        self._came(at, statement, reason, code)
        self.not_before, self.slip_key = not_before, slip_key

    @transition(field=state, source=S.WAITING, target=S.ORDERED, verb="release.staging.ordered", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def order(
        self, *, actor: User, at: datetime, statement: str, slip_key: str, window_at: datetime, **facts: Any
    ) -> None:
        """The lease is kept: who ordered it goes on to send it."""
        self.state_at, self.statement, self.reason, self.code = at, statement, "", ""
        self.ordered_at, self.window_at, self.slip_key = at, window_at, slip_key

    @transition(field=state, source=S.ORDERED, target=S.WAITING, verb="release.staging.put_off", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def put_off(self, *, actor: User, at: datetime, statement: str, reason: str, code: str, not_before: datetime,
                new_key: str = "", **facts: Any) -> None:  # fmt: skip
        """Nothing of this order is on the host, or `new_key`: the old attempt has ended there."""
        self._came(at, statement, reason, code)
        self.not_before, self.ordered_at, self.slip_key = not_before, None, ""
        if new_key:
            self.key, self.attempt = new_key, self.attempt + 1

    @transition(field=state, source=S.ORDERED, target=S.ORDERED, verb="release.staging.noted", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def note(self, *, actor: User, at: datetime, statement: str, reason: str, code: str, not_before: datetime,
             **facts: Any) -> None:  # fmt: skip
        """Its host does not answer, cannot be asked, or answers again: it is ordered as before, and since when it was."""
        self._came(self.state_at, statement, reason, code)
        self.not_before = not_before

    @transition(field=state, source=S.ORDERED, target=S.STAGED, verb="release.staging.staged", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def stage(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._ended(at, kept("Laid ready, by the host's own account: %(why)s", why=reason), reason)

    @transition(field=state, source=S.ORDERED, target=S.FAILED, verb="release.staging.failed", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def fail(self, *, actor: User, at: datetime, reason: str, code: str, **facts: Any) -> None:
        said = kept("Could not be laid ready, so its job fetches its files itself: %(why)s", why=reason)
        self._ended(at, said, reason, code)

    @transition(field=state, source=OPEN, target=S.REFUSED, verb="release.staging.refused", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, reason: str, code: str, slip_key: str = "", **facts: Any) -> None:
        self._ended(at, kept("Is not laid ready, because %(why)s.", why=reason), reason, code)
        self.slip_key = slip_key

    @transition(field=state, source=S.ORDERED, target=S.UNKNOWN, verb="release.staging.unknown", allowed=[advances], bulk=True,
                by_system=True)  # fmt: skip
    def lose(self, *, actor: User, at: datetime, reason: str, code: str, **facts: Any) -> None:
        said = kept("Nobody knows whether it is laid ready; its job fetches what is not there: %(why)s", why=reason)
        self._ended(at, said, reason, code)
