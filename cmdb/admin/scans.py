"""The admin of scans."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import scans
from cmdb.models import Host, ScanResult, ScanRun
from cmdb.queries.scans import reason_for, runs_in_sight
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


class ResultInline(ReadOnlyInline):
    model = ScanResult

    def get_queryset(self, request: Any) -> Any:
        return (
            super().get_queryset(request).filter(host__in=Host.objects.visible_to(request.user)).select_related("host")
        )


def _cancel(run: ScanRun, actor: User, at: datetime, reason: str) -> None:
    scans.cancel(scan_run_id=run.pk, actor=actor, at=at)


@admin.register(ScanRun)
class ScanRunAdmin(VerbAdmin):
    """What was written of a run counts all its hosts; shown is what is true of those in sight."""

    list_display = ("__str__", "state", "scanner", "requested_by", "requested_at", "ended_at", "outcome")
    list_filter = ("state", "scanner")
    list_select_related = ("requested_by",)
    exclude = ("reason",)
    readonly_fields = ("outcome",)
    inlines = (ResultInline,)
    verbs = (AdminVerb("cancel", _("Cancel"), _cancel, transition="cancel"),)

    def get_queryset(self, request: Any) -> Any:
        return runs_in_sight(request.user)

    @admin.display(description=_("Outcome"))
    def outcome(self, run: ScanRun) -> str:
        return reason_for(run)
