"""What the pages of an RFC show, as parts of the toolkit: scope, risk, cost of waiting, clock, difference, evidence, conflicts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from django.conf import settings
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.enums import TERMINAL, EvidenceKind, RFCState, RiskLevel, TargetOutcome
from changes.enums_identify import AppliesVerdict
from changes.models import RFC, Evidence, RFCTarget, RiskAssessment
from changes.queries.applicability import MISSING, concerned_among
from changes.queries.conflicts import Conflict, ConflictKind, seen_by
from changes.queries.evidence import newest, said_of
from changes.queries.rfcs import targets_seen
from changes.queries.risk import LEVELS, CostOfWaiting, Waiting, factors_for
from changes.rules import CLASS_LENGTH
from cmdb.enums import Criticality, Environment
from patchflow.kernel.blockers import here
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web import words
from patchflow.web.parts import Clock, Difference, Statement
from patchflow.web.tables import Column, Table

BEGUN = (RFCState.IMPLEMENTING, RFCState.SUSPENDED, RFCState.IN_REVIEW)


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


def risk_statements(risk: RiskAssessment | None, *, whole: bool) -> list[Statement]:
    """The factors of an assessment, the heaviest first, of the same weight what is not proven; for who does
    not see every host none that count them."""
    if risk is None:
        return []
    rows = _by_weight(risk, whole=whole)
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


UNPROVEN = ("way_back", "tests")
"""Factors that say what nobody has tried yet."""
FEW = 3
"""Factors that are shown before the others are folded away."""


def _by_weight(risk: RiskAssessment, *, whole: bool) -> list[dict[str, Any]]:
    return sorted(factors_for(risk, whole=whole), key=lambda f: (-f["points"], f["key"] not in UNPROVEN))


def risk_shown(risk: RiskAssessment | None, *, whole: bool) -> int:
    """How many factors are shown where not all are: what is not proven is never folded away."""
    if risk is None:
        return FEW
    rows = enumerate(_by_weight(risk, whole=whole), start=1)
    return max([FEW, *(n for n, row in rows if row["points"] and row["key"] in UNPROVEN)])


def start_within(rfc: RFC) -> str:
    """What its class asks of the start in production, counted from the notification, in words."""
    length = CLASS_LENGTH.get(rfc.update_class)
    if length is None:
        return _("no date: with the next rollup")
    hours = int(length.total_seconds()) // 3600
    if hours <= 48:
        return ngettext("start within %(n)d hour", "start within %(n)d hours", hours) % {"n": hours}
    days = hours // 24
    return ngettext("start within %(n)d day", "start within %(n)d days", days) % {"n": days}


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
        good = "st-open" if row.kind in ON_PAPER else "st-good"
        css = "st-warn" if stated.outdated else {True: good, False: "st-bad", None: "st-open"}[row.passed]
        text = f"{kind_said(row)}: {here(said_of(row, whole=whole), mixed=True)[:SUMMARY]}"
        if stated.outdated:
            text = f"{text} {here(stated.outdated)}"
        found.append(Statement(css, text, words.at(row.at, now=now)))
    return found


ON_PAPER = (EvidenceKind.PLAN_REHEARSAL,)
"""Kinds of what was done on paper only: they say so, and what went well there is no good that was reached."""


def kind_said(row: Evidence) -> str:
    """What it is, for a line."""
    kind = capfirst(str(row.get_kind_display()))
    return _("%(kind)s, on paper only") % {"kind": kind} if row.kind in ON_PAPER else kind


def verdict_said(row: Evidence) -> str:
    verdict = str(VERDICTS[row.passed])
    return _("%(verdict)s, on paper") % {"verdict": verdict} if verdict and row.kind in ON_PAPER else verdict


VERDICTS = {True: gettext_lazy("passed"), False: gettext_lazy("failed"), None: ""}


def evidence_table(rows: Iterable[Evidence], *, whole: bool, now: datetime) -> Table:
    """Every statement, newest first."""
    return Table(
        [
            Column(_("What it is"), kind_said, name="kind"),
            Column(
                _("What it shows"), lambda row: here(said_of(row, whole=whole), mixed=True), wide=True, name="summary"
            ),
            Column(_("Verdict"), verdict_said, name="verdict"),
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


NAMED = 3
"""Changes that a line of many conflicts of one kind names."""


def conflict_statements(found: list[Conflict], actor: User, *, whole: bool) -> list[Statement]:
    """Conflicts as lines: each that denies by itself, marked; of the others those with many changes in one line for each kind,
    with each of them folded below; of changes that the person may not see only how many."""
    return conflict_lines(*seen_by(actor, found, whole=whole))


def conflict_lines(shown: Sequence[Conflict], hidden: int) -> list[Statement]:
    """The lines of conflicts that the person may see, and of how many other changes."""
    lines = []
    for word, same in groupby(shown, key=lambda c: _word_of(c)):
        rows = list(same)
        changes = [c for c in rows if c.other_id and not c.denies]
        gathered = len(changes) > 1
        if gathered:
            each = [_conflict_line(c) for c in changes]
            lines.append(Statement("st-warn", _gathered(changes), word, each=each))
        lines += [_conflict_line(c) for c in rows if not gathered or c not in changes]
    if hidden:
        lines.append(Statement("st-warn", _("%(n)d other changes that you may not see") % {"n": hidden}))
    return lines


def _word_of(conflict: Conflict) -> str:
    return _("same update") if conflict.duplicate else str(CONFLICT_WORDS[conflict.kind])


def _conflict_line(conflict: Conflict) -> Statement:
    css = "st-bad" if conflict.denies else "st-warn"
    return Statement(css, here(conflict.sentence), _word_of(conflict), conflict.where)


def _gathered(rows: Sequence[Conflict]) -> str:
    """The changes of one kind of conflict in one sentence: the first few by number, then how many more."""
    said = _GATHERED_TWICE if rows[0].duplicate else _GATHERED[rows[0].kind]
    names = ", ".join(conflict.other for conflict in rows[:NAMED])
    if (left := len(rows) - NAMED) > 0:
        given = {"names": names, "n": left}
        names = ngettext("%(names)s and %(n)d more", "%(names)s and %(n)d more", left) % given
    return str(said) % {"n": len(rows), "names": names}


_GATHERED_TWICE = gettext_lazy("%(n)d changes with the same update on some of the same hosts: %(names)s")
_GATHERED = {
    ConflictKind.SAME_CI: gettext_lazy("%(n)d changes on some of the same hosts: %(names)s"),
    ConflictKind.RELATED_CI: gettext_lazy("%(n)d changes on related hosts: %(names)s"),
    ConflictKind.PERSON: gettext_lazy(
        "Who answers for a slot of it answers for %(n)d other changes at the same time: %(names)s"
    ),
}


def conflicts_said(shown: Sequence[Conflict], hidden: int) -> str:
    """How many there are for this person, whether one stops the change, and how many carry the same update."""
    n, twice = len(shown) + hidden, sum(c.duplicate for c in shown)
    if any(c.denies for c in shown):
        said = ngettext("%(n)d conflict, and the change is stopped", "%(n)d conflicts, and the change is stopped", n)
    else:
        said = ngettext("%(n)d conflict, which does not stop it", "%(n)d conflicts, none of which stops it", n)
    same = ngettext("%(n)d with the same update", "%(n)d with the same update", twice) % {"n": twice}
    return f"{said % {'n': n}}, {same}" if twice else said % {"n": n}
