"""The board: what waits for my decision, and one item at a time with everything on one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, OuterRef, Q, Subquery, Window
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from changes.domain import approvals
from changes.enums import RiskLevel, WayBack
from changes.enums_identify import SeverityStep
from changes.enums_meeting import MeetingState
from changes.models import RFC, RFCUpdate, RiskAssessment, SoftwareUpdate, Vulnerability
from changes.queries import board
from changes.queries.conflicts import find_conflicts, seen_by
from changes.queries.rfcs import changes_since_signed, renamed, round_before, targets_seen
from changes.queries.risk import CostOfWaiting, cost_of_waiting
from changes.web import ladders, rfc_forms, rfc_next, rfc_parts
from patchflow.kernel.enums import Verdict
from patchflow.kernel.errors import Refusal
from patchflow.kernel.integrity import difference
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound
from patchflow.kernel.registry import signoff_subjects
from patchflow.kernel.sentences import say
from patchflow.web import panels, states, words
from patchflow.web.accounts import authenticated_at, confirmed
from patchflow.web.parts import Statement, Todo

SHOWN = 2
"""Contributions to the discussion that stand with the evidence, the newest first."""


class DecideForm(forms.Form):
    """A vote over the digest that was shown."""

    verdict = forms.ChoiceField(
        label=gettext_lazy("Decision"), choices=[("", gettext_lazy("choose")), *Verdict.choices]
    )
    comment = forms.CharField(label=gettext_lazy("Reason"), required=False, widget=rfc_forms.Area(2), max_length=4000)
    digest_seen = forms.CharField(widget=forms.HiddenInput)


@login_required
@require_safe
def board_list(request: HttpRequest) -> HttpResponse:
    """What awaits me, and what was decided lately."""
    actor: Any = request.user
    now = timezone.now()
    waiting = list(board.waiting_for(actor, at=now).prefetch_related("levels"))
    decided = list(board.decided_recently(actor, since=now - timedelta(days=14), at=now)[:20])
    asked = SignOffLevel.objects.filter(round=OuterRef("pk"), position=OuterRef("position"))
    others = [
        r
        for r in board.rounds_visible_to(actor, at=now)
        .filter(state="open")
        .order_by(Subquery(asked.values("deadline_at")[:1]).asc(nulls_last=True), "-pk")
        .defer("document")
        .prefetch_related("levels")[:50]
        if r not in waiting
    ]
    mine = SignOff.objects.filter(Q(user=actor) | Q(on_behalf_of=actor), round__in=others).select_related("user")
    signed = {s.round_id: s for s in mine}
    told = _told([r.subject_id for r in waiting if r.subject_type == board.RFC_LABEL], now)
    context = {
        "title": _("Board"),
        "phase": 3,
        "waiting": [
            _todo(r, now, why=told.get(r.subject_id) if r.subject_type == board.RFC_LABEL else "") for r in waiting
        ],
        "others": [_todo(r, now, why=_signed(signed.get(r.pk), actor), button="") for r in others],
        "decided": [
            {"round": r, "title": _titled(r), "url": reverse("changes:board-item", args=[r.pk])} for r in decided
        ],
    }
    return render(request, "changes/board_list.html", context)


def _level(round_: SignOffRound) -> SignOffLevel:
    """The level that is asked now; of levels at hand."""
    return next(level for level in round_.levels.all() if level.position == round_.position)


def _signed(mine: SignOff | None, actor: Any) -> str:
    """What the reader's own part in a round was, or that of who signed in their place."""
    if mine is None:
        return _("It does not ask you now.")
    if mine.user_id != actor.pk:
        return _("%(who)s signed for you: %(verdict)s.") % {"who": mine.user, "verdict": Verdict(mine.verdict).label}
    return _("You signed: %(verdict)s.") % {"verdict": Verdict(mine.verdict).label}


def told_of(rounds: Sequence[SignOffRound], now: Any) -> dict[int, str]:
    """Round → what tells its change from others that wait. One query."""
    about = {r.pk: r.subject_id for r in rounds if r.subject_type == board.RFC_LABEL}
    told = _told(list(about.values()), now)
    return {pk: told[subject] for pk, subject in about.items() if subject in told}


def _told(rfc_ids: Sequence[int], now: Any) -> dict[int, str]:
    """Change → what tells it from others that wait: kind, risk, hosts, by when it must start. One query."""
    risk = RiskAssessment.objects.filter(rfc=OuterRef("pk")).order_by("-pk").values("level")[:1]
    live = Q(targets__removed_at__isnull=True, targets__left_at__isnull=True)
    found = {}
    for rfc in RFC.objects.filter(pk__in=rfc_ids).annotate(hosts=Count("targets", filter=live), level=Subquery(risk)):
        hosts, level = rfc.hosts, rfc.level
        said = [str(rfc.get_kind_display())]
        if level:
            said.append(_("risk %(level)s") % {"level": RiskLevel(level).label})
        said.append(ngettext("%(n)d host", "%(n)d hosts", hosts) % {"n": hosts})
        if rfc.start_by and not rfc.clock_stopped_at:
            over = _("start by %(when)s, missed") if rfc.start_by < now else _("start by %(when)s")
            said.append(over % {"when": words.at(rfc.start_by, now=now)})
        found[rfc.pk] = capfirst(", ".join(said)) + "."
    return found


def _titled(round_: SignOffRound) -> str:
    """What a round is about, and what kind of thing that is where it is no change."""
    label = say(round_.subject_label, mixed=True)
    if round_.subject_type == board.RFC_LABEL:
        return label
    return f"{apps.get_model(round_.subject_type)._meta.verbose_name}: {label}"


def _todo(round_: SignOffRound, now: Any, *, why: str | None, button: str | None = None) -> Todo:
    level = _level(round_)
    due = words.at(level.deadline_at, now=now) if level.deadline_at else ""
    return Todo(
        css="st-wait" if not level.deadline_at or level.deadline_at > now else "st-bad",
        act=_("Level %(n)d, %(name)s") % {"n": level.position, "name": say(level.name)},
        title=_titled(round_),
        url=reverse("changes:board-item", args=[round_.pk]),
        why=why or "",
        due=_("by %(when)s") % {"when": due} if due else "",
        button=_("Decide") if button is None else button,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def board_item(request: HttpRequest, pk: int) -> HttpResponse:
    """One round: all evidence, the vote, and the next item. Who is asked sees it without rights on its hosts."""
    actor: Any = request.user
    round_ = get_object_or_404(board.rounds_visible_to(actor, at=timezone.now()), pk=pk)
    form = DecideForm(request.POST or None, initial={"digest_seen": round_.digest})
    if request.method == "POST" and form.is_valid():
        try:
            approvals.decide(
                round_id=round_.pk,
                actor=actor,
                at=timezone.now(),
                authenticated_at=authenticated_at(request),
                **form.cleaned_data,
            )
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, written_down(round_, form.cleaned_data["verdict"], timezone.now()))
            following = board.next_item(actor, at=timezone.now(), after=round_)
            return redirect("changes:board-item", following.pk) if following else redirect("changes:board-list")
    context = evidence_of(round_, actor, form) | _agenda(round_, actor)
    found = context["meeting_item"] = round_.agenda_items.filter(state="open").select_related("meeting").first()
    context["in_session"] = found is not None and found.meeting.state == MeetingState.IN_SESSION
    return render(request, "changes/board_item.html", context, status=400 if form.errors else 200)


@login_required
@require_safe
def board_tally(request: HttpRequest, pk: int) -> HttpResponse:
    """Who has voted, as it stands now: asked for again every few seconds. Where the round has ended meanwhile it leads to
    the page as it is then: what comes next stands all over it, and nothing that somebody has typed here is lost."""
    actor: Any = request.user
    round_ = get_object_or_404(board.rounds_visible_to(actor, at=timezone.now()).defer("document"), pk=pk)
    ended = "" if round_.is_open else reverse("changes:board-item", args=[round_.pk])
    return render(request, "changes/_tally.html", {**tally_of(round_), "ended": ended})


def written_down(round_: SignOffRound, verdict: str, now: Any) -> str:
    """That the vote counts, and what comes next."""
    given = {"what": round_.subject_label, "verdict": Verdict(verdict).label}
    said = _("Your decision on %(what)s is written down: %(verdict)s.") % given
    return f"{said} {_step(board.subject_of_round(round_), now)}".rstrip()


def _step(subject: Any, now: Any) -> str:
    """Who must act next on a change; nothing of other subjects, whose own page says it."""
    if not isinstance(subject, RFC):
        return ""
    step = rfc_next.next_of(subject, now=now)
    return f"{step.sentence} {step.detail}".rstrip()


def tally_of(round_: SignOffRound) -> dict[str, Any]:
    """The present level with its count, and who has voted."""
    rungs = board.ladder_of(round_)
    return {
        "round": round_,
        "rung": next((r for r in rungs if r.current), None),
        "rungs": rungs,
        "seats": _seats(rungs),
        "tally_url": reverse("changes:board-tally", args=[round_.pk]) if round_.is_open else "",
    }


@dataclass(frozen=True)
class Vote:
    """How somebody has voted, as their agenda says it."""

    css: str
    said: str


def votes_of(actor: Any, round_ids: Sequence[int | None]) -> dict[int, Vote]:
    """Round → this person's vote, for the rounds of these on which they have one. One query."""
    found = {}
    for one in SignOff.objects.filter(user=actor, round__in=[pk for pk in round_ids if pk]):
        yes = one.verdict == Verdict.APPROVE
        found[one.round_id] = Vote("st-good", _("you voted: yes")) if yes else Vote("st-bad", _("you voted: no"))
    return found


def _agenda(round_: SignOffRound, actor: Any) -> dict[str, Any]:
    """What waits for this person, with this round in it."""
    agenda, votes = list(board.waiting_for(actor, at=timezone.now())), votes_of(actor, [round_.pk])
    if round_ not in agenda:
        agenda.insert(0, round_)
    place = agenda.index(round_)
    urls = [reverse("changes:board-item", args=[r.pk]) for r in agenda]
    return {
        "agenda": [
            {"round": r, "url": url, "current": r == round_, "vote": votes.get(r.pk) if r.is_open else None}
            for r, url in zip(agenda, urls, strict=True)
        ],
        "previous": urls[place - 1] if place else "",
        "following": urls[place + 1] if place + 1 < len(agenda) else "",
        "place": place + 1,
    }


def evidence_of(round_: SignOffRound, actor: Any, form: DecideForm) -> dict[str, Any]:
    """Everything that a decision about this round needs, and whether this person may make it."""
    now = timezone.now()
    subject = board.subject_of_round(round_)
    context: dict[str, Any] = {
        "title": say(round_.subject_label, mixed=True),
        "subject": subject,
        "form": form,
        "reasons": board.why_not(round_, actor, at=now, subject=subject),
        "ladder": ladders.ladder(round_, now=now, seats=False),
        "subject_url": signoff_subjects[round_.subject_type].url(subject),
        **tally_of(round_),
    }
    context["own"] = _own(context["rungs"], actor)
    context["following_step"] = _step(subject, now) if context["own"] else ""
    whole = board.reads_whole(round_, actor, at=now)
    if isinstance(subject, RFC):
        context |= _rfc_item(subject, actor, now, whole=whole) | _since_before(round_, now)
    else:
        context |= _since_before(round_, now)
        slot = f"board.{round_.subject_type}"
        context["panel_slot"] = slot if panels.known(slot) else ""
        context["document"] = [(str(k).replace("_", " "), _said(v)) for k, v in round_.document.items() if whole]
    return context


def _seats(rungs: list[board.Rung]) -> list[dict[str, Any]]:
    rung = next((r for r in rungs if r.current), rungs[-1] if rungs else None)
    if rung is None:
        return []
    signed = {s.on_behalf_of_id or s.user_id: s for s in rung.level.signoffs.all()}
    seats = []
    for voter in rung.level.voters.all():
        given = signed.get(voter.user_id)
        css = "st-wait" if given is None else "st-good" if given.verdict == Verdict.APPROVE else "st-bad"
        word = _("not yet") if given is None else str(given.get_verdict_display())
        name = given.who if given else str(voter.user)
        seats.append({"css": css, "icon": states.ICONS[css], "name": name, "word": word})
    return seats


def _own(rungs: list[board.Rung], actor: Any) -> dict[str, Any] | None:
    """How this person has signed the round, if so."""
    given = next((s for r in rungs for s in r.level.signoffs.all() if s.user_id == actor.pk), None)
    if given is None:
        return None
    return {"icon": "good" if given.verdict == Verdict.APPROVE else "bad", "word": given.get_verdict_display()}


def _said(value: Any) -> str:
    """A value of a signed document in one line; of many, how many."""
    if isinstance(value, list) and len(value) > 6:
        return ngettext("%(n)d entry", "%(n)d entries", len(value)) % {"n": len(value)}
    if isinstance(value, list):
        return ", ".join(_said(one) for one in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_said(v)}" for k, v in value.items())
    return str(value) if value not in (None, "") else "–"


def _since_before(round_: SignOffRound, now: Any) -> dict[str, Any]:
    """What the round before ended with, and what is different in this one: whether an objection was met."""
    before = round_before(round_)
    if before is None:
        return {"before": None}
    changed = renamed(before, round_.subject_label) + difference(before.document, round_.document)
    said = before.signoffs.filter(verdict=Verdict.REFUSE).select_related("user", "on_behalf_of").order_by("pk")
    return {
        "before": before,
        "objections": [Statement("st-bad", f"{s.who}: “{s.comment}”", words.at(s.decided_at, now=now)) for s in said],
        "since_before": rfc_parts.differences(sorted(changed, key=lambda row: str(row["field"]).startswith("risk"))),
    }


def _wanted(updates: list[SoftwareUpdate]) -> dict[str, Any]:
    """Why the change is wanted: the gravest of its updates, every gravity (not stated is none of them), what they close."""
    worst = max(updates, key=lambda one: (one.exploited, one.severity_rank), default=None)
    if worst is None:
        return {}
    cves = Vulnerability.objects.filter(advisories__updates__in=[one.pk for one in updates]).distinct()
    return {
        "title": worst.title,
        "gravity": ", ".join(
            str(SeverityStep(n).label) for n in sorted({u.severity_rank for u in updates}, reverse=True)
        ),
        "exploited": worst.exploited,
        "cves": list(cves.values_list("cve", flat=True)),
    }


def _updates(rfc: RFC, rows: list[RFCUpdate]) -> list[dict[str, Any]]:
    """Each update with the version that its hosts leave, or how many there are of them."""
    before = board.versions_before(rfc, [row.update for row in rows])
    found = []
    for row in rows:
        old = before[row.update_id]
        several = ngettext("%(n)d version", "%(n)d versions", len(old)) % {"n": len(old)}
        found.append({"row": row, "before": old[0] if len(old) == 1 else several if old else ""})
    return found


def _urgency(cost: CostOfWaiting, now: Any) -> tuple[str, str]:
    """Why now, in one line: (class, what waiting costs and by when it must be started)."""
    css, head, remark = rfc_parts.cost_head(cost)
    said = [head, remark]
    if cost.hosts and cost.start_by:
        by = _("Start by %(when)s") % {"when": words.at(cost.start_by, now=now)}
        said = [by, remark] if css == "st-warn" else [head, remark, by]
    return css, " · ".join(said)


def _rfc_item(rfc: RFC, actor: Any, now: Any, *, whole: bool) -> dict[str, Any]:
    """What a decision needs. `whole`: of every host; else figures are of the hosts that the actor may see."""
    risk, reader = rfc.risk, None if whole else actor
    cost = cost_of_waiting(rfc, at=now, actor=reader)
    targets = list(targets_seen(rfc, reader))
    changed = rfc_parts.differences(changes_since_signed(rfc))
    vital = sum(t.criticality == 1 for t in targets)
    shown, hidden = seen_by(actor, find_conflicts(rfc, at=now), whole=whole)
    rows = list(rfc.updates.filter(removed_at__isnull=True).select_related("update"))
    talk = list(rfc.comments.select_related("by").annotate(of=Window(Count("pk")))[:SHOWN])
    return {
        "talk": talk,
        "talk_count": talk[0].of if talk else 0,
        "rfc": rfc,
        "risk": risk,
        "risk_look": states.look("changes.risk", risk.level) if risk else None,
        "risk_lines": rfc_parts.risk_statements(risk, whole=whole),
        "risk_shown": rfc_parts.risk_shown(risk, whole=whole),
        "risk_scale": rfc_parts.risk_scale(),
        "cost": cost,
        "urgency": _urgency(cost, now),
        "cost_rows": rfc_parts.waiting_rows(cost, now=now),
        "updates": _updates(rfc, rows),
        "wanted": _wanted([row.update for row in rows]),
        "target_count": len(targets),
        "vital_count": vital,
        "start_within": rfc_parts.start_within(rfc),
        "places": sorted(Counter(rfc_parts.environment_of(t) for t in targets).items()),
        "scope": rfc_parts.scope_rows(targets),
        "windows": list(rfc.windows.all()),
        "plans": [(label, getattr(rfc, name)) for name, label in rfc_parts.PLAN_NAMES],
        "tasks": list(rfc.tasks.order_by("position")),
        "evidence": rfc_parts.evidence_statements(rfc, whole=whole, now=now),
        "changed": changed,
        "conflicts": rfc_parts.conflict_lines(shown, hidden),
        "brief": _brief(rfc_parts.conflicts_said(shown, hidden) if shown or hidden else "", cost, changed, talk),
        "points": _open_points(rfc, changed),
    }


def _brief(conflicts: str, cost: CostOfWaiting, changed: list[Any], talk: list[Any]) -> list[tuple[str, str]]:
    """What is open and what waiting costs, in few words, each with the card that says more: for the first screen."""
    found = [(conflicts, "points")] if conflicts else []
    if changed:
        fields = ngettext(
            "%(n)d field changed since it was asked", "%(n)d fields changed since it was asked", len(changed)
        )
        found.append((fields % {"n": len(changed)}, "points"))
    if cost.hosts:
        found.append((_a_wait(cost), "cost"))
    if talk:
        said = ngettext("%(n)d contribution to the discussion", "%(n)d contributions to the discussion", talk[0].of)
        found.append((said % {"n": talk[0].of}, "points"))
    return found


def _a_wait(cost: CostOfWaiting) -> str:
    """What it costs to wait: until the plan's own date, else for the week that is among the dates."""
    row = next((row for row in cost.rows if row.planned), None) or next(row for row in cost.rows if row.days > 7)
    waited = ngettext("%(n)d day of waiting", "%(n)d days of waiting", row.days - 1) % {"n": row.days - 1}
    hosts = ngettext("%(n)s host-day", "%(n)s host-days", row.host_days) % {"n": words.number(row.host_days)}
    return _("%(waited)s: %(hosts)s") % {"waited": waited, "hosts": hosts}


def _open_points(rfc: RFC, changed: list[Any]) -> list[Statement]:
    """What the board should settle, and what is settled."""
    found = []
    before = rfc.revisions.count()
    said = _("%(n)d fields") % {"n": len(changed)} if changed else _("nothing")
    found.append(Statement("st-bad" if changed else "st-good", _("Changed since this round opened"), said))
    if rfc.way_back == WayBack.NONE and rfc.back_out_plan.strip():
        said = _("A back-out plan is written, but no way back is promised: its release may go without one.")
        found.append(Statement("st-warn", said))
    if before:
        found.append(Statement("st-open", _("Revisions before it"), str(before)))
    return found
