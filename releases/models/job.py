"""Job: what one rollout does on one host. Never two live ones on a host, never two attempts under one key.

pending → claimed → staged → installing → [restarting] → verifying → succeeded; refused, cancelled, not needed before
anything was done; failed; out of sight: unknown → observed as succeeded, failed or undone, or given up as lost.
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
from patchflow.kernel.rules import capability
from releases.enums_rollout import LIVE, JobState
from releases.models.rollout import Ring, Rollout
from releases.rules_rollout import advances, either, runs

S = JobState
AT_WORK = (S.CLAIMED, S.STAGED, S.INSTALLING, S.RESTARTING, S.VERIFYING)
system = [either(runs, advances)]
withdrawn = [either(runs, capability("rollout.stop"), capability("job.cancel"))]
looked = [either(capability("job.observe"), runs)]


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, actor: User) -> JobQuerySet:
        """Jobs on hosts in the actor's scope."""
        if actor.scopes_for("rollout.view") is None:
            return self
        return self.filter(host__in=Host.objects.within(actor, "rollout.view"))

    def live(self) -> JobQuerySet:
        return self.filter(state__in=LIVE)

    def lean(self) -> JobQuerySet:
        """With the columns that letting through, ordering and recording read; the rest is read row by row where it is wanted."""
        return self.order_by().only(
            "rollout_id", "ring_id", "host_id", "state", "fence", "attempt", "job_key", "slip_key", "last_seq", "ordered_at",
            "heard_at", "cancel_asked_at",
        )  # fmt: skip


class Job(DueWork):
    """One host of a ring. `job_key` names the attempt, on the host too; `packages` is copied from the manifest to be
    shown (the order is made of the manifest itself); `statement` says what will happen, or what happened, and why.

    `ordered_at`: an order under this key may have reached the host since; `heard_at`: it last answered; `looks`: how often
    it was looked at since it went out of sight; `offline_since`: when it first did not answer at its turn; `recovery_key`:
    the one attempt to finish what was interrupted.
    """

    # A job is written at each step, and every index with it: none stands beside another that begins with the same column.
    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="jobs", db_index=False)
    ring = models.ForeignKey(Ring, models.PROTECT, related_name="jobs", db_index=False)
    host = models.ForeignKey("cmdb.Host", models.PROTECT, related_name="jobs", db_index=False)
    not_before = models.DateTimeField(null=True, blank=True)
    state = state_field(JobState, db_index=False)
    state_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=1)
    job_key = models.CharField(max_length=100)
    packages = models.JSONField(default=list)
    statement = models.TextField(blank=True, default="")
    reason = models.TextField(blank=True, default="")
    code = models.CharField(max_length=60, blank=True, default="")
    slip_key = models.CharField(max_length=120, blank=True, default="")
    result = models.JSONField(default=dict)
    last_seq = models.PositiveIntegerField(default=0)
    ordered_at = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    offline_since = models.DateTimeField(null=True, blank=True)
    unknown_since = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveSmallIntegerField(default=0)
    look_asked_at = models.DateTimeField(null=True, blank=True)
    recovery_key = models.CharField(max_length=120, blank=True, default="")
    claimed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["ring", "id"]
        verbose_name = _("job")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="releases_job_state"),
            models.UniqueConstraint(fields=["job_key"], name="releases_job_key"),
            models.UniqueConstraint(fields=["rollout", "host"], name="releases_job_once"),
            models.UniqueConstraint(
                fields=["host"], condition=Q(state__in=LIVE), name="releases_job_one_live_per_host"
            ),
        ]
        indexes = [
            models.Index(fields=["ring", "state", "not_before"]),
            models.Index(fields=["host", "-id"]),
            models.Index(fields=["state"], condition=Q(state__in=[*LIVE, S.LOST]), name="releases_job_at_work"),
        ]

    def __str__(self) -> str:
        return self.job_key

    @property
    def audit_parent(self) -> Ring:
        return self.ring

    def scope_keys(self) -> list[frozenset[str]]:
        return list(self.host.scope_keys())

    # --- the machine --------------------------------------------------------------------------------------------------
    def _came(self, at: datetime, statement: str = "", reason: str = "", code: str = "") -> None:
        self.state_at, self.statement, self.reason, self.code = at, statement, reason, code

    def _ended(self, at: datetime, statement: str, reason: str, code: str = "", result: Any = None) -> None:
        self._came(at, statement, reason, code)
        self.ended_at, self.not_before = at, None
        self._let_go()
        self.cancel_asked_at = self.look_asked_at = None
        if result:
            self.result = result

    def _let_go(self) -> None:
        self.lease_until, self.lease_owner = None, ""

    @transition(field=state, source=S.PENDING, target=S.CLAIMED, verb="release.job.claimed", allowed=[advances],
                bulk=True, by_system=True)  # fmt: skip
    def claim(self, *, actor: User, at: datetime, statement: str = "", slip_key: str = "", **facts: Any) -> None:
        self._came(at, statement)
        self.claimed_at = self.heard_at = at
        self.not_before, self.slip_key = None, slip_key

    @transition(field=state, source=S.PENDING, target=S.PENDING, verb="release.job.deferred", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def defer(self, *, actor: User, at: datetime, statement: str, code: str, not_before: datetime, slip_key: str = "",
              **facts: Any) -> None:  # fmt: skip
        self.statement, self.code, self.not_before, self.slip_key = statement, code, not_before, slip_key

    @transition(field=state, source=[S.PENDING, S.CLAIMED], target=S.REFUSED, verb="release.job.refused", allowed=system,
                bulk=True, by_system=True)  # fmt: skip
    def refuse(self, *, actor: User, at: datetime, statement: str, reason: str, code: str = "", result: Any = None,
               slip_key: str = "", **facts: Any) -> None:  # fmt: skip
        self._ended(at, statement, reason, code, result)
        self.slip_key = slip_key

    @transition(field=state, source=[S.PENDING, S.CLAIMED], target=S.CANCELLED, verb="release.job.cancelled",
                allowed=withdrawn, bulk=True)  # fmt: skip
    def cancel(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(
            at,
            kept("Will not run, because it was withdrawn: %(because)s", because=reason),
            reason,
            "cancelled",
            result,
        )

    @transition(field=state, source=[S.PENDING, S.CLAIMED], target=S.NOT_NEEDED, verb="release.job.not_needed",
                allowed=system, bulk=True, by_system=True)  # fmt: skip
    def skip(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Nothing was done, because %(why)s", why=reason), reason, "not_needed", result)

    @transition(field=state, source=[S.CLAIMED, S.STAGED], target=S.PENDING, verb="release.job.released", allowed=system,
                bulk=True, by_system=True)  # fmt: skip
    def release(
        self, *, actor: User, at: datetime, statement: str, code: str, not_before: datetime, slip_key: str = "",
        new_key: str = "", offline_since: datetime | None = None, never_sent: bool = False, **facts: Any,
    ) -> None:  # fmt: skip
        """Gives the host back; only when it is known that nothing was done. `new_key`: the old attempt has ended there;
        `offline_since`: when it first did not answer at its turn; `never_sent`: the order has not left for the host."""
        self._came(at, statement, code=code)
        self.offline_since = offline_since
        if never_sent:
            self.ordered_at = None
        self.not_before, self.claimed_at, self.slip_key = not_before, None, slip_key
        self._let_go()
        if new_key:
            self._new_attempt(new_key)

    @transition(field=state, source=S.CLAIMED, target=S.STAGED, verb="release.job.staged", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def stage(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, kept("Its files are there and equal the manifest."))

    @transition(field=state, source=S.STAGED, target=S.INSTALLING, verb="release.job.installing", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def install(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, kept("Installs now."))

    @transition(field=state, source=S.INSTALLING, target=S.RESTARTING, verb="release.job.restarting", allowed=system,
                bulk=True, by_system=True)  # fmt: skip
    def restart(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, kept("Restarts now."))

    @transition(field=state, source=[S.INSTALLING, S.RESTARTING], target=S.VERIFYING, verb="release.job.verifying",
                allowed=system, bulk=True, by_system=True)  # fmt: skip
    def verify(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self._came(at, kept("Installed by its own account; the host is looked at."))

    @transition(field=state, source=S.VERIFYING, target=S.SUCCEEDED, verb="release.job.succeeded", allowed=system,
                bulk=True, by_system=True)  # fmt: skip
    def succeed(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Succeeded: %(why)s", why=reason), reason, "", result)

    @transition(field=state, source=AT_WORK, target=S.FAILED, verb="release.job.failed", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def fail(self, *, actor: User, at: datetime, reason: str, code: str = "", result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Failed: %(why)s", why=reason), reason, code, result)

    @transition(field=state, source=AT_WORK, target=S.UNKNOWN, verb="release.job.unknown", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def lose(self, *, actor: User, at: datetime, reason: str, code: str = "unknown", **facts: Any) -> None:
        """Nobody knows what becomes of it. `code` overdue: it is still seen at work, past its time."""
        seen = kept("Overdue") if code == "overdue" else kept("Out of sight")
        self._came(at, kept("%(seen)s, and looked at until it is known: %(why)s", seen=seen, why=reason), reason, code)
        self.unknown_since, self.looks = at, 0

    @transition(field=state, source=[S.UNKNOWN, S.LOST], target=S.SUCCEEDED, verb="release.job.observed", allowed=looked,
                bulk=True, by_system=True)  # fmt: skip
    def observe_succeeded(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Succeeded, %(by)s: %(why)s", by=_shown(result), why=reason), reason, "", result)

    @transition(field=state, source=[S.UNKNOWN, S.LOST], target=S.FAILED, verb="release.job.observed", allowed=looked,
                bulk=True, by_system=True)  # fmt: skip
    def observe_failed(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Failed, %(by)s: %(why)s", by=_shown(result), why=reason), reason, "observed", result)

    @transition(field=state, source=S.UNKNOWN, target=S.UNDONE, verb="release.job.observed", allowed=looked, bulk=True,
                by_system=True)  # fmt: skip
    def observe_undone(self, *, actor: User, at: datetime, reason: str, result: Any = None, **facts: Any) -> None:
        self._ended(at, kept("Nothing was done, as the host shows: %(why)s", why=reason), reason, "undone", result)

    @transition(field=state, source=S.UNKNOWN, target=S.LOST, verb="release.job.lost", allowed=system, bulk=True,
                by_system=True)  # fmt: skip
    def give_up(self, *, actor: User, at: datetime, reason: str, **facts: Any) -> None:
        self._ended(at, kept("Lost: %(why)s", why=reason), reason, "lost")

    @transition(field=state, source=[S.FAILED, S.UNDONE], target=S.PENDING, verb="release.job.retried",
                allowed=[capability("rollout.retry")], bulk=True, label="Try again")  # fmt: skip
    def retry(self, *, actor: User, at: datetime, new_key: str, **facts: Any) -> None:
        self._came(at, kept("Is tried again."))
        self.not_before = self.ended_at = self.claimed_at = None
        self._new_attempt(new_key)

    def _new_attempt(self, new_key: str) -> None:
        self.attempt += 1
        self.job_key, self.last_seq, self.slip_key, self.recovery_key = new_key, 0, "", ""
        self.ordered_at = self.heard_at = self.unknown_since = self.cancel_asked_at = self.offline_since = None
        self.looks, self.result = 0, {}


def _shown(result: Any) -> str:
    """By what it is known: the host itself, or a person's word, which is never told as the host's."""
    attested = bool(result) and result.get("seen", {}).get("attested")
    return kept("by a second person's word") if attested else kept("as the host shows")


class JobEvent(models.Model):
    """One line of a job's journal, as the host wrote it before the act it tells of."""

    job = models.ForeignKey(Job, models.PROTECT, related_name="events", db_index=False)
    attempt = models.PositiveSmallIntegerField()
    seq = models.PositiveIntegerField()
    at = models.DateTimeField(help_text="By the host's clock.")
    stage = models.CharField(max_length=20)
    message = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["job", "attempt", "seq"]
        verbose_name = _("job event")
        constraints = [models.UniqueConstraint(fields=["job", "attempt", "seq"], name="releases_jobevent_once")]

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}"
