"""Service windows as pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import windows
from cmdb.domain.window_work import counted
from cmdb.enums import QueuedRule, Recurrence
from cmdb.models import Host, ServiceWindow
from cmdb.queries.windows import Opening, Shift, each_opening, openings, shift_of
from cmdb.web.forms import RetireWindowForm, WindowForm, posted
from cmdb.web.host_page import opening_words
from cmdb.web.host_verbs import retire_barred, tried
from cmdb.web.hosts import who
from patchflow.kernel import audit
from patchflow.kernel.blockers import here
from patchflow.kernel.errors import Refusal
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts, verbs, words
from patchflow.web.tables import Column, Filter, Listing, Table, list_page
from patchflow.web.verbs import Reach, Verb

NEXT = 20


def in_words(window: ServiceWindow) -> str:
    """The recurrence as people say it."""
    clock, day = f"{window.starts_local:%H:%M} {window.zone}", window.get_weekday_display()
    if window.recurrence == Recurrence.WEEKLY:
        return _("every %(day)s at %(clock)s") % {"day": day, "clock": clock}
    which = _("%(nth)s %(day)s of the month") % {"nth": window.get_nth_display(), "day": day}
    if window.offset_days:
        return _("%(days)d days after the %(which)s, at %(clock)s") % {
            "days": window.offset_days,
            "which": which,
            "clock": clock,
        }
    return _("%(which)s at %(clock)s") % {"which": which, "clock": clock}


@list_page(gettext_lazy("Windows"))
@login_required
def window_list(request: HttpRequest) -> HttpResponseBase:
    """Windows, each with its next opening."""
    now = timezone.now()

    def following(window: ServiceWindow) -> Any:
        found = next(each_opening(window, after=now), None)
        return opening_words(found, now) if found else ""

    listing = Listing(
        request,
        ServiceWindow.objects.live().visible_to(who(request)).prefetch_related("groups"),
        [
            Column(_("Window"), "name", url=lambda w: reverse("cmdb:window-detail", args=[w.pk]), sort="name"),
            Column(_("Recurs"), in_words, wide=True, name="recurs"),
            Column(_("Length"), lambda w: words.duration(_minutes(w.length_minutes)), numeric=True, name="length"),
            Column(_("Next opening"), following, name="next-opening"),
            Column(_("Groups"), lambda w: ", ".join(g.name for g in w.groups.all()), name="groups"),
        ],
        sorts={"name": ("name",)},
        default="name",
        filters=[Filter("q", _("Name"), "name__icontains")],
        now=now,
        caption=_("Windows"),
    )
    if listing.wants_csv:
        return listing.csv("windows.csv")
    context = {
        "title": _("Windows"),
        "phase": 1,
        "lede": _("When hosts may be worked on. To a host without a window nothing is deployed."),
        "listing": listing,
        "add_url": reverse("cmdb:window-add"),
        "import_url": reverse("cmdb:window-import"),
        "add_label": _("Make a window"),
        "may_add": who(request).holds_somewhere("window.edit"),
        "empty_title": _("No window yet"),
        "empty_advice": _(
            "Nothing can be deployed without one. A common choice is the Saturday after the second Tuesday of the month."
        ),
        "empty_url": reverse("cmdb:window-add"),
        "empty_label": _("Make a window"),
        "crumbs": [parts.Crumb(_("Windows"))],
    }
    return render(request, "cmdb/list.html", context)


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def _clock(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "D H:i")


def _visible(request: HttpRequest, pk: int) -> ServiceWindow:
    return get_object_or_404(ServiceWindow.objects.all().visible_to(who(request)).prefetch_related("groups"), pk=pk)


@login_required
def window_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A window: its next twenty openings, its groups, its history."""
    window, now = _visible(request, pk), timezone.now()
    found = openings(window, after=now, count=NEXT)
    columns = [
        Column(_("Opens"), "starts_at"),
        Column(_("Closes"), lambda o: f"{_clock(o.ends_at)} {words.zone(o.ends_at)}"),
        Column(_("Starts until"), lambda o: f"{_clock(o.last_start_at)} {words.zone(o.last_start_at)}"),
        Column(_("From now"), lambda o: words.ago(o.starts_at, now=now), numeric=True),
    ]
    sentence = _("It opens no more.")
    if found:
        is_open = found[0].is_open(now)
        when = words.at(found[0].ends_at if is_open else found[0].starts_at, now=now)
        sentence = (
            _("It is open until %(when)s.") % {"when": when} if is_open else _("It opens %(when)s.") % {"when": when}
        )
    context = {
        "title": window.name,
        "phase": 1,
        "ident": [_("service window"), _("revision %(n)d") % {"n": window.revision}],
        "lede": capfirst(in_words(window)),
        "window": window,
        "openings": Table(columns, found, now, _("Next openings")),
        "next": parts.Next(
            sentence, _("A release that was signed for revision %(n)d runs in no other.") % {"n": window.revision}
        ),
        "verbs": _verbs(window, who(request)),
        "span": [
            (_("Length"), words.duration(_minutes(window.length_minutes))),
            (_("Cut-off"), words.duration(_minutes(window.cutoff_minutes))),
            (_("From"), window.from_on),
            (_("Until"), window.until_on),
        ],
        "timeline": audit.history(window)[:8],
        "crumbs": [parts.Crumb(_("Windows"), reverse("cmdb:window-list")), parts.Crumb(window.name)],
    }
    return render(request, "cmdb/window_detail.html", context)


def _verbs(window: ServiceWindow, user: Any) -> list[Verb]:
    if window.retired_at is not None:
        return []
    refused = failing([capability("window.edit")], window, user)
    return [
        verbs.edit(reverse("cmdb:window-revise", args=[window.pk]), refused),
        verbs.retire(reverse("cmdb:window-retire", args=[window.pk]), refused),
    ]


@login_required
def window_add(request: HttpRequest) -> HttpResponseBase:
    """A new window."""
    return _edit(request, None)


@login_required
def window_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A window, changed: its revision rises."""
    return _edit(request, _visible(request, pk))


def _edit(request: HttpRequest, window: ServiceWindow | None) -> HttpResponseBase:
    user, now = who(request), timezone.now()
    form = form_of(posted(request), window, user)
    ahead = request.method == "POST" and "preview" in request.POST
    preview = _ahead(form, window, user, now) if ahead or window else None
    waiting = None
    if request.method == "POST" and window and form.is_valid():
        waiting = tried(form, waiting_for, window_id=window.pk, actor=user, at=now, **given_of(form))
    if ahead and request.headers.get("HX-Request"):
        return render(request, "cmdb/_window_ahead.html", {"preview": preview, "waiting": waiting, "now": now})
    seen = waiting is None or waiting.token in ("", request.POST.get("seen"))
    if request.method == "POST" and not ahead and form.is_valid() and seen:
        given = given_of(form)
        if window:
            saved = tried(form, windows.revise, window_id=window.pk, actor=user, at=now, **given)
        else:
            saved = tried(form, windows.add, actor=user, at=now, **given)
        if saved:
            messages.success(request, _("Saved."))
            return redirect("cmdb:window-detail", saved.pk)
    title = _("Edit “%(window)s”") % {"window": window} if window else _("Make a window")
    context = {
        "title": title,
        "phase": 1,
        "form": form,
        "window": window,
        "preview": preview,
        "waiting": waiting,
        "unseen": not seen and not ahead,
        "lede": _("Each edit raises the revision: what was signed for the old one must be signed again.")
        if window
        else "",
        "cancel_url": reverse("cmdb:window-detail", args=[window.pk]) if window else reverse("cmdb:window-list"),
        "crumbs": [parts.Crumb(_("Windows"), reverse("cmdb:window-list")), parts.Crumb(title)],
    }
    return render(request, "cmdb/window_form.html", context, status=400 if form.errors and not ahead else 200)


def form_of(data: Any, window: ServiceWindow | None, viewer: User) -> WindowForm:
    """The form of a window as it is, or of a new one."""
    initial: dict[str, Any] = {"from_on": timezone.localdate(), "zone": viewer.time_zone or "UTC"}
    if window is not None:
        initial = {field: getattr(window, field) for field in windows.FIELDS}
        initial["group_ids"] = [group.pk for group in window.groups.all()]
        initial["queued"] = QueuedRule.HALT
    return WindowForm(data, viewer=viewer, initial=initial, editing=window is not None)


def given_of(form: WindowForm) -> dict[str, Any]:
    """What a valid one says, as the verbs take it; where nothing is said of queued hosts, they stand still."""
    given = dict(form.cleaned_data)
    if "queued" in given:
        given["queued"] = given["queued"] or QueuedRule.HALT
    return given


@dataclass(frozen=True)
class Waiting:
    """The queued hosts in sight that an edit would reach. `token`: of exactly this list, and of those out of sight (`others`);
    an edit is saved by who has seen it."""

    token: str
    sentence: str
    table: Table | None
    hidden: int = 0
    others: bool = False

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Of each that is shown: its name, its address, what becomes of it."""
        return [
            (one.host, one.url, f"{QUEUED[one.word]}: {here(one.why)}")
            for one in (self.table.source if self.table else ())
        ]


SHOWN = 200
"""Queued hosts by name; the sentence counts all in sight."""


def waiting_for(*, actor: User, at: datetime, **given: Any) -> Waiting:
    """What an edit or an end would do to queued hosts: of those out of sight only that there are some. Nothing is kept."""
    found = windows.look_ahead(actor=actor, at=at, **given)
    if not found:
        return Waiting("", "", None)
    mine = set(
        Host.objects.visible_to(actor).filter(pk__among=[row.host_id for row in found]).values_list("pk", flat=True)
    )
    shown = [row for row in found if row.host_id in mine]
    said = ", ".join(QUEUED_WORDS[word] % {"n": n} for word, n in counted(shown).items())
    sentence = ngettext("%(n)d host waits for this window", "%(n)d hosts wait for this window", len(shown)) % {
        "n": len(shown)
    }
    token = digest([[row.deployment, row.host_id, row.word, str(row.becomes)] for row in found])[:16]
    columns = [
        Column(_("Host"), "host", url=lambda q: q.url),
        Column(_("Would begin"), "opens"),
        Column(_("Begins then"), "becomes"),
        Column(_("Result"), lambda q: f"{QUEUED[q.word]}: {here(q.why)}", wide=True),
    ]
    table = Table(columns, shown[:SHOWN], at, _("Hosts that wait for it"))
    return Waiting(
        token, f"{sentence}: {said}." if shown else "", table if shown else None, max(len(shown) - SHOWN, 0),
        others=len(found) > len(shown),
    )  # fmt: skip


QUEUED = {
    "stays": gettext_lazy("as before"),
    "moved": gettext_lazy("moved"),
    "cancelled": gettext_lazy("cancelled"),
    "halted": gettext_lazy("stands still"),
}
QUEUED_WORDS = {
    "stays": gettext_lazy("%(n)d as before"),
    "moved": gettext_lazy("%(n)d moved"),
    "cancelled": gettext_lazy("%(n)d cancelled"),
    "halted": gettext_lazy("%(n)d stand still"),
}


@dataclass(frozen=True)
class Ahead:
    """What a window would do, before it is saved: its openings, and what each falls on; or why it cannot be."""

    sentence: str = ""
    table: Table | None = None
    problems: Sequence[str] = ()


def _ahead(form: WindowForm, window: ServiceWindow | None, user: User, now: datetime) -> Ahead:
    """The next openings of what the form says now; of what is saved, while nothing was typed."""
    if not form.is_bound and window is not None:
        planned = window
    else:
        form.is_valid()
        missing = [
            f"{form[name].label}: {' '.join(str(e) for e in form.errors[name])}"
            for name in form.errors
            if name in TIMES
        ]
        if missing:
            return Ahead(problems=missing)
        given = {name: form.cleaned_data[name] for name in TIMES}
        try:
            planned = windows.proposed(actor=user, **given)
        except Refusal as refusal:
            return Ahead(problems=[b.said for b in refusal.blockers])
    found = openings(planned, after=now, count=NEXT)
    return Ahead(capfirst(in_words(planned)), Table(_ahead_columns(planned, found), found, now, _("Next openings")))


TIMES = tuple(name for name in windows.FIELDS if name != "name")


def _ahead_columns(window: ServiceWindow, found: Sequence[Opening]) -> list[Column]:
    """In the window's own zone, in the viewer's, and what the clocks do in that night."""

    def local(moment: datetime) -> str:
        return date_format(moment.astimezone(window.tz), "D j M Y H:i")

    columns = [
        Column(window.zone, lambda o: f"{local(o.starts_at)} {o.starts_at.astimezone(window.tz):%Z}"),
        Column(_("Until"), lambda o: f"{o.ends_at.astimezone(window.tz):%H:%M %Z}"),
        Column(_("Yours"), lambda o: f"{_clock(o.starts_at)} {words.zone(o.starts_at)}"),
    ]
    if any(shift_of(window, opening) for opening in found):
        columns.append(Column(_("Change of the clocks"), lambda o: shift_words(shift_of(window, o)), wide=True))
    return columns


def shift_words(shift: Shift | None) -> str:
    """What a change of the clocks does to an opening; empty on all other nights."""
    match shift:
        case Shift.MOVED:
            return _("its hour is left out that night: it starts after the gap")
        case Shift.FIRST:
            return _("its hour comes twice: the first one counts")
        case Shift.WITHIN:
            return _("the clocks change while it is open: its length stays")
    return ""


@login_required
def window_retire(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Before a window is retired: what that reaches."""
    window, user, now = _visible(request, pk), who(request), timezone.now()
    form = RetireWindowForm(posted(request))
    rule = request.POST.get("queued") or QueuedRule.HALT
    waiting = (
        tried(form, waiting_for, window_id=pk, actor=user, at=now, ends=True, queued=rule)
        if _may_end(window, user)
        else None
    )
    seen = waiting is None or waiting.token in ("", request.POST.get("seen"))
    ahead = request.method == "POST" and "preview" in request.POST
    if request.method == "POST" and not ahead and form.is_valid() and seen:
        windows.retire(window_id=pk, reason=form.cleaned_data["reason"], queued=rule, actor=user, at=now)
        if waiting and waiting.token:
            return redirect("cmdb:window-detail", pk)
        return redirect("cmdb:window-list")
    groups = list(window.groups.all())
    hosts = Host.objects.visible_to(user).filter(memberships__group__in=groups).distinct().count()
    context = {
        "title": _("Retire “%(window)s”") % {"window": window},
        "barred": retire_barred(window, "window.edit", window, user),
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=window.name, icon="archive"),
        "reach": [
            Reach(len(groups), ngettext("group", "groups", len(groups))),
            Reach(hosts, ngettext("host in its groups", "hosts in its groups", hosts)),
        ],
        "consequences": [_("Hosts that have no other window can no longer be deployed to.")],
        "form": form,
        "waiting": waiting,
        "unseen": request.method == "POST" and not seen and not ahead,
        "cancel_url": reverse("cmdb:window-detail", args=[pk]),
        "crumbs": [parts.Crumb(_("Windows"), reverse("cmdb:window-list")), parts.Crumb(window.name)],
    }
    if not (waiting and waiting.token):
        del form.fields["queued"]
    return render(request, "cmdb/window_retire.html", context, status=400 if form.errors and not ahead else 200)


def _may_end(window: ServiceWindow, user: User) -> bool:
    return window.retired_at is None and not failing([capability("window.edit")], window, user)
