"""Scan runs: queued → running → completed | partial | failed | lost | cancelled; per host a result with its reason."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cmdb.enums import ResultState, ScanState
from cmdb.models.host import Host
from patchflow.kernel import fsm
from patchflow.kernel.blockers import english
from patchflow.kernel.models import Audited, DueWork
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

records = [capability("scan.record")]


class ScanRunQuerySet(models.QuerySet["ScanRun"]):
    def visible_to(self, actor: User) -> ScanRunQuerySet:
        """Runs that concern at least one host that `actor` sees."""
        if actor.scopes_for("host.view") is None:
            return self
        seen = ScanResult.objects.filter(scan_run=OuterRef("pk"), host__in=Host.objects.visible_to(actor))
        return self.filter(Exists(seen))


class ScanRun(Audited, DueWork):
    """One asking of one or many hosts. Due work: a worker holds its lease while it asks."""

    state = fsm.state_field(ScanState)
    scanner = models.CharField(_("scanner"), max_length=40)
    refresh = models.BooleanField(_("package lists fetched anew"), default=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")

    objects = ScanRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("scan run")
        constraints = [models.CheckConstraint(condition=Q(state__in=ScanState.values), name="cmdb_scanrun_state")]
        indexes = [models.Index(fields=["state", "not_before"])]

    def __str__(self) -> str:
        return gettext("Scan %(n)s") % {"n": self.pk}

    def scope_keys(self) -> list[frozenset[str]]:
        """Those of every host that is asked."""
        hosts = Host.objects.filter(scan_results__scan_run=self).prefetch_related("memberships")
        return [keys for host in hosts for keys in host.scope_keys()]

    @fsm.transition(
        field=state,
        source=ScanState.QUEUED,
        target=ScanState.RUNNING,
        verb="cmdb.scan.started",
        allowed=records,
        by_system=True,
    )
    def start(self, *, actor: User, at: datetime) -> None:
        self.started_at = at

    @fsm.transition(
        field=state,
        source=ScanState.RUNNING,
        target=ScanState.COMPLETED,
        verb="cmdb.scan.completed",
        allowed=records,
        by_system=True,
    )
    def complete(self, *, actor: User, at: datetime) -> None:
        self._end(at)

    @fsm.transition(
        field=state,
        source=ScanState.RUNNING,
        target=ScanState.PARTIAL,
        verb="cmdb.scan.partial",
        allowed=records,
        by_system=True,
    )
    def complete_partly(self, *, actor: User, at: datetime, reason: str) -> None:
        self._end(at, reason)

    @fsm.transition(
        field=state,
        source=ScanState.RUNNING,
        target=ScanState.FAILED,
        verb="cmdb.scan.failed",
        allowed=records,
        by_system=True,
    )
    def fail(self, *, actor: User, at: datetime, reason: str) -> None:
        self._end(at, reason)

    @fsm.transition(
        field=state,
        source=[ScanState.QUEUED, ScanState.RUNNING],
        target=ScanState.LOST,
        verb="cmdb.scan.lost",
        allowed=records,
        by_system=True,
    )
    def lose(self, *, actor: User, at: datetime, reason: str) -> None:
        self._end(at, reason)

    @fsm.transition(
        field=state,
        source=[ScanState.QUEUED, ScanState.RUNNING],
        target=ScanState.CANCELLED,
        verb="cmdb.scan.cancelled",
        allowed=[capability("scan.request")],
        label="Cancel",
    )
    def cancel(self, *, actor: User, at: datetime) -> None:
        self._end(at, "Cancelled.")

    def _end(self, at: datetime, reason: str = "") -> None:
        self.ended_at, self.reason = at, reason
        self.lease_until, self.not_before = None, None


class ScanResult(fsm.Stateful):
    """What became of one host in a run: pending → scanned | partial | failed | lost | cancelled, with `code` and `reason`."""

    state = fsm.state_field(ResultState)
    scan_run = models.ForeignKey(ScanRun, models.PROTECT, related_name="results")
    host = models.ForeignKey(Host, models.PROTECT, related_name="scan_results")
    code = models.CharField(_("code"), max_length=40, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")
    packages = models.PositiveIntegerField(_("packages"), null=True, blank=True)
    changed = models.BooleanField(_("changed"), null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("scan result")
        constraints = [
            models.UniqueConstraint(
                fields=["host"], condition=Q(state=ResultState.PENDING), name="cmdb_scanresult_open"
            ),
            models.UniqueConstraint(fields=["scan_run", "host"], name="cmdb_scanresult_once"),
            models.CheckConstraint(condition=Q(state__in=ResultState.values), name="cmdb_scanresult_state"),
        ]
        indexes = [models.Index(fields=["host", "-id"])]

    def __str__(self) -> str:
        return f"{self.scan_run}: {self.host}"

    @property
    def audit_parent(self) -> ScanRun:
        return self.scan_run

    @fsm.transition(
        field=state,
        source=ResultState.PENDING,
        target=ResultState.SCANNED,
        verb="cmdb.scan.host_scanned",
        allowed=records,
        bulk=True,
        by_system=True,
    )
    def succeed(self, *, actor: User, at: datetime, packages: int, changed: bool) -> None:
        self.ended_at, self.packages, self.changed = at, packages, changed

    @fsm.transition(
        field=state,
        source=ResultState.PENDING,
        target=ResultState.PARTIAL,
        verb="cmdb.scan.host_scanned_partly",
        allowed=records,
        bulk=True,
        by_system=True,
    )
    def succeed_partly(self, *, actor: User, at: datetime, packages: int, changed: bool, reason: str) -> None:
        self.ended_at, self.packages, self.changed = at, packages, changed
        self.code, self.reason = "partial", reason

    @fsm.transition(
        field=state,
        source=ResultState.PENDING,
        target=ResultState.FAILED,
        verb="cmdb.scan.host_not_scanned",
        allowed=records,
        bulk=True,
        by_system=True,
    )
    def fail(self, *, actor: User, at: datetime, code: str, reason: str) -> None:
        self.ended_at, self.code, self.reason = at, code, reason

    @fsm.transition(
        field=state,
        source=ResultState.PENDING,
        target=ResultState.LOST,
        verb="cmdb.scan.host_lost",
        allowed=records,
        bulk=True,
        by_system=True,
    )
    def lose(self, *, actor: User, at: datetime) -> None:
        self.ended_at, self.code, self.reason = at, "lost", english("The worker that asked it did not come back.")

    @fsm.transition(
        field=state,
        source=ResultState.PENDING,
        target=ResultState.CANCELLED,
        verb="cmdb.scan.host_left_out",
        allowed=[capability("scan.request")],
        bulk=True,
        by_system=True,
    )
    def cancel(self, *, actor: User, at: datetime) -> None:
        self.ended_at, self.code, self.reason = at, "cancelled", english("The scan was cancelled before it was asked.")
