"""What the pages of an RFC show, as parts of the toolkit: next step, ladder, evidence, difference, clock, cost of waiting."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.domain import routing
from changes.domain.change_models import licence_blockers
from changes.domain.glass import BEFORE
from changes.domain.rfc_gates import owed
from changes.enums import TERMINAL, EvidenceKind, HoldCause, RFCKind, RFCState, RiskLevel, TargetOutcome
from changes.enums_identify import AppliesVerdict
from changes.models import RFC, BreakGlass, Evidence, Hold, RFCTarget, RiskAssessment
from changes.queries.applicability import MISSING, concerned_among
from changes.queries.board import Rung, ladder_of
from changes.queries.change_tasks import owed_tasks
from changes.queries.conflicts import Conflict, ConflictKind, seen_by
from changes.queries.evidence import newest, said_of
from changes.queries.holds import open_hold_of
from changes.queries.rfcs import edited_since_signed, history_of, lapse_of, may_break_glass, refusal_of, targets_seen
from changes.queries.risk import LEVELS, CostOfWaiting, Waiting, factors_for
from changes.queries.routing import routes_missed
from cmdb.enums import Criticality, Environment
from patchflow.kernel.blockers import Blocker, here, said
from patchflow.kernel.enums import Basis, Quorum, Verdict
from patchflow.kernel.levels import Asked, LevelSpec, able, needed, why_not_ask
from patchflow.kernel.models import SignOffLevel, SignOffRound, User, Voter
from patchflow.kernel.roles import all_roles
from patchflow.kernel.sentences import say
from patchflow.kernel.signoffs import excluded_of, open_round_of
from patchflow.web import words
from patchflow.web.parts import Clock, Difference, Level, Next, Signature, Statement
from patchflow.web.tables import Column, Table

BEGUN = (RFCState.IMPLEMENTING, RFCState.SUSPENDED, RFCState.IN_REVIEW)
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


def still_missing(rfc: RFC, actor: User, *, now: datetime) -> str:
    """On how many of its hosts an update of a change that is done is missing by what they report now, and of how many nobody can
    say; empty where it is known to be on all. Three queries."""
    if rfc.state not in (RFCState.IN_REVIEW, RFCState.CLOSED):
        return ""
    seen = dict(targets_seen(rfc, actor).filter(host__retired_at=None).values_list("host_id", "host__audited_at"))
    updates = [one.update for one in rfc.updates.filter(removed_at__isnull=True).select_related("update")]
    missed: set[int] = set()
    names: list[str] = []
    limit = settings.PATCHFLOW["FACTS_STALE_AFTER"]
    unknown = {pk for pk, audited_at in seen.items() if audited_at is None or now - audited_at > limit}
    found = concerned_among(seen, updates, at=now)
    for update in updates:
        hosts = [host for host in found.get(update.pk, []) if not host.exempt]
        if here_missed := {host.host_id for host in hosts if host.verdict in MISSING}:
            missed |= here_missed
            names.append(str(update))
        unknown |= {host.host_id for host in hosts if host.verdict == AppliesVerdict.UNKNOWN}
    return _said_missing(names, len(missed), len(unknown - missed), len(seen))


def _said_missing(names: list[str], missed: int, unknown: int, of: int) -> str:
    if not missed and not unknown:
        return ""
    if not missed:
        alone = ngettext(
            "It is unknown whether %(n)d of its %(of)d hosts still misses anything of it.",
            "It is unknown whether %(n)d of its %(of)d hosts still miss anything of it.",
            unknown,
        )
        return alone % {"n": unknown, "of": of}
    sentence = ngettext(
        "By what its hosts report now, %(n)d of %(of)d still misses %(what)s.",
        "By what its hosts report now, %(n)d of %(of)d still miss %(what)s.",
        missed,
    ) % {"n": missed, "of": of, "what": ", ".join(names)}
    more = ngettext("%(n)d more is unknown.", "%(n)d more are unknown.", unknown) % {"n": unknown}
    return f"{sentence} {more}" if unknown else sentence


def scope_done(rfc: RFC, targets: Sequence[RFCTarget]) -> str:
    """How many of its hosts are done, once it has begun; empty before."""
    if rfc.state not in BEGUN:
        return ""
    done = sum(target.outcome in (TargetOutcome.DONE, TargetOutcome.NOT_NEEDED) for target in targets)
    given = {"done": done, "n": len(targets)}
    return ngettext("%(done)d of %(n)d host is done", "%(done)d of %(n)d hosts are done", len(targets)) % given


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
    ) % {"n": more, "level": rung.level.position, "name": rung.level.name, "by": by}
    signed = {s.on_behalf_of_id or s.user_id for s in rung.level.signoffs.all()}
    can = [str(v.user) for v in rung.level.voters.all() if v.user_id not in signed]
    detail = _("Asked: %(people)s. Silence is never yes: at the deadline the change goes back to evaluation.")
    return Next(sentence, f"{_then(rungs, rung)} {detail % {'people': ', '.join(can[:6])}}")


def _then(rungs: list[Rung], rung: Rung) -> str:
    """What follows when this level is signed."""
    after = next((r.level for r in rungs if r.level.position > rung.level.position), None)
    if after is None:
        return _("Then it is authorized, and a release manager takes it into a release.")
    return _("Then level %(level)s, %(name)s, is asked.") % {"level": after.position, "name": after.name}


# --- approvals -----------------------------------------------------------------------------------------------------------------
def _quorum(level: SignOffLevel | LevelSpec, needed: int, asked: int) -> str:
    """How many must sign, and whether one refusal is enough."""
    match level.quorum:
        case Quorum.FIRST:
            rule = _("first to sign")
        case Quorum.ALL:
            rule = _("all %(n)d must sign") % {"n": asked}
        case Quorum.PERCENT:
            rule = _("%(share)d %% of %(n)d") % {"share": level.amount, "n": asked}
        case _other:
            rule = _("%(needed)d of %(n)d must sign") % {"needed": needed, "n": asked}
    return rule + (_(", the first refusal ends the round") if level.veto else "")


def routes_not_asked(rfc: RFC, *, at: datetime) -> list[str]:
    """Which routes a round would not ask, since all groups or services that they name are retired."""
    return [
        _("Route “%(route)s” is not asked: all host groups, or all services, that it names are retired.")
        % {"route": route.name}
        for route in routes_missed(rfc, at=at)
    ]


def levels_to_come(rfc: RFC, *, at: datetime) -> tuple[list[Level], list[Blocker]]:
    """The levels that a round would ask if it opened now, and what would keep it from opening."""
    out = excluded_of(rfc)
    specs = routing.specs_for(rfc, at=at, out=out)
    levels = []
    for n, spec in enumerate(specs, start=1):
        people = able(spec, out)
        rule = _quorum(spec, needed(spec.quorum, spec.amount, len(people)), len(people))
        signs = [Signature("st-open", f"{one.user} · {_via(one)}", word=_("not asked yet")) for one in people]
        title = _("Level %(n)d · %(name)s") % {"n": n, "name": spec.name}
        levels.append(Level(title, "st-open", "", rule, "", signs, why=here(spec.reason), locked=True))
    return levels, why_not_ask(specs, out)


def _rule_of(rung: Rung, now: datetime | None) -> str:
    """How many must sign; with `now` also until when."""
    level = rung.level
    rule = _quorum(level, rung.tally.needed, rung.tally.asked)
    if now and rung.current and level.deadline_at:
        rule += _(", by %(when)s") % {"when": words.at(level.deadline_at, now=now)}
    return rule


def ladder(round_: SignOffRound, *, now: datetime, seats: bool = True) -> list[Level]:
    """The levels of a round as the ladder shows them; without `seats` where who is still asked, and until when, stands
    beside it."""
    levels = []
    for rung in ladder_of(round_):
        signs = [_signature(s) for s in rung.level.signoffs.all()]
        signed = {s.on_behalf_of_id or s.user_id for s in rung.level.signoffs.all()}
        open_ = rung.current
        waiting = [v for v in rung.level.voters.all() if v.user_id not in signed]
        if not rung.passed and (open_ or round_.is_open):
            word = _("waiting") if open_ else _("not asked yet")
            css = "st-wait" if open_ else "st-open"
            signs += [Signature(css, f"{v.user} · {_via(v)}", word=word) for v in waiting if seats or not open_]
        if rung.passed:
            look, said = "st-good", _("passed")
        elif rung.tally.refused:
            look, said = "st-bad", _("refused")
        elif open_:
            look, said = "st-wait", _("waiting")
        else:
            look, said = "st-open", "" if round_.is_open else _("not reached")
        cannot = "; ".join(_who_cannot(round_)) if open_ else ""
        title = _("Level %(n)d · %(name)s") % {"n": rung.level.position, "name": rung.level.name}
        quorum = _("%(have)d of %(needed)d") % {"have": rung.tally.approved, "needed": rung.tally.needed}
        locked = not open_ and not rung.passed
        levels.append(
            Level(
                title,
                look,
                said,
                _rule_of(rung, now if seats else None),
                quorum,
                signs,
                cannot,
                locked=locked,
                why=rung.level.reason,
            )
        )
    return levels


def _via(voter: Voter | Asked) -> str:
    """By which role somebody is asked, or as whose owner, or from which group."""
    match voter.basis:
        case Basis.OWNER:
            return _("owner of what it reaches")
        case Basis.GROUP:
            return _("support group %(group)s") % {"group": voter.via}
    role = all_roles().get(voter.via)
    return role.label if role else voter.via.replace("_", " ")


def _signature(signed: Any) -> Signature:
    css = "st-good" if signed.verdict == Verdict.APPROVE else "st-bad"
    verdict = _("signed") if signed.verdict == Verdict.APPROVE else _("refused")
    comment = f", “{signed.comment}”" if signed.comment else ""
    return Signature(css, f"{signed.who}: {verdict}{comment}", signed.decided_at)


def _who_cannot(round_: SignOffRound) -> list[str]:
    from patchflow.kernel.models import User

    names = {u.pk: str(u) for u in User.objects.filter(pk__in=[int(pk) for pk in round_.excluded])}
    return [_("%(who)s (had a hand in it)") % {"who": names.get(int(pk), pk)} for pk in round_.excluded]


# --- figures -------------------------------------------------------------------------------------------------------------------
def risk_statements(risk: RiskAssessment | None, *, whole: bool) -> list[Statement]:
    """The factors of an assessment, the heaviest first; for who does not see every host none that count them."""
    if risk is None:
        return []
    rows = sorted(factors_for(risk, whole=whole), key=lambda f: -f["points"])
    unsaid = [] if whole else [Statement("st-open", _("What counts hosts outside your scope is left out."))]
    return [
        Statement(
            "st-warn"
            if f["points"]
            else "st-good",  # how much is told by the points; a red cross would say that it is denied
            say(str(f["sentence"])),
            _("%(points)d of %(of)d") % {"points": f["points"], "of": f["of"]},
        )
        for f in rows
    ] + unsaid


def risk_scale() -> str:
    """From how many points a risk is called medium and high."""
    least = {level: points for points, level in LEVELS}
    given = {"medium": least[RiskLevel.MEDIUM], "high": least[RiskLevel.HIGH]}
    return _("medium from %(medium)d points, high from %(high)d") % given


def waiting_word(row: Waiting) -> tuple[str, str]:
    """What the clock says of a date: (class, word)."""
    if row.late_by is not None:
        return "st-bad", _("%(span)s over") % {"span": words.duration(row.late_by)}
    if row.early_by is not None:
        return "st-good", _("%(span)s left") % {"span": words.duration(row.early_by)}
    return "st-open", _("no target date")


def waiting_rows(cost: CostOfWaiting, *, now: datetime) -> list[dict[str, Any]]:
    """The dates with what waiting until then costs: the day of each, of the plan's own date also the time."""
    return [
        {
            "row": row,
            "on": words.at(row.at, now=now) if row.planned else words.day(row.at, now=now),
            "css": waiting_word(row)[0],
            "word": waiting_word(row)[1],
        }
        for row in cost.rows
    ]


def cost_head(cost: CostOfWaiting) -> tuple[str, str, str]:
    """(class, headline, remark) of the cost of waiting."""
    if not cost.hosts:
        return "st-good", _("Nothing waits"), _("no host is left to do")
    if cost.exploited:
        return "st-bad", _("High"), _("known exploited: %(names)s") % {"names": ", ".join(cost.exploited[:3])}
    if cost.missed:
        return "st-bad", _("Over"), _("the start-by target has passed")
    if cost.start_by:
        return (
            "st-warn",
            waiting_word(cost.rows[0])[1],
            ngettext("%(n)d host is exposed", "%(n)d hosts are exposed", cost.hosts) % {"n": cost.hosts},
        )
    return "st-open", _("No date"), _("its class names no start-by target")


def clock_of(rfc: RFC) -> Clock | None:
    """Its clock; None where the class names no date, or the change ended before it was stopped."""
    if rfc.start_by is None or (rfc.state in TERMINAL and rfc.clock_stopped_at is None):
        return None
    return Clock(rfc.clock_started_at, rfc.start_by, str(rfc.get_update_class_display()), rfc.clock_stopped_at)


def _line(value: Any) -> str:
    if isinstance(value, dict):
        for keys in (("name", "fixed_version"), ("name",), ("sentence",)):
            if all(k in value for k in keys):
                return " ".join(str(value[k]) for k in keys)
        return json.dumps(value, ensure_ascii=False)
    return str(value) if value not in (None, "") else _("nothing")


def differences(rows: Iterable[dict[str, Any]]) -> list[Difference]:
    """A stored difference as the component shows it."""
    return [
        Difference(
            str(row["field"]).replace("_", " ").replace(".", " · "),
            [_line(v) for v in row["removed"][:12]],
            [_line(v) for v in row["added"][:12]],
        )
        for row in rows
    ]


PLAN_NAMES = (
    ("implementation_plan", gettext_lazy("Implementation")),
    ("test_plan", gettext_lazy("Test")),
    ("back_out_plan", gettext_lazy("Back-out")),
    ("communication_plan", gettext_lazy("Communication")),
)


SUMMARY = 300
"""Characters of a statement that a line of evidence shows."""


def evidence_statements(rfc: RFC, *, whole: bool, now: datetime) -> list[Statement]:
    """The newest evidence of each kind; what speaks of something else by now says so, and is not good."""
    found = []
    for stated in newest(rfc, at=now):
        row = stated.row
        css = "st-warn" if stated.outdated else {True: "st-good", False: "st-bad", None: "st-open"}[row.passed]
        text = f"{capfirst(str(row.get_kind_display()))}: {here(said_of(row, whole=whole), mixed=True)[:SUMMARY]}"
        if stated.outdated:
            text = f"{text} {here(stated.outdated)}"
        found.append(Statement(css, text, words.at(row.at, now=now)))
    return found


VERDICTS = {True: gettext_lazy("passed"), False: gettext_lazy("failed"), None: ""}


def evidence_table(rows: Iterable[Evidence], *, whole: bool, now: datetime) -> Table:
    """Every statement, newest first."""
    return Table(
        [
            Column(_("What it is"), lambda row: capfirst(str(row.get_kind_display())), name="kind"),
            Column(
                _("What it shows"), lambda row: here(said_of(row, whole=whole), mixed=True), wide=True, name="summary"
            ),
            Column(_("Verdict"), lambda row: str(VERDICTS[row.passed]), name="verdict"),
            Column(_("By"), lambda row: row.by, name="by"),
            Column(_("Age"), "at", age=True, numeric=True),
        ],
        list(rows),
        now,
        _("Evidence"),
    )


def environment_of(target: RFCTarget) -> str:
    """The word of its environment as it was taken into the scope."""
    return _environment(target.environment)


def criticality_of(target: RFCTarget) -> str:
    """Its criticality as it was taken into the scope, with the word of the scale."""
    return _criticality(target.criticality)


def _criticality(level: int | None) -> str:
    return str(dict(Criticality.choices).get(level, level)) if level else _("unknown")


def _environment(name: str) -> str:
    return str(dict(Environment.choices).get(name, name)) if name else _("unknown")


def scope_rows(targets: Iterable[RFCTarget]) -> list[dict[str, Any]]:
    """Counts of targets by environment and criticality, what is vital first."""
    counts = Counter((t.environment, t.criticality) for t in targets)
    return [
        {"environment": _environment(environment), "criticality": _criticality(criticality), "hosts": count}
        for (environment, criticality), count in sorted(counts.items(), key=lambda c: (c[0][1] or 0, c[0][0]))
    ]


CONFLICT_WORDS = {
    ConflictKind.SAME_CI: gettext_lazy("same host"),
    ConflictKind.RELATED_CI: gettext_lazy("related"),
    ConflictKind.FREEZE: gettext_lazy("freeze"),
    ConflictKind.WINDOW: gettext_lazy("window"),
    ConflictKind.PERSON: gettext_lazy("person"),
}


def conflict_statements(found: list[Conflict], actor: User, *, whole: bool) -> list[Statement]:
    """Conflicts as lines, those that deny marked; of changes that the person may not see only how many."""
    shown, hidden = seen_by(actor, found, whole=whole)
    lines = [
        Statement(
            "st-bad" if c.denies else "st-warn",
            here(c.sentence),
            _("same update") if c.duplicate else str(CONFLICT_WORDS[c.kind]),
            c.where,
        )
        for c in shown
    ]
    if hidden:
        lines.append(Statement("st-warn", _("%(n)d other changes that you may not see") % {"n": hidden}))
    return lines
