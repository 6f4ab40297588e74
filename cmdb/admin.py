"""The operators' window on what we have: every row in sight, changed by verbs only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import baselines, connections, discrepancies, exemptions, groups, hosts, items, scans, windows
from cmdb.enums import QueuedRule
from cmdb.models import (
    Baseline,
    BaselineItem,
    ConfigurationItem,
    Connection,
    Discrepancy,
    Exemption,
    Fact,
    GroupMember,
    Host,
    HostGroup,
    HostIdentity,
    Installation,
    PackageVersion,
    PendingUpdate,
    Platform,
    Relation,
    ScanResult,
    ScanRun,
    ServiceWindow,
    SupportGroup,
)
from cmdb.queries.scans import reason_for, runs_in_sight
from cmdb.web.forms import RetireWindowForm
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, plain


def _scan(host: Host, actor: User, at: datetime, reason: str) -> None:
    scans.request(host_ids=[host.pk], actor=actor, at=at)


def _retire_host(host: Host, actor: User, at: datetime, reason: str) -> None:
    hosts.retire(host_id=host.pk, reason=reason, actor=actor, at=at)


def _test(connection: Connection, actor: User, at: datetime, reason: str) -> None:
    connections.test(host_id=connection.host_id, actor=actor, at=at)


def _show_key(connection: Connection, actor: User, at: datetime, reason: str) -> None:
    connections.show_key(host_id=connection.host_id, actor=actor, at=at)


def _cancel(run: ScanRun, actor: User, at: datetime, reason: str) -> None:
    scans.cancel(scan_run_id=run.pk, actor=actor, at=at)


def _retire_group(group: HostGroup, actor: User, at: datetime, reason: str) -> None:
    groups.retire(group_id=group.pk, reason=reason, actor=actor, at=at)


def _retire_window(window: ServiceWindow, actor: User, at: datetime, form: RetireWindowForm) -> None:
    given = form.cleaned_data
    rule = given["queued"] or QueuedRule.HALT
    windows.retire(window_id=window.pk, reason=given["reason"], queued=rule, actor=actor, at=at)


def _retire_baseline(baseline: Baseline, actor: User, at: datetime, reason: str) -> None:
    baselines.retire(baseline_id=baseline.pk, reason=reason, actor=actor, at=at)


def _settle(how: str) -> Any:
    def settle(found: Discrepancy, actor: User, at: datetime, reason: str) -> None:
        discrepancies.settle(discrepancy_id=found.pk, how=how, reason=reason, actor=actor, at=at)

    return settle


def _grant(exemption: Exemption, actor: User, at: datetime, reason: str) -> None:
    exemptions.grant(exemption_id=exemption.pk, actor=actor, at=at)


def _revoke(exemption: Exemption, actor: User, at: datetime, reason: str) -> None:
    exemptions.revoke(exemption_id=exemption.pk, reason=reason, actor=actor, at=at)


class FactInline(ReadOnlyInline):
    model = Fact


class IdentityInline(ReadOnlyInline):
    model = HostIdentity


class MembershipInline(ReadOnlyInline):
    model = GroupMember


class PendingInline(ReadOnlyInline):
    model = PendingUpdate

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(gone_seen_at__isnull=True)


class ResultInline(ReadOnlyInline):
    model = ScanResult

    def get_queryset(self, request: Any) -> Any:
        return (
            super().get_queryset(request).filter(host__in=Host.objects.visible_to(request.user)).select_related("host")
        )


class ItemInline(ReadOnlyInline):
    model = BaselineItem


class RelationInline(ReadOnlyInline):
    model = Relation
    fk_name = "source"


@admin.register(Host)
class HostAdmin(VerbAdmin):
    """Retirement is asked of the host's item, so its gates are explained from there."""

    list_display = ("name", "platform", "restart_needed", "audited_at", "last_seen_at", "retired_at")
    list_filter = ("ci__state", "ci__environment", "ci__criticality", "restart_needed", "platform")
    search_fields = ("name", "fqdn", "machine_id")
    list_select_related = ("platform", "ci")
    readonly_fields = ("state",)
    inlines = (IdentityInline, MembershipInline, FactInline, PendingInline)
    verbs = (
        AdminVerb("scan", _("Scan"), _scan),
        AdminVerb("retire", _("Retire"), _retire_host, transition="retire", needs_reason=True),
    )

    @admin.display(description=_("State"))
    def state(self, host: Host) -> str:
        return str(host.ci.get_state_display())

    def explain(self, verb: AdminVerb, obj: Host, actor: User, at: datetime) -> str:
        if verb.name == "retire":
            return super().explain(verb, obj.ci, actor, at)
        if obj.retired_at is not None:
            return str(_("It is retired."))
        return "" if actor.holds("scan.request", over=obj.scope_keys()) else str(_("You may not request scans here."))


def _enter_service(item: ConfigurationItem, actor: User, at: datetime, _said: str) -> None:
    items.enter_service(item_id=item.pk, actor=actor, at=at)


def _retire_item(item: ConfigurationItem, actor: User, at: datetime, said: str) -> None:
    items.retire(item_id=item.pk, reason=said, actor=actor, at=at)


def _why_not_enter(item: ConfigurationItem, actor: User, at: datetime) -> list[Blocker]:
    return items.why_not_say(item, actor) or workflow.why_not(item, "enter_service", actor=actor, at=at)


def _why_not_retire(item: ConfigurationItem, actor: User, at: datetime) -> list[Blocker]:
    return items.why_not_say(item, actor) or workflow.why_not(item, "retire", actor=actor, at=at)


@admin.register(ConfigurationItem)
class ItemAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "environment", "criticality", "owner")
    list_filter = ("kind", "state", "environment", "criticality")
    search_fields = ("name",)
    list_select_related = ("owner",)
    inlines = (RelationInline,)
    verbs = (
        AdminVerb(
            "enter_service", _("It is in use"), _enter_service, transition="enter_service", why_not=_why_not_enter
        ),
        AdminVerb("retire", _("Retire"), _retire_item, needs_reason=True, why_not=_why_not_retire),
    )


@admin.register(Connection)
class ConnectionAdmin(VerbAdmin):
    """A host key is accepted on the host's page, where it is shown; never from a list."""

    list_display = ("host", "__str__", "kind", "accepted_fingerprint", "last_test_ok", "last_tested_at")
    list_filter = ("kind", "last_test_ok", "key_kind")
    search_fields = ("host__name", "address")
    list_select_related = ("host",)
    verbs = (AdminVerb("test", _("Test"), _test), AdminVerb("show_key", _("Fetch the host key"), _show_key))

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(host__in=Host.objects.visible_to(request.user))


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


@admin.register(HostGroup)
class GroupAdmin(VerbAdmin):
    list_display = (
        "name",
        "kind",
        "rule_environment",
        "rule_distribution",
        "rule_release",
        "rule_criticality",
        "retired_at",
    )
    list_filter = ("kind",)
    search_fields = ("name",)
    inlines = (MembershipInline,)
    verbs = (AdminVerb("retire", _("Retire"), _retire_group, needs_reason=True),)


@admin.register(ServiceWindow)
class WindowAdmin(VerbAdmin):
    list_display = (
        "name",
        "recurrence",
        "starts_local",
        "zone",
        "length_minutes",
        "cutoff_minutes",
        "revision",
        "retired_at",
    )
    list_filter = ("recurrence", "zone")
    search_fields = ("name",)
    verbs = (AdminVerb("retire", _("Retire"), _retire_window, form=plain(RetireWindowForm)),)


@admin.register(Baseline)
class BaselineAdmin(VerbAdmin):
    list_display = ("name", "version", "state", "platform", "group", "proposed_by", "approved_at")
    list_filter = ("state", "platform")
    search_fields = ("name",)
    list_select_related = ("platform", "group", "proposed_by")
    inlines = (ItemInline,)
    verbs = (AdminVerb("retire", _("Retire"), _retire_baseline, transition="retire", needs_reason=True),)


@admin.register(Exemption)
class ExemptionAdmin(VerbAdmin):
    list_display = ("__str__", "state", "host", "group", "requested_by", "expires_at")
    list_filter = ("state", "kind")
    search_fields = ("subject",)
    list_select_related = ("host", "group", "requested_by")
    verbs = (
        AdminVerb("grant", _("Grant"), _grant, transition="grant"),
        AdminVerb("revoke", _("Revoke"), _revoke, transition="revoke", needs_reason=True),
    )


@admin.register(Discrepancy)
class DiscrepancyAdmin(VerbAdmin):
    list_display = ("__str__", "kind", "state", "host", "other", "sentence", "opened_at")
    list_filter = ("state", "kind")
    search_fields = ("host__name", "sentence")
    list_select_related = ("host", "other")
    verbs = (
        AdminVerb("explain_it", _("Explain"), _settle("explain"), transition="explain", needs_reason=True),
        AdminVerb("correct_it", _("Corrected"), _settle("correct"), transition="correct", needs_reason=True),
        AdminVerb(
            "hand_over",
            _("Hand to problem management"),
            _settle("hand_over"),
            transition="hand_over",
            needs_reason=True,
        ),
    )


@admin.register(Platform)
class PlatformAdmin(VerbAdmin):
    list_display = ("__str__", "ecosystem", "distribution", "release", "codename", "arch", "supported_until")
    list_filter = ("distribution",)


@admin.register(PackageVersion)
class PackageVersionAdmin(VerbAdmin):
    list_display = ("name", "version", "arch", "platform", "source_name", "origin_class", "key_version")
    list_filter = ("platform", "origin_class")
    search_fields = ("name", "source_name")
    list_select_related = ("platform",)


@admin.register(Installation)
class InstallationAdmin(VerbAdmin):
    list_display = ("host", "package_version", "status", "held", "installed_seen_at", "gone_seen_at")
    list_filter = ("status", "held")
    search_fields = ("host__name", "package_version__name")
    list_select_related = ("host", "package_version")


@admin.register(SupportGroup)
class SupportGroupAdmin(VerbAdmin):
    list_display = ("name", "lead")
    search_fields = ("name",)
