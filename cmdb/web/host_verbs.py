"""What people do with hosts: add in three steps on one page, scan, edit, retire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from cmdb.domain import connections, exemptions, hosts, scans
from cmdb.enums import ConnectionKind, ResultState
from cmdb.models import Connection, Host, HostGroup, ServiceWindow
from cmdb.web import host_page
from cmdb.web.forms import (
    AcceptKeyForm,
    AddHostForm,
    ExemptionForm,
    ReachForm,
    ReasonForm,
    ReviseHostForm,
    keep,
    posted,
)
from cmdb.web.hosts import visible_host, who
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Blocked, Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts
from patchflow.web.verbs import Reach, Verb


def crumbs(host: Host | None, last: str) -> list[parts.Crumb]:
    estate = parts.Crumb(_("Estate"), reverse("cmdb:host-list"))
    if host is None:
        return [estate, parts.Crumb(last)]
    return [estate, parts.Crumb(host.name, reverse("cmdb:host-detail", args=[host.pk])), parts.Crumb(last)]


def tried(form: forms.Form, act: Callable[..., Any], /, **said: Any) -> Any:
    """What the verb `act` returns, or None after its refusal was put beside the fields that it names."""
    try:
        return act(**said)
    except Refusal as refusal:
        keep(form, refusal)
        return None


def form_page(
    request: HttpRequest, form: forms.Form, title: str, cancel_url: str, barred: list[Blocker], *, below: parts.Crumb
) -> HttpResponse:
    """The page of a form about what stands in the list `below`; `barred`: why it is not sent now, said before anybody fills it."""
    context = {
        "title": title,
        "phase": 1,
        "form": form,
        "barred": [] if request.method == "POST" else barred,
        "cancel_url": cancel_url,
        "crumbs": [below, parts.Crumb(title)],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def retire_barred(obj: HostGroup | ServiceWindow, right: str, over: Any, user: User) -> list[Blocker]:
    """Why a group or window is not retired now: no right to it, or it is retired already."""
    gone = [Blocker("conflict.retired", _("It is retired already."))] if obj.retired_at is not None else []
    return [*failing([capability(right)], over, user), *gone]


# --- adding, in three steps -------------------------------------------------------------------------------------------------
@login_required
def host_add(request: HttpRequest) -> HttpResponse:
    """Step 1: what it is and how it is reached. Nothing is reached yet."""
    user = who(request)
    form = AddHostForm(posted(request), viewer=user)
    if request.method == "POST" and form.is_valid():
        host = tried(form, hosts.add, actor=user, at=timezone.now(), **form.cleaned_data)
        if host:
            return redirect("cmdb:host-connect", host.pk)
    context = {
        "title": _("Add a host"),
        "phase": 1,
        "form": form,
        "step": 1,
        "local": Host.objects.live().filter(is_local=True).exists(),
        "crumbs": crumbs(None, _("Add a host")),
    }
    return render(request, "cmdb/host_add.html", context, status=400 if form.errors else 200)


@login_required
def host_connect(request: HttpRequest, pk: int) -> HttpResponse:
    """Steps 2 and 3: the key shown and accepted, the connection tested, the host scanned. Also later, when a key changed."""
    host = visible_host(request, pk)
    connection = host_page.connection_of(host)
    if connection is None or connection.kind == ConnectionKind.LOCAL:
        return redirect("cmdb:host-detail", host.pk)
    return render(request, "cmdb/host_add.html", _connect_context(host, connection))


def _connect_context(host: Host, connection: Connection, **more: Any) -> dict[str, Any]:
    scanned = host.scan_results.order_by("-pk").first()
    accepted = bool(connection.host_key) and not connection.key_waits
    return {
        "title": host.name,
        "phase": 1,
        "ident": [_("Add a host") if host.audited_at is None else _("Connection")],
        "host": host,
        "connection": connection,
        "rows": host_page.connection_rows(host),
        "step": 3 if accepted else 2,
        "accept": AcceptKeyForm(initial={"fingerprint": connection.shown_fingerprint}),
        "scanned": scanned,
        "under_way": scanned is not None and scanned.state == ResultState.PENDING,
        "crumbs": crumbs(host, _("Connection")),
        **more,
    }


@login_required
@require_POST
def host_show_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks the host for its key."""
    return _connecting(
        request, pk, lambda host: connections.show_key(host_id=host.pk, actor=who(request), at=timezone.now())
    )


@login_required
@require_POST
def host_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Tries the connection."""
    return _connecting(
        request, pk, lambda host: connections.test(host_id=host.pk, actor=who(request), at=timezone.now())
    )


def _connecting(request: HttpRequest, pk: int, act: Callable[[Host], Any]) -> HttpResponse:
    """Runs one verb of the connection and comes back to its page; a refusal by the host itself is shown there."""
    host = visible_host(request, pk)
    try:
        act(host)
    except Blocked as refusal:
        host = visible_host(request, pk)
        connection = host_page.connection_of(host)
        if connection is None:
            raise
        context = _connect_context(
            host, connection, problem=parts.Problem(_("The host did not answer"), refusal.blockers)
        )
        return render(request, "cmdb/host_add.html", context, status=409)
    return redirect("cmdb:host-connect", pk)


@login_required
@require_POST
def host_accept_key(request: HttpRequest, pk: int) -> HttpResponse:
    """A person's word on the key that was shown."""
    host = visible_host(request, pk)
    form = AcceptKeyForm(request.POST)
    connection = host_page.connection_of(host)
    if connection is None:
        return redirect("cmdb:host-detail", pk)
    if not form.is_valid():
        return render(request, "cmdb/host_add.html", _connect_context(host, connection, accept=form), status=400)
    fingerprint = form.cleaned_data["fingerprint"]
    connections.accept_key(host_id=pk, fingerprint=fingerprint, actor=who(request), at=timezone.now())
    messages.success(request, _("The host key is accepted. Next: test the connection."))
    return redirect("cmdb:host-connect", pk)


def reach_form(data: Any, connection: Connection, viewer: User) -> ReachForm:
    """How a host is reached, as the form shows it."""
    names = ("address", "port", "user", "become", "key_kind", "key_reference")
    initial = {name: getattr(connection, name) for name in names}
    initial["jump_host_id"] = connection.jump.host_id if connection.jump else None
    return ReachForm(data, viewer=viewer, but=connection.host_id, initial=initial)


@login_required
def host_reach(request: HttpRequest, pk: int) -> HttpResponse:
    """How the host is reached, changed."""
    host = visible_host(request, pk)
    connection = host_page.connection_of(host)
    if connection is None or connection.is_local:
        return redirect("cmdb:host-detail", pk)
    form = reach_form(posted(request), connection, who(request))
    if request.method == "POST" and form.is_valid():
        given = {"host_id": pk, "actor": who(request), "at": timezone.now(), **form.cleaned_data}
        if tried(form, connections.revise, **given):
            return redirect("cmdb:host-connect", pk)
    lede = _("Another address, port or way through voids the accepted host key: another machine may answer there.")
    return _form(request, form, _("How %(host)s is reached") % {"host": host}, host, lede=lede)


# --- other verbs -------------------------------------------------------------------------------------------------------------
@login_required
@require_POST
def host_scan(request: HttpRequest, pk: int) -> HttpResponse:
    """Queues a scan of this host."""
    host = visible_host(request, pk)
    run = scans.request(host_ids=[host.pk], actor=who(request), at=timezone.now())
    messages.success(request, _("The scan is queued."))
    return redirect("cmdb:scan-detail", run.pk)


def revise_form(data: Any, host: Host) -> ReviseHostForm:
    """What people say of a host, as the form shows it."""
    item = host.ci
    initial = {"name": host.name, "fqdn": host.fqdn, "environment": item.environment, "criticality": item.criticality}
    return ReviseHostForm(data, initial={**initial, "owner_id": item.owner_id, "support_group": item.support_group})


@login_required
def host_revise(request: HttpRequest, pk: int) -> HttpResponse:
    """What people say of the host."""
    host = visible_host(request, pk)
    form = revise_form(posted(request), host)
    if request.method == "POST" and form.is_valid():
        given = {"host_id": pk, "actor": who(request), "at": timezone.now(), **form.cleaned_data}
        if tried(form, hosts.revise, **given):
            messages.success(request, _("Saved. Groups by rule have followed."))
            return redirect("cmdb:host-detail", pk)
    return _form(request, form, _("Edit %(host)s") % {"host": host}, host)


@login_required
def host_exempt(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for an exemption."""
    host = visible_host(request, pk)
    form = ExemptionForm(posted(request), initial={"subject": request.GET.get("subject", "")})
    if request.method == "POST" and form.is_valid():
        now = timezone.now()
        if tried(form, exemptions.request, host_id=pk, actor=who(request), at=now, **form.given(now)):
            messages.success(request, _("Asked for. A security officer decides."))
            return redirect("cmdb:host-detail", pk)
    lede = _("A security officer decides. The finding stays visible and counts as exempt until the day it ends.")
    title = _("Ask for an exemption of %(host)s") % {"host": host}
    return _form(request, form, title, host, lede=lede, submit_label=_("Ask"))


def _form(request: HttpRequest, form: forms.Form, title: str, host: Host, **more: Any) -> HttpResponse:
    cancel = reverse("cmdb:host-detail", args=[host.pk])
    context = {"title": title, "phase": 1, "form": form, "cancel_url": cancel, "crumbs": crumbs(host, title), **more}
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
def host_retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Before a host is retired: what that reaches, and why."""
    host = visible_host(request, pk)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        hosts.retire(host_id=pk, reason=form.cleaned_data["reason"], actor=who(request), at=timezone.now())
        messages.success(request, _("%(host)s is retired.") % {"host": host})
        return redirect("cmdb:host-list")
    groups, user = host.memberships.count(), who(request)
    offered = host_page.verbs_of(host, actor=user, at=timezone.now(), scanning=None)
    gone = [Blocker("host.retired", _("It is retired already."))]
    context = {
        "title": _("Retire %(host)s") % {"host": host},
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=host.name, icon="archive"),
        "barred": next((verb.blockers for verb in offered if verb.name == "retire"), gone),
        "reach": [Reach(1, _("host")), Reach(groups, ngettext("group membership", "group memberships", groups))],
        "consequences": [
            _("It is no longer scanned, and no release reaches it."),
            _("It leaves its groups; who saw it by a group sees it no more."),
            _("Everything known about it stays, and the trail too. It cannot come back; it can be added anew."),
        ],
        "form": form,
        "cancel_url": reverse("cmdb:host-detail", args=[pk]),
        "crumbs": crumbs(host, _("Retire")),
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
