"""The admin of hosts and of how they are reached."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from cmdb.domain import connections, exemptions, hosts, scans
from cmdb.models import Connection, Fact, GroupMember, Host, HostIdentity, PendingUpdate
from cmdb.web.forms import AcceptKeyForm, AddHostForm, ExemptionForm, ReachForm, ReviseHostForm
from cmdb.web.host_verbs import reach_form, revise_form
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing, somewhere
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, plain


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


def _scan(host: Host, actor: User, at: datetime, reason: str) -> None:
    scans.request(host_ids=[host.pk], actor=actor, at=at)


def _retire_host(host: Host, actor: User, at: datetime, reason: str) -> None:
    hosts.retire(host_id=host.pk, reason=reason, actor=actor, at=at)


def _revise(host: Host, actor: User, at: datetime, form: ReviseHostForm) -> None:
    hosts.revise(host_id=host.pk, actor=actor, at=at, **form.cleaned_data)


def _exempt(host: Host, actor: User, at: datetime, form: ExemptionForm) -> None:
    exemptions.request(host_id=host.pk, actor=actor, at=at, **form.given(at))


def _against(host: Host, actor: User, right: str) -> list[Blocker]:
    gone = [Blocker("host.retired", english("It is retired."))] if host.retired_at else []
    return [*failing([capability(right)], host, actor), *gone]


ADD = AdminVerb(
    "add",
    _("Add a host"),
    lambda _none, actor, at, form: hosts.add(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, actor: AddHostForm(data, viewer=actor),
    on="new",
    why_not=lambda _none, actor, _at: failing([somewhere("host.add")], None, actor),
)


@admin.register(Host)
class HostAdmin(VerbAdmin):
    """Retirement is asked of the host's item, so its gates are explained from there."""

    list_display = ("name", "platform", "restart_needed", "audited_at", "last_seen_at", "retired_at")
    list_filter = ("ci__state", "ci__environment", "ci__criticality", "restart_needed", "platform")
    search_fields = ("name", "fqdn", "machine_id")
    list_select_related = ("platform", "ci")
    readonly_fields = ("state",)
    inlines = (IdentityInline, MembershipInline, FactInline, PendingInline)
    maker = ADD
    verbs = (
        AdminVerb("scan", _("Scan"), _scan),
        AdminVerb(
            "revise",
            _("Revise"),
            _revise,
            form=lambda data, host, _actor: revise_form(data, host),
            on="one",
            why_not=lambda host, actor, _at: _against(host, actor, "host.edit"),
        ),
        AdminVerb(
            "exempt",
            _("Ask for an exemption"),
            _exempt,
            form=plain(ExemptionForm),
            why_not=lambda host, actor, _at: _against(host, actor, "exemption.request"),
        ),
        AdminVerb("retire", _("Retire"), _retire_host, transition="retire", needs_reason=True),
    )

    @admin.display(description=_("State"))
    def state(self, host: Host) -> str:
        return str(host.ci.get_state_display())

    def explain(self, verb: AdminVerb, obj: Host, actor: User, at: datetime) -> str:
        if verb.name == "retire":
            return super().explain(verb, obj.ci, actor, at)
        if verb.name != "scan":
            return super().explain(verb, obj, actor, at)
        if obj.retired_at is not None:
            return str(_("It is retired."))
        return "" if actor.holds("scan.request", over=obj.scope_keys()) else str(_("You may not request scans here."))


def _test(connection: Connection, actor: User, at: datetime, reason: str) -> None:
    connections.test(host_id=connection.host_id, actor=actor, at=at)


def _show_key(connection: Connection, actor: User, at: datetime, reason: str) -> None:
    connections.show_key(host_id=connection.host_id, actor=actor, at=at)


def _against_testing(connection: Connection, actor: User, _at: datetime) -> list[Blocker]:
    return _against(connection.host, actor, "connection.test")


def _against_reaching(connection: Connection, actor: User, right: str) -> list[Blocker]:
    if found := _against(connection.host, actor, right):
        return found
    local = english("This computer is reached without a connection.")
    return [Blocker("invalid.kind", local)] if connection.is_local else []


def _accept_form(data: Any, connection: Connection, _actor: User) -> AcceptKeyForm:
    form = AcceptKeyForm(data, initial={"fingerprint": connection.shown_fingerprint})
    if connection.shown_key:
        form.fields["compared"].label = format_html(
            '{} <span class="mono">{}</span>', form.fields["compared"].label, connection.shown_fingerprint
        )
    return form


def _accept_key(connection: Connection, actor: User, at: datetime, form: AcceptKeyForm) -> None:
    given = form.cleaned_data["fingerprint"]
    connections.accept_key(host_id=connection.host_id, fingerprint=given, actor=actor, at=at)


def _against_accepting(connection: Connection, actor: User, _at: datetime) -> list[Blocker]:
    if found := _against_reaching(connection, actor, "connection.accept_key"):
        return found
    if connection.shown_key:
        return []
    return [Blocker("connection.no_key_shown", english("No key has been shown yet: fetch it first."))]


def _reach(connection: Connection, actor: User, at: datetime, form: ReachForm) -> None:
    connections.revise(host_id=connection.host_id, actor=actor, at=at, **form.cleaned_data)


@admin.register(Connection)
class ConnectionAdmin(VerbAdmin):
    """A host key is accepted over the fingerprint that is shown: of one host at a time, never of a list."""

    list_display = ("host", "__str__", "kind", "fingerprint", "last_test_ok", "last_tested_at")
    list_filter = ("kind", "last_test_ok", "key_kind")
    search_fields = ("host__name", "address")
    list_select_related = ("host",)
    verbs = (
        AdminVerb("test", _("Test"), _test, why_not=_against_testing),
        AdminVerb("show_key", _("Fetch the host key"), _show_key, why_not=_against_testing),
        AdminVerb(
            "accept_key",
            _("Accept the host key"),
            _accept_key,
            form=_accept_form,
            on="one",
            why_not=_against_accepting,
        ),
        AdminVerb(
            "revise",
            _("Change how it is reached: another address voids the accepted key"),
            _reach,
            form=reach_form,
            on="one",
            why_not=lambda one, actor, _at: _against_reaching(one, actor, "connection.edit"),
        ),
    )

    @admin.display(description=_("Accepted key"))
    def fingerprint(self, connection: Connection) -> str:
        return connection.accepted_fingerprint

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(host__in=Host.objects.visible_to(request.user))
