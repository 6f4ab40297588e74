"""The levels of a round, as the ladder shows them: those that were asked, and those that a round would ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from changes.domain import routing
from changes.models import RFC
from changes.queries.board import Rung, ladder_of
from changes.queries.routing import routes_missed
from patchflow.kernel.blockers import Blocker, here
from patchflow.kernel.enums import Basis, Quorum, Verdict
from patchflow.kernel.levels import Asked, LevelSpec, able, needed, why_not_ask
from patchflow.kernel.models import SignOffLevel, SignOffRound, User, Voter
from patchflow.kernel.roles import all_roles
from patchflow.kernel.sentences import say
from patchflow.kernel.signoffs import excluded_of
from patchflow.web import words
from patchflow.web.parts import Level, Signature


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
        title = _("Level %(n)d · %(name)s") % {"n": n, "name": say(spec.name)}
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
        title = _("Level %(n)d · %(name)s") % {"n": rung.level.position, "name": say(rung.level.name)}
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

    names = {u.pk: str(u) for u in User.objects.filter(pk__in=[int(pk) for pk in round_.excluded])}
    return [_("%(who)s (had a hand in it)") % {"who": names.get(int(pk), pk)} for pk in round_.excluded]
