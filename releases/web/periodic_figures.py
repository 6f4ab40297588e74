"""The figures of a periodic review as sentences, each with its state; what nobody knows is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.enums_identify import UpdateClass
from patchflow.web import states, words
from patchflow.web.parts import Statement

Figures = Mapping[str, Any]


def share(part: int, total: int, unknown: int = 0) -> str:
    """ "92.0 %", "90.0 to 95.0 %" with what nobody knows, "–" of nothing."""
    if not total:
        return "–"
    low, high = words.percent(part, total), words.percent(part + unknown, total)
    if not unknown:
        return f"{words.number(low)} %"
    return _("%(low)s to %(high)s %%") % {"low": words.number(low), "high": words.number(high)}


def lines_of(figures: Figures) -> list[Statement]:
    """Every section of the figures, in their order."""
    found: list[Statement] = []
    for name, say in SENTENCES.items():
        if name in figures:
            found += say(figures[name])
    return found


def _deadlines(given: Figures) -> list[Statement]:
    if not given:
        return [Statement("st-open", _("No start-by date lay in the period."))]
    labels = dict(UpdateClass.choices)
    return [
        Statement(
            "st-bad" if n["missed"] else "st-good",
            _("Class %(name)s: %(met)d started in time, %(missed)d missed, %(running)d still running")
            % {"name": labels.get(name, name), **n},
            share(n["met"], n["met"] + n["missed"] + n["running"], n["running"]),
        )
        for name, n in given.items()
    ]


def _median(sentence: str, given: Figures) -> list[Statement]:
    count = ngettext("%(n)d change", "%(n)d changes", given["changes"]) % {"n": given["changes"]}
    if given["median_days"] is None:
        return [Statement("st-open", sentence, _("no change came to it"))]
    return [
        Statement("st-open", f"{sentence} ({count})", _("%(days)s days") % {"days": words.number(given["median_days"])})
    ]


def _success(given: Figures) -> list[Statement]:
    total = given["succeeded"] + given["failed"] + given["unknown"]
    text = (
        _("Hosts worked on: %(succeeded)d succeeded, %(failed)d failed, %(unknown)d with an outcome that nobody knows")
        % given
    )
    return [
        Statement("st-bad" if given["failed"] else "st-good", text, share(given["succeeded"], total, given["unknown"]))
    ]


def _rollouts(given: Figures) -> list[Statement]:
    text = _("Rollouts: %(started)d started, %(halted)d halted, %(taken_back)d ways back") % given
    return [
        Statement(
            "st-warn" if given["halted"] or given["taken_back"] else "st-good",
            text,
            share(given["halted"], given["started"]),
        )
    ]


def _emergencies(given: Figures) -> list[Statement]:
    text = _("Changes submitted: %(submitted)d, %(emergency)d of them as an emergency") % given
    css = "st-warn" if given["emergency"] else "st-good"
    return [Statement(css, text, share(given["emergency"], given["submitted"]))]


def _unknown(given: Figures) -> list[Statement]:
    text = _("Hosts with facts too old to count: %(unknown)d of %(hosts)d") % given
    css = "st-unk" if given["unknown"] else "st-good"
    return [Statement(css, text, share(given["unknown"], given["hosts"]), f"{reverse('cmdb:host-list')}?facts=silent")]


def _discrepancies(given: Figures) -> list[Statement]:
    text = _("Discrepancies: %(open)d open; %(opened)d opened and %(settled)d settled in the period") % given
    place = f"{reverse('cmdb:discrepancy-list')}?state=open"
    return [Statement("st-warn" if given["open"] else "st-good", text, words.number(given["open"]), place)]


def _counted(machine: str, counts: Figures) -> str:
    """ "8 completed, 1 failed": states by their words."""
    return ", ".join(f"{n} {states.look(machine, name).label}" for name, n in counts.items()) or _("none")


def _feeds(given: Figures) -> list[Statement]:
    text = _("Feeds: polls %(runs)s; %(late)d of %(feeds)d late now") % {
        **given,
        "runs": _counted("changes.feedrun", given["runs"]),
    }
    return [
        Statement(
            "st-unk" if given["late"] or not given["feeds"] else "st-good", text, "", reverse("changes:feed-list")
        )
    ]


def _scans(given: Figures) -> list[Statement]:
    told = {
        "runs": _counted("cmdb.scanrun", given["runs"]),
        "hosts": _counted("cmdb.scanresult", given["hosts"]),
    }
    text = _("Scans: %(runs)s; hosts in them: %(hosts)s") % told
    bad = set(given["runs"]) & {"failed", "lost", "partial", "cancelled"}
    return [Statement("st-warn" if bad else "st-good", text, "", reverse("cmdb:scan-list"))]


def _people(n: int) -> str:
    return ngettext("%(n)d person", "%(n)d people", n) % {"n": n}


def _load(given: Figures) -> list[Statement]:
    acts = ngettext("%(acts)d act by %(people)s", "%(acts)d acts by %(people)s", given["acts"])
    decisions = ngettext(
        "%(decisions)d decision by %(deciders)s", "%(decisions)d decisions by %(deciders)s", given["decisions"]
    )
    text = _("Work: %(acts)s; %(decisions)s") % {
        "acts": acts % {"acts": given["acts"], "people": _people(given["people"])},
        "decisions": decisions % {"decisions": given["decisions"], "deciders": _people(given["deciders"])},
    }
    most = _("the busiest: %(share)s") % {"share": share(given["most"], given["acts"])}
    return [Statement("st-open", text, most)]


SENTENCES: Mapping[str, Any] = {
    "deadlines": _deadlines,
    "days_to_start": lambda given: _median(_("Median from notification to start"), given),
    "days_to_reach": lambda given: _median(_("Median from notification to 95 % of the hosts"), given),
    "success": _success,
    "rollouts": _rollouts,
    "emergencies": _emergencies,
    "unknown": _unknown,
    "discrepancies": _discrepancies,
    "feeds": _feeds,
    "scans": _scans,
    "load": _load,
}
