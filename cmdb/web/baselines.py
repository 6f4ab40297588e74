"""Baselines and discrepancies as pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import baselines, discrepancies
from cmdb.enums import BaselineState, DiscrepancyKind, DiscrepancyState
from cmdb.models import Baseline, Discrepancy, Host, Installation
from cmdb.queries import standing
from cmdb.queries.baselines import hosts_of as all_hosts_of
from cmdb.web.forms import ProposeBaselineForm, ReasonForm, SettleBelowForm, SettleForm, posted
from cmdb.web.host_verbs import tried
from cmdb.web.hosts import who
from cmdb.web.standing import Below, apart_of, counts_of, hosts_of, interval_of
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts
from patchflow.web.accounts import authenticated_at, confirmed
from patchflow.web.tables import Column, Filter, Listing, Table, list_page
from patchflow.web.verbs import Reach, Verb, verbs_of


@list_page(gettext_lazy("Baselines"))
@login_required
def baseline_list(request: HttpRequest) -> HttpResponseBase:
    """Baselines, newest first."""
    listing = Listing(
        request,
        Baseline.objects.all().visible_to(who(request)).select_related("platform", "group", "proposed_by"),
        [
            Column(_("Baseline"), str, url=lambda b: reverse("cmdb:baseline-detail", args=[b.pk]), name="baseline"),
            Column(_("State"), "state", state="cmdb.baseline"),
            Column(_("Platform"), "platform.label"),
            Column(_("For"), lambda b: b.group.name if b.group else _("every host of the platform"), name="for"),
            Column(_("Proposed by"), "proposed_by.username"),
            Column(_("Age"), "made_at", age=True, numeric=True, sort="age"),
        ],
        sorts={"age": ("-made_at",), "name": ("name", "-version")},
        default="age",
        filters=[
            Filter("state", _("State"), "state", BaselineState.choices),
            Filter("q", _("Name"), "name__icontains"),
        ],
        now=timezone.now(),
        caption=_("Baselines"),
    )
    if listing.wants_csv:
        return listing.csv("baselines.csv")
    context = {
        "title": _("Baselines"),
        "phase": 1,
        "lede": _("The versions that hosts of a class should have, approved by a second person."),
        "listing": listing,
        "results_url": reverse("cmdb:baseline-standing"),
        "add_url": reverse("cmdb:baseline-propose"),
        "add_label": _("Propose a baseline"),
        "may_add": who(request).holds_somewhere("baseline.propose"),
        "empty_title": _("No baseline yet"),
        "empty_advice": _(
            "Propose one from a host that is as all of its platform should be. Releases propose the next ones."
        ),
        "empty_url": reverse("cmdb:baseline-propose"),
        "empty_label": _("Propose a baseline"),
        "crumbs": [parts.Crumb(_("Baselines"))],
    }
    return render(request, "cmdb/baseline_list.html", context)


def _visible(request: HttpRequest, pk: int) -> Baseline:
    rows = Baseline.objects.all().visible_to(who(request)).select_related("platform", "group", "proposed_by")
    return get_object_or_404(rows, pk=pk)


@login_required
def baseline_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A baseline: how hosts stand against it as an interval, each host with its result and age, and the approval."""
    baseline, now, user = _visible(request, pk), timezone.now(), who(request)
    found = standing.of_baseline(baseline, at=now, actor=user)
    listing = hosts_of(request, Host.objects.live().visible_to(user), found, now)
    if listing.wants_csv:
        return listing.csv(f"baseline-{baseline.pk}.csv")
    round_ = signoffs.rounds_of(baseline).first()
    context = {
        "title": str(baseline),
        "phase": 1,
        "ident": [_("baseline"), baseline.platform.label, str(baseline.group or _("every host of the platform"))],
        "baseline": baseline,
        "next": _next_step(baseline, round_),
        "verbs": _verbs(baseline, user, now),
        "round": round_,
        "may_sign": _may_sign(baseline, round_, user, now),
        "why_not": signoffs.why_not_sign(round_, baseline, user, at=now) if round_ and round_.is_open else [],
        "interval": interval_of(found),
        "apart": apart_of(found),
        "counts": counts_of(found, current=request.GET.get("result", "")),
        "listing": listing,
        "below": Below(_("baseline"), f"baseline={baseline.pk}", found)
        if baseline.state == BaselineState.APPROVED
        else None,
        "items": Table(
            [
                Column(_("Package"), "name"),
                Column(_("Version"), "version", mono=True, wide=True),
            ],
            baseline.items.order_by("name")[:12],
            now,
            _("Packages"),
        ),
        "item_count": baseline.items.count(),
        "timeline": audit.history(baseline)[:8],
        "crumbs": [parts.Crumb(_("Baselines"), reverse("cmdb:baseline-list")), parts.Crumb(str(baseline))],
    }
    return render(request, "cmdb/baseline_detail.html", context)


def _next_step(baseline: Baseline, round_: Any) -> parts.Next:
    match baseline.state:
        case BaselineState.APPROVED:
            return parts.Next(
                _("It is in force: hosts are compared with it."), _("The next release proposes the next version.")
            )
        case BaselineState.PROPOSED if round_ and round_.is_open:
            return parts.Next(_("A security officer must approve it, not the one who proposed it."))
        case BaselineState.PROPOSED:
            return parts.Next(_("It waits to be adopted, or to be put to the vote."))
        case BaselineState.DRAFT:
            return parts.Next(_("It was sent back. It is not changed any more: propose the next version instead."))
    return parts.Next(_("It is no longer in force."))


def _may_sign(baseline: Baseline, round_: Any, user: Any, now: Any) -> bool:
    return bool(round_ and round_.is_open and not signoffs.why_not_sign(round_, baseline, user, at=now))


def against_asking(baseline: Baseline, user: Any) -> list[Blocker]:
    """Why this person does not put it to the vote now."""
    if refused := failing([capability("baseline.propose")], baseline, user):
        return refused
    if baseline.state != BaselineState.PROPOSED:
        said = english("It is %(state)s; only a proposed baseline is put to the vote.", state=label_of(baseline))
        return [Blocker("conflict", said)]
    if signoffs.open_round_of(baseline):
        return [Blocker("round.open_already", english("It is asked about already."), tone="wait")]
    return []


def _verbs(baseline: Baseline, user: Any, now: Any) -> list[Verb]:
    offered = workflow.available(baseline, actor=user, at=now)
    hidden = ["propose"] + (["adopt"] if not baseline.source_digest else [])
    shown = verbs_of(
        offered,
        url=lambda name: reverse(f"cmdb:baseline-{name}", args=[baseline.pk]),
        icons={"adopt": "check", "retire": "archive"},
        hidden=hidden,
    )
    if baseline.state == BaselineState.PROPOSED and signoffs.open_round_of(baseline) is None:
        refused = against_asking(baseline, user)
        url = reverse("cmdb:baseline-ask", args=[baseline.pk])
        shown.append(Verb("ask", _("Put to the vote"), url, not refused, refused, icon="send", primary=True))
    if baseline.state == BaselineState.DRAFT:
        refused = failing([capability("baseline.propose")], baseline, user)
        url = f"{reverse('cmdb:baseline-propose')}?{urlencode({'name': baseline.name})}"
        label = _("Propose the next version")
        shown.append(Verb("next", label, url, not refused, refused, method="get", icon="compare", primary=True))
    return shown


@login_required
def baseline_propose(request: HttpRequest) -> HttpResponseBase:
    """A baseline from what one host has installed now."""
    user = who(request)
    asked = {"host_id": request.GET.get("host", ""), "name": request.GET.get("name", "")}
    form = ProposeBaselineForm(posted(request), viewer=user, initial=asked)
    if (
        request.method == "POST"
        and form.is_valid()
        and (made := tried(form, propose, form=form, user=user, now=timezone.now()))
    ):
        messages.success(request, _("Proposed. A security officer is asked."))
        return redirect("cmdb:baseline-detail", made.pk)
    context = {
        "title": _("Propose a baseline"),
        "barred": [] if form.has_hosts else [_no_host()],
        "phase": 1,
        "lede": _("From the packages of one host. Another person approves it."),
        "form": form,
        "submit_label": _("Propose"),
        "cancel_url": reverse("cmdb:baseline-list"),
        "crumbs": [parts.Crumb(_("Baselines"), reverse("cmdb:baseline-list")), parts.Crumb(_("Propose"))],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _no_host() -> Blocker:
    where = reverse("cmdb:host-list")
    return Blocker("baseline.no_host", _("A baseline is taken from a scanned host, and there is none yet."), where)


def propose(*, form: ProposeBaselineForm, user: Any, now: datetime) -> Baseline:
    """Proposes what the chosen host has installed now."""
    given = form.cleaned_data
    host = Host.objects.live().visible_to(user).get(pk=given["host_id"])
    rows = Installation.objects.open().filter(host=host, package_version__platform=host.platform)
    newest = {
        (name, arch): version
        for name, arch, version in rows.order_by("package_version__key").values_list(
            "package_version__name", "package_version__arch", "package_version__version"
        )
    }
    items = [(*place, version) for place, version in sorted(newest.items())]
    platform_id = host.platform_id or 0
    return baselines.propose(
        name=given["name"],
        platform_id=platform_id,
        group_id=given["group_id"],
        items=items,
        actor=user,
        at=now,
    )


@login_required
@confirmed
def baseline_act(request: HttpRequest, pk: int, verb: str) -> HttpResponseBase:
    """adopt, ask, sign or refuse by POST."""
    baseline, user, now = _visible(request, pk), who(request), timezone.now()
    if request.method == "POST":
        if verb == "adopt":
            baselines.adopt(baseline_id=pk, actor=user, at=now)
        elif verb == "ask":
            baselines.request_approval(baseline_id=pk, actor=user, at=now)
        elif verb == "decide" and (round_ := signoffs.open_round_of(baseline)):
            signoffs.decide(
                round_id=round_.pk,
                verdict=request.POST.get("verdict", ""),
                comment=request.POST.get("comment", ""),
                actor=user,
                at=now,
                digest_seen=request.POST.get("digest", ""),
                authenticated_at=authenticated_at(request),
            )
    return redirect("cmdb:baseline-detail", pk)


@login_required
def baseline_retire(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Before a baseline ends without a successor: what that reaches."""
    baseline, form = _visible(request, pk), ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        baselines.retire(baseline_id=pk, reason=form.cleaned_data["reason"], actor=who(request), at=timezone.now())
        return redirect("cmdb:baseline-detail", pk)
    reached = all_hosts_of(baseline).filter(pk__in=Host.objects.visible_to(who(request))).count()
    context = {
        "title": _("Retire %(baseline)s") % {"baseline": baseline},
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=str(baseline), icon="archive"),
        "barred": workflow.why_not(baseline, "retire", actor=who(request), at=timezone.now()),
        "reach": [
            Reach(
                reached,
                ngettext(
                    "host will no longer be compared with it", "hosts will no longer be compared with it", reached
                ),
            )
        ],
        "form": form,
        "cancel_url": reverse("cmdb:baseline-detail", args=[pk]),
        "crumbs": [parts.Crumb(_("Baselines"), reverse("cmdb:baseline-list")), parts.Crumb(str(baseline))],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)


# --- discrepancies -----------------------------------------------------------------------------------------------------------
@list_page(gettext_lazy("Discrepancies"))
@login_required
def discrepancy_list(request: HttpRequest) -> HttpResponseBase:
    """What does not agree with itself, open ones first to see."""
    listing = Listing(
        request,
        Discrepancy.objects.all().visible_to(who(request)).select_related("host", "other"),
        [
            Column(
                _("Discrepancy"), str, url=lambda d: reverse("cmdb:discrepancy-detail", args=[d.pk]), name="discrepancy"
            ),
            Column(_("State"), "state", state="cmdb.discrepancy"),
            Column(_("What does not agree"), "sentence", wide=True),
            Column(_("Host"), "host.name", url=lambda d: reverse("cmdb:host-detail", args=[d.host_id])),
            Column(_("Age"), "opened_at", age=True, numeric=True, sort="age"),
        ],
        sorts={"age": ("-opened_at",)},
        default="age",
        filters=[
            Filter("state", _("State"), "state", DiscrepancyState.choices),
            Filter("kind", _("Kind"), "kind", DiscrepancyKind.choices),
        ],
        now=timezone.now(),
        caption=_("Discrepancies"),
    )
    if listing.wants_csv:
        return listing.csv("discrepancies.csv")
    context = {
        "title": _("Discrepancies"),
        "phase": 1,
        "lede": _("Nothing is merged or settled by itself: a person finds out, and says what it was."),
        "listing": listing,
        "empty_title": _("No discrepancy is known"),
        "empty_advice": _(
            "Clones, reinstalled machines and records that could be the same one stand here after a scan."
        ),
        "crumbs": [parts.Crumb(_("Discrepancies"))],
    }
    return render(request, "web/list.html", context)


OF_MACHINES = (
    DiscrepancyKind.TWO_HITS,
    DiscrepancyKind.CLONE,
    DiscrepancyKind.SAME_FINGERPRINT,
    DiscrepancyKind.FINGERPRINT_CHANGED,
)
"""Those about which machine it is: its machine-id and its key decide."""


def _fingerprints(found: Discrepancy, actor: User) -> list[tuple[str, str]]:
    """Of its hosts that the person may see, in full: what shows whether they are one machine."""
    if found.kind not in OF_MACHINES:
        return []
    hosts = Host.objects.visible_to(actor).filter(pk__in=[pk for pk in (found.host_id, found.other_id) if pk])
    return [(host.name, host.fingerprint) for host in hosts.order_by("name")]


@login_required
def discrepancy_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A discrepancy, and how it is settled."""
    rows = Discrepancy.objects.all().visible_to(who(request)).select_related("host", "other", "settled_by")
    found = get_object_or_404(rows, pk=pk)
    shape = SettleBelowForm if found.kind == DiscrepancyKind.BELOW_BASELINE else SettleForm
    form = shape(posted(request))
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(
            form, discrepancies.settle, discrepancy_id=pk, actor=who(request), at=timezone.now(), **form.cleaned_data
        )
    ):
        return redirect("cmdb:discrepancy-detail", pk)
    refused = failing([capability("discrepancy.settle")], found, who(request))
    is_open = found.state == DiscrepancyState.OPEN
    place = reverse("cmdb:host-detail", args=[found.host_id])
    context = {
        "title": str(found),
        "phase": 1,
        "ident": [found.get_kind_display()],
        "found": found,
        "form": form if is_open and not refused else None,
        "next": parts.Next(
            _("A configuration manager finds out and settles it.")
            if is_open
            else _("It is settled: %(how)s") % {"how": found.settlement}
        ),
        "verbs": [Verb("settle", _("Settle"), "#settle", False, refused)] if is_open and refused else [],
        "host_url": place,
        "cause": found.get_cause_display() if found.cause else "",
        "fingerprints": _fingerprints(found, who(request)),
        "timeline": audit.history(found)[:8],
        "crumbs": [parts.Crumb(_("Discrepancies"), reverse("cmdb:discrepancy-list")), parts.Crumb(str(found))],
    }
    return render(request, "cmdb/discrepancy_detail.html", context, status=400 if form.errors else 200)
