"""What comes next for a change: in which phase it stands, who must act, why, and by when."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.domain.change_models import licence_blockers
from changes.domain.glass import BEFORE
from changes.domain.rfc_gates import owed
from changes.enums import EvidenceKind, HoldCause, RFCKind, RFCState
from changes.models import RFC, BreakGlass, Hold
from changes.queries.board import Rung, ladder_of
from changes.queries.change_tasks import owed_tasks
from changes.queries.holds import open_hold_of
from changes.queries.rfcs import edited_since_signed, history_of, lapse_of, may_break_glass, refusal_of
from patchflow.kernel.blockers import said
from patchflow.kernel.sentences import say
from patchflow.kernel.signoffs import open_round_of
from patchflow.web import words
from patchflow.web.parts import Next

PHASE = {
    RFCState.DRAFT: 2,
    RFCState.IMPLEMENTING: 4,
    RFCState.SUSPENDED: 4,
    RFCState.IN_REVIEW: 4,
    RFCState.CLOSED: 4,
}


def phase_of(rfc: RFC) -> int:
    """In which phase of the cycle it stands."""
    return PHASE.get(RFCState(rfc.state), 3)


def next_of(rfc: RFC, *, now: datetime) -> Next:
    """Who must act, and by when."""
    if hold := open_hold_of(rfc):
        return next_of_hold(hold, now=now)
    if rfc.state in BEFORE and (asked := rfc.open_glass()):
        return _next_glass(asked, now)
    return _next_by_state(rfc, now)


def _next_glass(asked: BreakGlass, now: datetime) -> Next:
    """Who asked to break the glass, since when and why, and who may answer."""
    given = {"who": asked.asked_by, "when": words.at(asked.asked_at, now=now), "why": asked.reason}
    sentence = _("%(who)s asked %(when)s to break the glass: “%(why)s”") % given
    if asked.digest != asked.rfc.change_digest:
        return Next(sentence, _("The change was edited since: it is asked for again."))
    people = may_break_glass(asked)
    if not people:
        return Next(sentence, _("Nobody else may decide it: an administrator grants somebody the right."))
    named = ", ".join(str(user) for user in people[:6])
    return Next(sentence, _("A second person decides: %(people)s.") % {"people": named})


def next_of_hold(hold: Hold, *, now: datetime) -> Next:
    """Who put it on hold and why, and who lets it go on."""
    sentence = _("On hold since %(since)s by %(who)s: %(why)s")
    given = {"since": words.at(hold.placed_at, now=now), "who": hold.placed_by, "why": say(hold.reason, mixed=True)}
    if hold.cause == HoldCause.SUPERSEDED:
        return Next(sentence % given, _("A change manager keeps it (resume), or moves it. Clocks run on."))
    return Next(sentence % given, _("A change manager resumes it. Clocks run on."))


def _next_by_state(rfc: RFC, now: datetime) -> Next:
    match rfc.state:
        case RFCState.DRAFT:
            return Next(_("%(who)s completes it and submits it.") % {"who": rfc.requested_by})
        case RFCState.SUBMITTED if rfc.kind == RFCKind.STANDARD:
            advice = _("Revise it, or send it back and make it normal.")
            return Next(
                _("Its licence does not cover it as it stands."), f"{said(licence_blockers(rfc))} {advice}".strip()
            )
        case RFCState.SUBMITTED if rfc.kind == RFCKind.EMERGENCY and not rfc.back_out_plan.strip():
            return Next(
                _("Its back-out plan is written first; then a change manager asks the ECAB."),
                _("It may owe test and documents until closing."),
            )
        case RFCState.SUBMITTED if rfc.kind == RFCKind.EMERGENCY:
            return Next(_("A change manager asks the ECAB at once."), _("It may owe test and documents until closing."))
        case RFCState.SUBMITTED:
            return Next(_("A change manager takes it into evaluation."))
        case RFCState.EVALUATING:
            return _next_evaluation(rfc, now)
        case RFCState.AWAITING_APPROVAL:
            return _next_signature(rfc, now)
        case RFCState.AUTHORIZED:
            return _next_release(rfc, now)
        case RFCState.IMPLEMENTING:
            slot = rfc.slots.filter(released_at__isnull=True).first()
            return Next(
                _("%(release)s is carrying it out.") % {"release": slot.held_by}
                if slot
                else _("Its release is carrying it out.")
            )
        case RFCState.SUSPENDED:
            if open_round_of(rfc):
                return _next_signature(rfc, now)
            return _next_suspended(rfc, now)
        case RFCState.IN_REVIEW:
            return _next_close(rfc)
        case RFCState.CLOSED:
            return Next(_("Nothing more: closed as %(code)s.") % {"code": rfc.get_close_code_display()})
    return _ended(rfc)


def _next_suspended(rfc: RFC, now: datetime) -> Next:
    """Why it no longer runs, and who decides about the rest."""
    act = _("A change manager asks for approval of the rest, or stops it.")
    still = _("Nothing runs under it now.")
    if lapsed := lapse_said(rfc, now=now):
        return Next(lapsed, f"{still} {act}")
    return Next(act, still)


def lapse_said(rfc: RFC, *, now: datetime) -> str:
    """When and why its authorization lapsed, and who withdrew it; empty where it has not."""
    entry = lapse_of(rfc)
    if entry is None:
        return ""
    why = str(entry.detail.get("reason", "")) if isinstance(entry.detail, dict) else ""
    given = {"when": words.at(entry.effective_at, now=now), "who": entry.actor_name, "why": say(why, mixed=True)}
    if not why:
        return _("Its authorization lapsed %(when)s, by %(who)s.") % given
    return _("Its authorization lapsed %(when)s, by %(who)s: %(why)s") % given


def _next_release(rfc: RFC, now: datetime) -> Next:
    """By which release it is carried out, as far as one has reserved its slot."""
    detail = _("Whoever signed it neither builds nor starts it.")
    slot = rfc.slots.filter(released_at__isnull=True).first()
    if slot is None:
        return Next(_("A release manager takes it into a release."), detail)
    given = {"release": slot.held_by, "when": words.at(slot.starts_at, now=now)}
    return Next(_("%(release)s carries it out: the first time reserved for it is %(when)s.") % given, detail)


def _next_close(rfc: RFC) -> Next:
    """What keeps it from being closed: its review, then what an emergency has not brought."""
    if not rfc.evidence.filter(kind=EvidenceKind.REVIEW).exists():
        detail = _(
            "Completing the review of its release brings it; where no release carried it out, it is added under Evidence."
        )
        return Next(_("A change manager closes it when the review is there."), detail)
    if missing := owed(rfc):
        sentence = ngettext(
            "One thing that it owes is brought first.", "%(n)d things that it owes are brought first.", len(missing)
        )
        return Next(sentence % {"n": len(missing)}, _("Then a change manager closes it."))
    if tasks := owed_tasks(rfc):
        sentence = ngettext(
            "One required task is done first, or declared not needed.",
            "%(n)d required tasks are done first, or declared not needed.",
            len(tasks),
        )
        return Next(sentence % {"n": len(tasks)}, _("Then a change manager closes it."))
    return Next(_("A change manager closes it: its review is there."))


def _ended(rfc: RFC) -> Next:
    """Who ended it without carrying it out, and why."""
    return Next(_("Nothing more: it is %(state)s.") % {"state": rfc.get_state_display()}, _said_then(rfc))


def _said_then(rfc: RFC) -> str:
    """Who brought it into its state, and why; empty where no reason was given."""
    entry = history_of(rfc).filter(object_type=rfc._meta.label_lower, after_state=rfc.state).first()
    why = str(entry.detail.get("reason", "")) if entry and isinstance(entry.detail, dict) else ""
    return _("%(who)s: “%(why)s”") % {"who": entry.actor_name, "why": say(why, mixed=True)} if entry and why else ""


def _next_evaluation(rfc: RFC, now: datetime) -> Next:
    """After a refusal or a lapse: who and why, for as long as nothing was changed."""
    refused = refusal_of(rfc)
    if refused is not None:
        sentence = _("%(who)s refused: “%(why)s”") % {"who": refused.user, "why": refused.comment}
        detail = _("%(requester)s or a change manager revises it; then approval is asked for again.")
        return Next(sentence, detail % {"requester": rfc.requested_by})
    if not edited_since_signed(rfc) and (lapsed := lapse_said(rfc, now=now)):
        return Next(lapsed, _("A change manager assesses what has changed, then asks for approval again."))
    risk = rfc.risk
    if risk is not None and risk.content_digest != rfc.content_digest():
        return Next(_("A change manager assesses the risk of what was changed, then asks for approval."))
    return Next(_("A change manager asks for approval as soon as plans and risk are complete."))


def _next_signature(rfc: RFC, now: datetime) -> Next:
    round_ = open_round_of(rfc)
    if round_ is None:
        return Next(_("A round must be opened."))
    rungs = ladder_of(round_)
    rung = next(r for r in rungs if r.current)
    more = max(rung.tally.needed - rung.tally.approved, 1)
    by = words.at(rung.level.deadline_at, now=now) if rung.level.deadline_at else ""
    sentence = ngettext(
        "One more person must sign level %(level)s, %(name)s, by %(by)s.",
        "%(n)d more people must sign level %(level)s, %(name)s, by %(by)s.",
        more,
    ) % {"n": more, "level": rung.level.position, "name": say(rung.level.name), "by": by}
    signed = {s.on_behalf_of_id or s.user_id for s in rung.level.signoffs.all()}
    can = [str(v.user) for v in rung.level.voters.all() if v.user_id not in signed]
    detail = _("Asked: %(people)s. Silence is never yes: at the deadline the change goes back to evaluation.")
    return Next(sentence, f"{_then(rungs, rung)} {detail % {'people': ', '.join(can[:6])}}")


def _then(rungs: list[Rung], rung: Rung) -> str:
    """What follows when this level is signed."""
    after = next((r.level for r in rungs if r.level.position > rung.level.position), None)
    if after is None:
        return _("Then it is authorized, and a release manager takes it into a release.")
    return _("Then level %(level)s, %(name)s, is asked.") % {"level": after.position, "name": say(after.name)}
