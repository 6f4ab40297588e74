"""Pages of meetings: the list, one meeting with its agenda, its members and its minutes, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import agendas, meetings
from changes.enums_meeting import MeetingKind, MeetingState
from changes.models import AgendaItem, Meeting, Minutes
from changes.queries.board import rounds_visible_to
from changes.queries.meetings import Line, agenda_of, consent_block
from changes.web import meeting_forms as shapes
from changes.web import rfc_forms
from changes.web.board import Vote, votes_of
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.sentences import say
from patchflow.web import parts, words
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb, verbs_of

S = MeetingState
ICONS = {"publish": "send", "open": "run", "minute": "file", "postpone": "clock", "cancel": "x"}
PRIMARY = {S.PLANNED: "publish", S.AGENDA_PUBLISHED: "open", S.IN_SESSION: "session"}
LIVE = (S.PLANNED, S.AGENDA_PUBLISHED, S.IN_SESSION)


@list_page(gettext_lazy("Meetings"))
@login_required
@require_safe
def meeting_list(request: HttpRequest) -> HttpResponseBase:
    """Meetings, the latest first."""
    actor: Any = request.user
    listing = Listing(
        request,
        Meeting.objects.all().visible_to(actor).select_related("chair"),
        (
            Column(_("Meeting"), "number", url=Meeting.get_absolute_url, mono=True),
            Column(_("Board"), lambda m: m.get_kind_display(), name="board"),
            Column(_("State"), "state", state="changes.meeting"),
            Column(_("Begins"), "starts_at", sort="begins"),
            Column(_("Length, min"), "minutes", numeric=True, name="minutes"),
            Column(_("Place"), "place", wide=True),
            Column(_("Chair"), lambda m: str(m.chair), name="chair"),
        ),
        sorts={"begins": ("starts_at", "id")},
        default="-begins",
        now=timezone.now(),
        filters=(
            Filter("state", gettext_lazy("State"), "state", S.choices),
            Filter("kind", gettext_lazy("Board"), "kind", MeetingKind.choices),
        ),
        caption=_("Meetings"),
    )
    if listing.wants_csv:
        return listing.csv("meetings.csv")
    may = not failing([capability("meeting.manage")], None, actor)
    context = {
        "title": _("Meetings"),
        "lede": _(
            "The board talks about what needs it, and signs the rest in one go, by consent. Each member signs for themselves."
        ),
        "phase": 3,
        "listing": listing,
        "may_plan": may,
        "empty_title": _("No meeting is planned"),
        "empty_advice": _("Its agenda fills itself with what waits for a decision.")
        if may
        else _("You are told when you are called to one."),
        "empty_url": reverse("changes:meeting-plan") if may else "",
        "empty_label": _("Plan a meeting") if may else "",
        "crumbs": [parts.Crumb(_("Board"), reverse("changes:board-list")), parts.Crumb(_("Meetings"))],
    }
    return render(request, "changes/meeting_list.html", context)


def visible_meeting(request: HttpRequest, pk: int) -> Meeting:
    actor: Any = request.user
    rows = Meeting.objects.all().visible_to(actor).select_related("chair", "current", "follows")
    return get_object_or_404(rows, pk=pk)


def look_of_item(line: Line, meeting: Meeting) -> str:
    """The state of an item as it is shown: what the votes said, or that it is before the board now."""
    item = line.item
    if item.is_open:
        return "now" if meeting.current_id == item.pk else "open"
    return item.outcome if item.state == "decided" and item.outcome in ("passed", "refused") else str(item.state)


@dataclass(frozen=True)
class Row:
    """A line of the agenda as a page shows it."""

    line: Line
    number: int
    state: str
    url: str
    title: str
    count: str
    vote: Vote | None = None
    """This person's own, as long as the item is open."""


def _count_of(line: Line) -> str:
    """How many have signed of how many must, and at which level: it need not be that of this board."""
    if line.tally is None or line.level is None or not line.item.is_open:
        return ""
    return f"{say(line.level.name)}: {line.tally.approved} / {line.tally.needed}"


def rows_of(meeting: Meeting, actor: Any) -> list[Row]:
    """The agenda; of an item whose round this person may not see, only that it is there."""
    lines = agenda_of(meeting)
    votes = votes_of(actor, [line.item.round_id for line in lines if line.item.is_open])
    seen = None
    if actor.scopes_for("rfc.view") is not None:
        ids = [line.item.round_id for line in lines if line.item.round_id]
        seen = set(rounds_visible_to(actor, at=timezone.now()).filter(pk__in=ids).values_list("pk", flat=True))
    found = []
    for number, line in enumerate(lines, start=1):
        item = line.item
        hidden = seen is not None and item.round_id is not None and item.round_id not in seen
        url = "" if hidden else reverse("changes:meeting-item", args=[meeting.pk, item.pk])
        title = _("An item outside your scope") if hidden else item.title
        found.append(
            Row(line, number, look_of_item(line, meeting), url, title, _count_of(line), votes.get(item.round_id or 0))
        )
    return found


@login_required
@require_safe
def meeting_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One meeting: what happens next, the agenda, who is there, the minutes."""
    actor: Any = request.user
    meeting, now = visible_meeting(request, pk), timezone.now()
    rows = rows_of(meeting, actor)
    may = not failing([capability("meeting.manage")], meeting, actor)
    live = meeting.state in LIVE
    attendees = list(meeting.attendees.select_related("user"))
    context = {
        "title": f"{meeting.number}",
        "phase": 3,
        "ident": [meeting.get_kind_display()],
        "lede": _("%(when)s, %(n)d minutes%(place)s, chaired by %(chair)s") % {
            "when": words.at(meeting.starts_at, now=now), "n": meeting.minutes,
            "place": f", {meeting.place}" if meeting.place else "", "chair": meeting.chair,
        },
        "meeting": meeting,
        "rows": rows,
        "talk_minutes": sum(r.line.item.minutes for r in rows),
        "may_manage": may and live,
        "attendees": attendees,
        **_minutes(meeting),
        "next": _next(meeting, rows, now),
        "verbs": _verbs(meeting, actor, now, manages=may),
        "timeline": audit.history(meeting).select_related("actor")[:12],
        "crumbs": [parts.Crumb(_("Meetings"), reverse("changes:meeting-list")), parts.Crumb(meeting.number)],
    }  # fmt: skip
    return render(request, "changes/meeting_detail.html", context)


def _minutes(meeting: Meeting) -> dict[str, Any]:
    """The sealed minutes as a page reads them; nothing while there are none."""
    sealed = Minutes.objects.filter(meeting=meeting).select_related("sealed_by").first()
    if sealed is None:
        return {"minutes": None}
    words_of = {"present": _("present"), "excused": _("excused"), "absent": _("absent"), "invited": _("invited")}
    there = sealed.document["attendance"]
    written = []
    for item in sealed.document["items"]:
        by_votes = item["state"] == "decided" and item["outcome"] in ("passed", "refused")
        votes = [_vote(vote) for vote in item["votes"]]
        outcome = "" if by_votes else item["outcome"]
        written.append(
            {"title": item["title"], "state": item["outcome"] if by_votes else item["state"], "outcome": outcome, "votes": votes}
        )  # fmt: skip
    return {
        "minutes": sealed,
        "present": [a["person"] for a in there if a["presence"] == "present"],
        "away": [f"{a['person']} ({words_of[a['presence']]})" for a in there if a["presence"] != "present"],
        "written": written,
        "notes": sealed.notes,
    }


def _vote(vote: dict[str, Any]) -> str:
    who = (
        _("%(who)s for %(person)s") % {"who": vote["person"], "person": vote["for"]} if vote["for"] else vote["person"]
    )
    verdict = _("approves") if vote["verdict"] == "approve" else _("refuses")
    said = f": “{vote['comment']}”" if vote["comment"] else ""
    return f"{who} {verdict}, {vote['level']}{said}"


def _next(meeting: Meeting, rows: list[Row], now: Any) -> parts.Next:
    left = sum(r.line.item.is_open for r in rows)
    easy = len(consent_block([r.line for r in rows]))
    items = ngettext("%(n)d item", "%(n)d items", left) % {"n": left}
    match meeting.state:
        case S.PLANNED if not left:
            return parts.Next(
                _("Nothing is on the agenda yet."), _("Fill it, set the order, then publish: the members are told.")
            )
        case S.PLANNED:
            detail = _("Set the order, then publish: the members are told.")
            return parts.Next(
                _("%(items)s on the agenda, %(easy)d of them by consent.") % {"items": items, "easy": easy}, detail
            )
        case S.AGENDA_PUBLISHED:
            begins = words.at(meeting.starts_at, now=now)
            detail = _("Who cannot come decides before, on the page of each item, or names a substitute.")
            return parts.Next(_("It begins %(when)s with %(items)s.") % {"when": begins, "items": items}, detail)
        case S.IN_SESSION if left:
            return parts.Next(
                _("In session: %(items)s left.") % {"items": items},
                _("Each member votes for themselves, on their own screen."),
            )
        case S.IN_SESSION:
            return parts.Next(_("Every item is settled."), _("Record who was there, then seal the minutes."))
        case S.MINUTED:
            return parts.Next(_("Nothing more: the minutes are sealed."))
        case S.POSTPONED:
            new = meeting.followed_by.first()
            said = _("Postponed: %(why)s") % {"why": meeting.reason}
            return parts.Next(said, _("It goes on as %(number)s.") % {"number": new.number} if new else "")
    return parts.Next(_("Cancelled: %(why)s") % {"why": meeting.reason}, _("What waited for a decision still waits."))


def _verbs(meeting: Meeting, actor: Any, now: Any, *, manages: bool) -> list[Verb]:
    place = [meeting.pk]
    found = verbs_of(
        workflow.available(meeting, actor=actor, at=now),
        url=lambda name: reverse(f"changes:meeting-{name}", args=place),
        primary=PRIMARY.get(S(meeting.state), ""),
        icons=ICONS,
        forms={"minute", "postpone"},
    )
    if meeting.state == S.IN_SESSION:
        session = Verb("session", _("Go to the session"), reverse("changes:meeting-session", args=place), method="get",
                       icon="board", primary=True)  # fmt: skip
        found = [session, *found]
    return found if manages else [v for v in found if v.name == "session"]


# --- what is done to it --------------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def meeting_plan(request: HttpRequest) -> HttpResponse:
    """A new meeting; its agenda fills itself."""
    actor: Any = request.user
    form = shapes.PlanForm(request.POST or None, initial={"kind": MeetingKind.CAB})
    if request.method == "POST" and form.is_valid():
        try:
            meeting = meetings.plan(actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s is planned.") % {"number": meeting.number})
            return redirect(meeting)
    context = {
        "title": _("Plan a meeting"),
        "lede": _(
            "Everybody who sits on the board is called to it. What waits for their decision is put on the agenda."
        ),
        "phase": 3,
        "form": form,
        "submit_label": _("Plan the meeting"),
        "cancel_url": reverse("changes:meeting-list"),
        "crumbs": [parts.Crumb(_("Meetings"), reverse("changes:meeting-list")), parts.Crumb(_("Plan"))],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


AT_A_CLICK: dict[str, tuple[Callable[..., Any], Any]] = {
    "publish": (meetings.publish, gettext_lazy("The agenda is published; the members are told.")),
    "open": (meetings.open_session, gettext_lazy("The session is open.")),
    "fill": (agendas.fill, gettext_lazy("What waits for this board stands on the agenda.")),
    "begin_next": (agendas.begin_next, ""),
}


@login_required
@require_POST
def meeting_click(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb that needs nothing typed. A refusal becomes the page of its reasons."""
    meeting, now = visible_meeting(request, pk), timezone.now()
    if verb == "open" and "early" not in request.POST and _is_early(meeting, request.user, now):
        return _ask_early(request, meeting, now)
    call, said = AT_A_CLICK[verb]
    call(meeting_id=meeting.pk, actor=request.user, at=now)
    if said:
        messages.success(request, str(said))
    return redirect("changes:meeting-session", pk) if verb in ("open", "begin_next") else redirect(meeting)


EARLY = timedelta(minutes=30)
"""A session that is opened longer than this before its time is asked about: its members are called to that time."""


class EarlyForm(forms.Form):
    """That the session is meant to be opened before its time."""

    early = forms.CharField(widget=forms.HiddenInput, initial="yes")


def _is_early(meeting: Meeting, actor: Any, now: datetime) -> bool:
    """Whether it could be opened, and nobody expects it yet."""
    return meeting.starts_at - now > EARLY and not workflow.why_not(meeting, "open", actor=actor, at=now)


def _ask_early(request: HttpRequest, meeting: Meeting, now: datetime) -> HttpResponse:
    """Whether the session is meant to be opened now."""
    title = _("Open the session early")
    left = meeting.items.filter(state="open").count()
    given = {"when": words.at(meeting.starts_at, now=now), "left": words.duration(meeting.starts_at - now)}
    context = {
        "title": title,
        "lede": meeting.number,
        "phase": 3,
        "form": EarlyForm(),
        "verb": {"label": title, "icon": "run", "reach": ""},
        "harmless": True,
        "reach": [Reach(left, ngettext("open item", "open items", left), meeting.get_absolute_url())],
        "consequences": [
            _("It is called for %(when)s, in %(left)s: its members do not expect it yet.") % given,
            _("The members are not told. Who is not there can still vote on the page of each item."),
        ],
        "cancel_url": meeting.get_absolute_url(),
        "crumbs": [parts.Crumb(meeting.number, meeting.get_absolute_url()), parts.Crumb(title)],
    }
    return render(request, "web/confirm.html", context)


@dataclass(frozen=True)
class VerbPage:
    """A verb of a meeting, or of one of its items, with the form that it needs; `consequences` say what follows."""

    title: Any
    call: Callable[..., Any]
    form: type[forms.Form] = rfc_forms.ReasonForm
    dangerous: bool = False
    consequences: tuple[Any, ...] = ()
    states: tuple[S, ...] = LIVE


VERB_PAGES: dict[str, VerbPage] = {
    "postpone": VerbPage(gettext_lazy("Postpone the meeting"), meetings.postpone, shapes.PostponeForm, consequences=(
        gettext_lazy("A new meeting takes its members and its open items. The members are told."),
    )),
    "cancel": VerbPage(gettext_lazy("Cancel the meeting"), meetings.cancel, dangerous=True, consequences=(
        gettext_lazy("Its items are withdrawn; what waits for a decision still waits."),
        gettext_lazy("The members are told."),
    )),
    "minute": VerbPage(gettext_lazy("Close and seal the minutes"), meetings.minute, shapes.MinuteForm, consequences=(
        gettext_lazy("This cannot be undone: sealed minutes are never edited, and the meeting is over."),
        gettext_lazy("The members are told."),
    )),
    "topic": VerbPage(gettext_lazy("Add a topic"), agendas.add_topic, shapes.TopicForm, consequences=(
        gettext_lazy("A topic is talked about. Nobody signs it, and the chair writes down what was decided."),
    )),
}  # fmt: skip
ITEM_PAGES: dict[str, VerbPage] = {
    "carry_over": VerbPage(gettext_lazy("Leave it for the next meeting"), agendas.carry_over, consequences=(
        gettext_lazy("It is put on the agenda of this board's next meeting, or proposed for it once one is planned."),
        gettext_lazy("What waits for a decision goes on waiting, with its deadline, and can be decided before."),
    )),
    "withdraw": VerbPage(gettext_lazy("Take it off the agenda"), agendas.withdraw, consequences=(
        gettext_lazy("What waits for a decision goes on waiting, with its deadline, and can be decided without a meeting."),
    )),
    "conclude": VerbPage(
        gettext_lazy("Write down what was decided"), agendas.conclude, shapes.OutcomeForm,
        consequences=(gettext_lazy("It goes into the minutes. Nobody signs it."),), states=(S.IN_SESSION,),
    ),
}  # fmt: skip


def against_agenda(meeting: Meeting, actor: Any, states: tuple[S, ...] = LIVE) -> list[Blocker]:
    """Why nothing is done to the agenda now."""
    found = failing([capability("meeting.manage")], meeting, actor)
    if meeting.state not in states:
        sentence = english("The meeting is %(state)s.", state=label_of(meeting))
        found.append(Blocker("conflict.state", sentence, tone="wait"))
    return found


def against_item(meeting: Meeting, item: AgendaItem, verb: str, page: VerbPage, actor: Any) -> list[Blocker]:
    found = against_agenda(meeting, actor, page.states)
    if not item.is_open:
        found.append(Blocker("conflict.state", english("This item is settled already.")))
    if verb == "conclude" and item.round_id is not None:
        sentence = english("The members' own votes decide this item; a meeting votes for nobody.")
        found.append(Blocker("agenda.undecided", sentence))
    return found


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def meeting_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb with its form; a dangerous one shows its reach first."""
    meeting = visible_meeting(request, pk)
    page = VERB_PAGES[verb]
    form = (
        page.form(request.POST or None)
        if verb != "minute"
        else page.form(request.POST if request.method == "POST" else None)
    )
    if request.method == "POST" and form.is_valid():
        try:
            done = page.call(meeting_id=meeting.pk, actor=request.user, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s: done.") % {"number": meeting.number})
            return redirect(done if verb == "postpone" else meeting)
    actor: Any = request.user
    barred = (
        against_agenda(meeting, actor)
        if verb == "topic"
        else workflow.why_not(meeting, verb, actor=actor, at=timezone.now())
    )
    return _verb_page(request, meeting, page, form, meeting.get_absolute_url(), meeting.number, barred)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def meeting_item_verb(request: HttpRequest, pk: int, item: int, verb: str) -> HttpResponse:
    """How an item leaves the agenda without a vote of the board."""
    meeting = visible_meeting(request, pk)
    found = get_object_or_404(meeting.items, pk=item)
    page = ITEM_PAGES[verb]
    form = page.form(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given: dict[str, Any] = {
            "meeting_id": meeting.pk,
            "item_id": found.pk,
            "actor": request.user,
            "at": timezone.now(),
        }
        try:
            page.call(**given, **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            return redirect("changes:meeting-session", pk) if meeting.state == S.IN_SESSION else redirect(meeting)
    back = reverse("changes:meeting-item", args=[pk, item])
    barred = against_item(meeting, found, verb, page, request.user)
    return _verb_page(request, meeting, page, form, back, found.title, barred)


def _verb_page(
    request: HttpRequest,
    meeting: Meeting,
    page: VerbPage,
    form: forms.Form,
    back: str,
    lede: str,
    barred: list[Blocker],
) -> HttpResponse:
    left = meeting.items.filter(state="open").count()
    context = {
        "title": page.title,
        "lede": lede,
        "phase": 3,
        "form": form,
        "submit_label": page.title,
        "verb": {"label": page.title, "icon": "", "reach": ""},
        "reach": [Reach(left, ngettext("open item", "open items", left), meeting.get_absolute_url())],
        "consequences": page.consequences,
        "barred": [] if request.method == "POST" else barred,
        "cancel_url": back,
        "crumbs": [parts.Crumb(meeting.number, meeting.get_absolute_url()), parts.Crumb(str(page.title))],
    }
    template = "web/confirm.html" if page.dangerous else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def meeting_arrange(request: HttpRequest, pk: int) -> HttpResponse:
    """Order, minutes and consent block in one form."""
    meeting = visible_meeting(request, pk)
    form = shapes.ArrangeForm(list(meeting.items.select_related("round")), request.POST or None)
    return _sheet(
        request, meeting, form, "changes/meeting_arrange.html", _("Arrange the agenda"),
        lambda given: agendas.arrange(items=form.arranged(), **given),
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def meeting_attendance(request: HttpRequest, pk: int) -> HttpResponse:
    """Who is there."""
    meeting = visible_meeting(request, pk)
    form = shapes.AttendanceForm(meeting, request.POST or None)
    return _sheet(
        request, meeting, form, "web/form.html", _("Who is there"),
        lambda given: agendas.attend(presence=form.presence(), **given),
    )  # fmt: skip


def _sheet(
    request: HttpRequest,
    meeting: Meeting,
    form: forms.Form,
    template: str,
    title: str,
    act: Callable[[dict[str, Any]], Any],
) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            act({"meeting_id": meeting.pk, "actor": request.user, "at": timezone.now()})
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("Written down."))
            return redirect(meeting)
    context = {
        "title": title,
        "lede": str(meeting),
        "phase": 3,
        "form": form,
        "meeting": meeting,
        "submit_label": _("Save"),
        "barred": [] if request.method == "POST" else against_agenda(meeting, request.user),
        "cancel_url": meeting.get_absolute_url(),
        "crumbs": [parts.Crumb(meeting.number, meeting.get_absolute_url()), parts.Crumb(title)],
    }
    return render(request, template, context, status=400 if form.errors else 200)
