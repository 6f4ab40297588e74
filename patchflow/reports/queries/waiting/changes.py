"""What waits for a person at changes: votes, broken glass, tasks, own requests, and what their roles move on."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from changes.domain.glass import BEFORE
from changes.domain.rfc_gates import owed
from changes.enums import EvidenceKind, RFCKind, RFCState
from changes.enums_meeting import MeetingState
from changes.models import RFC, BreakGlass, ChangeTask, Evidence, Meeting
from changes.queries import board
from changes.queries.change_tasks import with_hold
from changes.queries.holds import open_holds
from changes.queries.rfcs import refusal_of
from changes.rules import own_or_manager
from patchflow.kernel.blockers import said
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signoffs import open_rounds
from patchflow.kernel.workflow import why_not
from patchflow.reports.queries.waiting.rows import MANY, WAITING, span
from patchflow.web.parts import Todo
from patchflow.web.states import look

R, M = RFCState, MeetingState
Label = str | Promise
RFC_DUE: dict[str, tuple[str, Label, Label]] = {
    # state: (capability that moves it on, act, button)
    R.DRAFT: ("rfc.submit", gettext_lazy("Submit"), gettext_lazy("Open draft")),
    R.SUBMITTED: ("rfc.evaluate", gettext_lazy("Evaluate"), gettext_lazy("Evaluate")),
    R.EVALUATING: (
        "rfc.request_approval",
        gettext_lazy("Complete and ask for approval"),
        pgettext_lazy("plans", "Complete"),
    ),
    R.SUSPENDED: (
        "rfc.request_approval",
        gettext_lazy("Ask for approval of the rest, or stop it"),
        gettext_lazy("Open"),
    ),
    R.AUTHORIZED: ("release.compose", gettext_lazy("Compose a release"), gettext_lazy("Open")),
    R.IN_REVIEW: ("rfc.close", gettext_lazy("Close"), gettext_lazy("Close")),
}
SUBMITTED_DUE: dict[str, tuple[Label, Label]] = {
    RFCKind.EMERGENCY: (gettext_lazy("Ask the ECAB"), gettext_lazy("Open")),
    RFCKind.STANDARD: (gettext_lazy("Send it back: its licence does not cover it"), gettext_lazy("Open")),
}
"""Act and button for the kinds that are not evaluated once they are submitted."""
OWING = (R.AUTHORIZED, R.IMPLEMENTING, R.SUSPENDED, R.IN_REVIEW)
"""States in which an emergency goes ahead without what it owes."""
AHEAD = timedelta(days=1)
"""How long before its beginning a meeting stands on Home."""
MEETING_DUE: dict[MeetingState, tuple[Label, Label]] = {
    # state: (what it asks of who presides, what of a member)
    M.PLANNED: (gettext_lazy("Fill and publish the agenda"), ""),
    M.AGENDA_PUBLISHED: (gettext_lazy("Open the session"), gettext_lazy("Read the agenda")),
    M.IN_SESSION: (gettext_lazy("Lead the session"), gettext_lazy("Take part in the session")),
}


def votes(actor: User, at: datetime) -> list[Todo]:
    """Rounds of the board whose present level asks `actor`; who is asked sees them without rights on the hosts."""
    return [
        Todo(
            "st-wait",
            _("Decide"),
            round_.subject_label,
            reverse("changes:board-item", args=[round_.pk]),
            due=span(round_.opened_at, at, round_.not_before),
            button=_("Decide"),
            section=_("To decide"),
        )
        for round_ in board.waiting_for(actor, at=at)[:WAITING]
    ]


def to_break(actor: User, at: datetime) -> list[Todo]:
    """Emergencies for which somebody asks a second person to break the glass, where `actor` can: who wrote it, or who asks by
    another door, cannot; nor can anybody while it is on hold or its risk is not known. Some queries for each; they are few."""
    if not actor.holds_somewhere("rfc.break_glass"):
        return []
    rows = BreakGlass.objects.filter(
        broken_at__isnull=True,
        withdrawn_at__isnull=True,
        rfc__in=RFC.objects.visible_to(actor).filter(state__in=BEFORE),
    ).exclude(Q(asked_by=actor) | Q(rfc__requested_by=actor))
    asked = rows.select_related("rfc", "asked_by").order_by("asked_at")[:WAITING]
    can = (g for g in asked if not why_not(g.rfc, "break_glass", actor=actor, at=at))
    return [
        Todo(
            "st-bad",
            _("Break the glass, or leave it to the board"),
            f"{g.rfc.number} · {g.rfc.title}",
            g.rfc.get_absolute_url(),
            why=_("%(who)s asks: “%(why)s”") % {"who": g.asked_by, "why": Truncator(g.reason).chars(110)},
            due=span(g.asked_at, at),
            button=_("Decide"),
            section=_("To decide"),
        )
        for g in islice(can, MANY)
    ]


def glass(actor: User, at: datetime) -> list[Todo]:
    """Broken glass that waits for its review by a person who took no part in it."""
    if not (actor.holds_somewhere("rfc.close") or actor.holds_somewhere("rfc.approve")):
        return []
    rows = BreakGlass.objects.filter(
        broken_at__isnull=False, reviewed_at__isnull=True, rfc__in=RFC.objects.visible_to(actor)
    ).exclude(Q(asked_by=actor) | Q(broken_by=actor) | Q(rfc__requested_by=actor))
    return [
        Todo(
            "st-warn",
            _("Review the broken glass"),
            f"{g.rfc.number} · {g.rfc.title}",
            g.rfc.get_absolute_url(),
            due=span(g.broken_at, at, g.review_due_at),
            button=_("Review"),
            section=_("To decide"),
        )
        for g in rows.select_related("rfc").order_by("review_due_at")[:MANY]
    ]


def tasks(actor: User, at: datetime) -> list[Todo]:
    """Tasks of changes that are the actor's, or their support group's, and whose turn it is; the first due first."""
    rows = with_hold(ChangeTask.objects.all().visible_to(actor).undone().given_to(actor).may_begin())
    rows = rows.select_related("rfc").order_by(F("due_at").asc(nulls_last=True), "pk")
    return [
        Todo(
            "st-bad" if t.is_overdue(at) else look("changes.changetask", t.state).css,
            _("Say what came of it") if t.begun_at else _("Begin the task"),
            str(t),
            t.get_absolute_url(),
            why=_("On hold: until it is resumed, nothing of it goes on.") if t.held else t.rfc.title,  # type: ignore[attr-defined]
            due=span(t.begun_at or t.added_at, at, t.due_at),
            button=_("Open"),
            section=_("My tasks"),
        )
        for t in rows[:WAITING]
    ]


def owing(actor: User, at: datetime) -> list[Todo]:
    """Emergencies that went ahead without what is brought before they are closed, for who may bring it. Two queries for each;
    they are few."""
    rows = RFC.objects.visible_to(actor).filter(kind=RFCKind.EMERGENCY, state__in=OWING)
    found = ((rfc, owed(rfc)) for rfc in rows.order_by("authorized_at", "pk")[:WAITING] if _may_bring(rfc, actor))
    return [
        Todo(
            "st-warn",
            _("Bring what the emergency owes"),
            f"{rfc.number} · {rfc.title}",
            rfc.get_absolute_url(),
            why=said(missing),
            due=span(rfc.authorized_at, at),
            button=_("Open"),
            section=_("My requests") if rfc.requested_by_id == actor.pk else _("Changes to move on"),
        )
        for rfc, missing in islice(((rfc, missing) for rfc, missing in found if missing), MANY)
    ]


def _may_bring(rfc: RFC, actor: User) -> bool:
    return not failing([capability("rfc.revise"), own_or_manager], rfc, actor)


def meetings(actor: User, at: datetime) -> list[Todo]:
    """Meetings of the boards that `actor` belongs to: one in session, one whose agenda is out, and for who presides one whose
    agenda is not, or that should have begun."""
    rows = Meeting.objects.filter(attendees__user=actor, state__in=MEETING_DUE).order_by("starts_at", "pk")
    soon = rows.filter(Q(state=M.IN_SESSION) | Q(starts_at__lt=at + AHEAD))
    return [
        Todo(
            look("changes.meeting", m.state).css,
            str(MEETING_DUE[M(m.state)][0 if m.chair_id == actor.pk else 1]),
            str(m),
            m.get_absolute_url(),
            due=span(m.opened_at, at) if m.state == M.IN_SESSION else span(None, at, m.starts_at),
            button=_("Open"),
            section=_("Meetings"),
        )
        for m in soon[:MANY]
        if m.chair_id == actor.pk or MEETING_DUE[M(m.state)][1]
    ]


def refused(actor: User, at: datetime) -> list[Todo]:
    """The actor's own requests that were refused and have not been changed since."""
    rows = RFC.objects.visible_to(actor).filter(requested_by=actor, state=R.EVALUATING).order_by("state_at")[:MANY]
    found = [(r, refusal_of(r)) for r in rows]
    return [
        Todo(
            "st-bad",
            _("Revise"),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            why=_("%(who)s refused: “%(why)s”") % {"who": refused.user, "why": refused.comment},
            due=span(r.state_at, at, r.start_by),
            button=_("Revise"),
            section=_("My requests"),
        )
        for r, refused in found
        if refused is not None
    ]


def rfcs(actor: User, at: datetime) -> list[Todo]:
    """What can be moved on now: a change on hold is resumed first, one in review is closed when its review is there and its
    required tasks are done, of a suspended one nobody has asked yet whether the rest may go on."""
    tasks_left = ChangeTask.objects.all().undone().filter(rfc=OuterRef("pk"), required=True)
    reviewed = Evidence.objects.filter(rfc=OuterRef("pk"), kind=EvidenceKind.REVIEW)
    may_resume = actor.holds_somewhere("rfc.hold")
    states = [state for state, (right, _act, _button) in RFC_DUE.items() if actor.holds_somewhere(right)]
    own = Q(state=R.DRAFT, requested_by=actor) | Q(state__in=[s for s in states if s != R.DRAFT])
    rows = (
        RFC.objects.visible_to(actor)
        .filter(own)
        .exclude(state=R.AUTHORIZED, release_links__left_at__isnull=True, release_links__isnull=False)
        .exclude(Q(state=R.IN_REVIEW) & (~Exists(reviewed) | Exists(tasks_left)))
        .exclude(Q(state=R.SUSPENDED) & Exists(open_rounds(RFC, OuterRef("pk"))))
        .annotate(held=Exists(open_holds(RFC, OuterRef("pk"))))
        .filter(Q(held=False) | Q(held=may_resume))
        .order_by(_urgency(at), "state_at")[:WAITING]
    )
    found = [
        Todo(
            look("changes.rfc", r.state).css,
            _("Resume") if r.held else str(_due(r)[0]),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            why=_why(r),
            due=span(r.state_at, at, None if r.clock_stopped_at else r.start_by),
            button=_("Open") if r.held else str(_due(r)[1]),
            section=_("My requests") if r.state == R.DRAFT else _("Changes to move on"),
        )
        for r in rows
    ]
    return sorted(found, key=lambda todo: todo.section != _("My requests"))


def _urgency(at: datetime) -> Case:
    """Emergencies, then what should have started by now, then the rest."""
    over = Q(start_by__lt=at, clock_stopped_at__isnull=True)
    return Case(When(kind=RFCKind.EMERGENCY, then=Value(0)), When(over, then=Value(1)), default=Value(2))


def _due(rfc: RFC) -> tuple[Label, Label]:
    """Act and button: what its page asks for next: an emergency goes to the ECAB as soon as it has its way back, a standard change
    that waits is not covered."""
    _right, *usual = RFC_DUE[rfc.state]
    if rfc.state == R.SUBMITTED and rfc.kind == RFCKind.EMERGENCY and not rfc.back_out_plan.strip():
        _right, act, button = RFC_DUE[R.EVALUATING]
        return act, button
    act, button = SUBMITTED_DUE.get(rfc.kind, usual) if rfc.state == R.SUBMITTED else usual
    return act, button


def _why(rfc: RFC) -> str:
    """That it is an emergency, and that it is on hold (`held`, as `_rfcs` reads it)."""
    found = [_("Emergency.")] if rfc.kind == RFCKind.EMERGENCY else []
    if rfc.held:  # type: ignore[attr-defined]
        found.append(_("On hold: until it is resumed, nothing of it goes on."))
    return " ".join(found)
