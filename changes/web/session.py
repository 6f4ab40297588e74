"""The session of a board, for its projector and for each member's own screen: one item at a time with all evidence, the vote by
key, the consent block, and what the chair does. Every act is a form, and works without the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import agendas, approvals, consent
from changes.enums_meeting import MeetingState
from changes.models import AgendaItem, Meeting
from changes.queries.board import rounds_visible_to
from changes.queries.meetings import consent_block, seats_of
from changes.web import rfc_forms
from changes.web.board import DecideForm, evidence_of, tally_of, told_of, written_down
from changes.web.meeting_forms import ConsentForm
from changes.web.meetings import LIVE, Row, rows_of, visible_meeting
from patchflow.kernel.blockers import said as reasons_of
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound
from patchflow.kernel.rules import capability, failing
from patchflow.web.accounts import authenticated_at, confirmed


@login_required
@require_safe
def meeting_session(request: HttpRequest, pk: int) -> HttpResponse:
    """What is before the board now, and goes on to the next item with it: the screen of the projector."""
    meeting = visible_meeting(request, pk)
    rows = rows_of(meeting, request.user)
    here = meeting.current_id or next(
        (r.line.item.pk for r in rows if r.line.item.is_open and not r.line.item.consent), None
    )
    here = here or next((r.line.item.pk for r in rows), None)
    if here is None or meeting.state not in LIVE:
        return redirect(meeting)
    return redirect(f"{reverse('changes:meeting-item', args=[pk, here])}?follow=1")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def meeting_item(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """One item with all its evidence. POST is this member's own vote."""
    actor: Any = request.user
    meeting = visible_meeting(request, pk)
    found = get_object_or_404(meeting.items.select_related("pulled_by"), pk=item)
    round_ = _round_of(found, actor)
    form = DecideForm(request.POST or None, initial={"digest_seen": round_.digest if round_ else ""})
    if request.method == "POST" and round_ and form.is_valid():
        try:
            approvals.decide(
                round_id=round_.pk, actor=actor, at=timezone.now(), authenticated_at=authenticated_at(request),
                **form.cleaned_data,
            )  # fmt: skip
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, written_down(round_, form.cleaned_data["verdict"], timezone.now()))
            return redirect(_address(request, meeting, found))
    context = {**_frame(request, meeting, found), **(evidence_of(round_, actor, form) if round_ else _topic(found))}
    context |= _place(request, meeting, found, round_)  # the count itself stands with the evidence
    return render(request, "changes/meeting_item.html", context, status=400 if form.errors else 200)


@login_required
@require_safe
def meeting_tally(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Who has voted, as it stands now; a screen that follows the session goes where the board is."""
    meeting = visible_meeting(request, pk)
    found = get_object_or_404(meeting.items, pk=item)
    if request.GET.get("follow") and meeting.current_id not in (None, found.pk):
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = reverse("changes:meeting-session", args=[pk])
        return answer
    round_ = _round_of(found, request.user)
    context = _tally(request, meeting, found, round_)
    if round_ is not None and not round_.is_open and request.GET.get("was") == "open":
        context["ended"] = _address(
            request, meeting, found
        )  # all of the page says what comes next, not the count alone
    return render(request, "changes/_tally.html", context)


def _round_of(item: AgendaItem, actor: Any) -> SignOffRound | None:
    if item.round_id is None:
        return None
    return get_object_or_404(rounds_visible_to(actor, at=timezone.now()), pk=item.round_id)


def _address(request: HttpRequest, meeting: Meeting, item: AgendaItem) -> str:
    follow = "?follow=1" if request.GET.get("follow") else ""
    return reverse("changes:meeting-item", args=[meeting.pk, item.pk]) + follow


def _topic(item: AgendaItem) -> dict[str, Any]:
    return {"title": item.title, "topic": item, "round": None}


def _tally(request: HttpRequest, meeting: Meeting, item: AgendaItem, round_: SignOffRound | None) -> dict[str, Any]:
    """The count, and where the board is if it is elsewhere."""
    return {**(tally_of(round_) if round_ else {}), **_place(request, meeting, item, round_)}


def _place(request: HttpRequest, meeting: Meeting, item: AgendaItem, round_: SignOffRound | None) -> dict[str, Any]:
    """Where the count is asked for again, and where the board is if it is elsewhere."""
    asked = {"follow": "1"} if request.GET.get("follow") else {}
    if round_ is not None and (round_.is_open or request.GET.get("was") == "open"):
        asked["was"] = "open"
    url = f"{reverse('changes:meeting-tally', args=[meeting.pk, item.pk])}?{urlencode(asked)}"
    moved = None
    if meeting.current is not None and meeting.current_id != item.pk:
        moved = {"title": meeting.current.title, "url": reverse("changes:meeting-session", args=[meeting.pk])}
    return {"moved": moved, "tally_url": url if meeting.state in LIVE else ""}


def _frame(request: HttpRequest, meeting: Meeting, item: AgendaItem) -> dict[str, Any]:
    """The agenda at the side: what is talked about, what goes by consent, and what the chair can do."""
    actor: Any = request.user
    rows = rows_of(meeting, actor)
    block = {line.item.pk for line in consent_block([r.line for r in rows])}
    talk = [r for r in rows if r.line.item.pk not in block]
    walked = [r for r in talk if r.url] or [r for r in rows if r.url]
    place = next((n for n, r in enumerate(walked) if r.line.item.pk == item.pk), None)
    live = meeting.state in LIVE
    may = not failing([capability("meeting.manage")], meeting, actor) and live
    spoken = [r for r in rows if not r.line.item.is_open]
    consents = _consents([r for r in rows if r.line.item.pk in block], actor, item)
    return {
        "meeting": meeting,
        "item": item,
        "rows": talk,
        "done": len(spoken),
        "total": len(rows),
        "place": next(r.number for r in rows if r.line.item.pk == item.pk),
        "previous": walked[place - 1].url if place else "",
        "following": _after(walked, place),
        "consents": consents,
        "block_mine": any(one.mine for one in consents),
        "in_block": item.pk in block,
        "may_pull": live and item.pk in block,
        "may_manage": may,
        "in_session": meeting.state == MeetingState.IN_SESSION,
        "left": meeting.state == MeetingState.IN_SESSION and any(
            r.line.item.is_open and r.line.item.pk not in block and r.line.item.pk != meeting.current_id for r in rows
        ),
        "item_state": next(r.state for r in rows if r.line.item.pk == item.pk),
        "follow": "?follow=1" if request.GET.get("follow") else "",
    }  # fmt: skip


@dataclass(frozen=True)
class Consented:
    """An item of the consent block: what it is, whether a vote of this person is missing, and whether the key leads there."""

    row: Row
    told: str
    mine: bool
    keyed: bool


def _consents(rows: Sequence[Row], actor: Any, item: AgendaItem) -> list[Consented]:
    """The consent block. Nothing in it is ticked beforehand: each consents to what they have read. The key leads to the box of
    the item that is read, else to the first."""
    now = timezone.now()
    seats = seats_of(actor, at=now)
    told = told_of([r.line.item.round for r in rows if r.url and r.line.item.round], now)
    mine = [r for r in rows if r.line.asks(actor, seats)]
    first = next((r for r in mine if r.line.item.pk == item.pk), mine[0] if mine else None)
    return [Consented(r, told.get(r.line.item.round_id or 0, ""), r in mine, r is first) for r in rows]


def _after(walked: list[Row], place: int | None) -> str:
    following = 0 if place is None else place + 1
    return walked[following].url if following < len(walked) else ""


@login_required
@require_POST
@confirmed
def meeting_consent(request: HttpRequest, pk: int) -> HttpResponse:
    """One act: this member's own vote for each item of the block that is ticked."""
    actor: Any = request.user
    meeting = visible_meeting(request, pk)
    ticked = ConsentForm((), request.POST).ticked()
    titles = dict(meeting.items.values_list("pk", "title"))
    if not ticked:
        messages.warning(request, _("No item was ticked: nothing is signed."))
        return redirect(_back(request, meeting))
    done = consent.consent(
        meeting_id=pk, seen=ticked, actor=actor, at=timezone.now(), comment=request.POST.get("comment", ""),
        authenticated_at=authenticated_at(request),
    )  # fmt: skip
    if done.signed:
        n = len(done.signed)
        said = ngettext(
            "You signed %(n)d item of the consent block.", "You signed %(n)d items of the consent block.", n
        )
        messages.success(request, said % {"n": n})
    for item_id, blockers in done.refused.items():
        messages.error(request, f"{titles.get(item_id, item_id)}: {reasons_of(blockers)}")
    return redirect(_back(request, meeting))


@login_required
@require_POST
def meeting_pull(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Takes an item out of the consent block."""
    meeting = visible_meeting(request, pk)
    agendas.pull(
        meeting_id=meeting.pk, item_id=item, actor=request.user, at=timezone.now(),  # type: ignore[arg-type]
        reason=request.POST.get("reason", ""),
    )  # fmt: skip
    messages.success(request, _("It is talked about now."))
    return redirect("changes:meeting-item", pk, item)


@login_required
@require_POST
def meeting_begin(request: HttpRequest, pk: int, item: int) -> HttpResponse:
    """Puts this item before the board."""
    meeting = visible_meeting(request, pk)
    agendas.begin(meeting_id=meeting.pk, item_id=item, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
    return redirect("changes:meeting-session", pk)


def _back(request: HttpRequest, meeting: Meeting) -> str:
    item = request.POST.get("back", "")
    if item.isdigit() and meeting.items.filter(pk=int(item)).exists():
        return reverse("changes:meeting-item", args=[meeting.pk, int(item)])
    return meeting.get_absolute_url()
