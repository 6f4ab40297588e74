"""The components as template tags: `{% load patchflow %}`.

Small words (icons, states, times, digests) are in `web/wordtags.py`; larger parts have a template in
`web/parts/`. Every text is escaped unless it is markup already. Geometry from data is written as SVG attributes, which a strict CSP allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext as _

from patchflow.kernel.enums import Outcome
from patchflow.web import geometry, parts, states, words, wordtags
from patchflow.web import panels as panel_registry
from patchflow.web.navigation import PHASES
from patchflow.web.verbs import TONES
from patchflow.web.wordtags import icon, moment_of

register = template.Library()
register.tags.update(wordtags.register.tags)
register.filters.update(wordtags.register.filters)


# --- blocks -----------------------------------------------------------------------------------------------------------
@register.inclusion_tag("web/parts/some.html")
def some(things: Iterable[Any], nothing: str = "–", shown: int = 4) -> dict[str, Any]:
    """The first few of many by name, the rest folded away: `{% some windows "none" %}`."""
    every = [str(getattr(one, "name", one)) for one in things]
    return {"first": every[:shown], "rest": every[shown:], "nothing": nothing}


@register.simple_block_tag
def card(
    content: str, title: str = "", more: Any = "", slug: str = "", flush: bool = False, css: str = ""
) -> SafeString:
    """A card: `{% card _("Scope") more=link %} … {% endcard %}`. `flush` leaves the inside to a table or list."""
    name = slug or slugify(str(title)) or "card"
    head = (
        format_html(
            '<header><h2 id="h-{}">{}</h2>{}</header>',
            name,
            title,
            format_html('<span class="more">{}</span>', more) if more else "",
        )
        if title
        else ""
    )
    inside = content if flush else format_html('<div class="in">{}</div>', content)
    label = format_html(' aria-labelledby="h-{}"', name) if title else ""
    return format_html('<section class="pc{}"{}>{}{}</section>', f" {css}" if css else "", label, head, inside)


@register.simple_block_tag
def note(content: str, css: str = "st-open", symbol: str = "") -> SafeString:
    """A remark with a state: `{% note "st-warn" %} … {% endnote %}`."""
    return format_html(
        '<div class="note {}">{}<div>{}</div></div>', css, icon(states.Look(css, "", icon=symbol).icon), content
    )


@register.simple_tag
def phase_mark(number: int | None) -> SafeString:
    """The ring with one quarter lit, and the name of the phase; nothing where a page belongs to none."""
    if number not in PHASES:
        return SafeString("")
    return format_html("{}<span>{}</span>", icon(f"ph{number}", "ph"), PHASES[number])


@register.simple_tag(takes_context=True)
def panels(context: Context, slot: str, obj: Any) -> SafeString:
    """What apps above have to say about `obj` (`patchflow.web.panels`)."""
    return format_html_join("\n", "{}", ((markup,) for markup in panel_registry.render(slot, context["request"], obj)))


# --- parts ------------------------------------------------------------------------------------------------------------
@register.inclusion_tag("web/parts/next.html", takes_context=True, name="next")
def next_step(context: Context, step: Any, verbs: Iterable[Any] = (), prefix: str = "why") -> dict[str, Any]:
    """What happens next (`parts.Next` or a sentence), the verbs, and those refused with their reasons."""
    sentence = step if hasattr(step, "sentence") else parts.Next(str(step)) if step else None
    return {**verb_bar(context, verbs, prefix), "step": sentence}


def toned(blockers: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(TONES.get(getattr(blocker, "tone", "bad"), "st-bad"), blocker) for blocker in blockers]


def by_reasons(refused: Iterable[Any]) -> list[tuple[list[Any], list[tuple[str, Any]]]]:
    """(verbs, their reasons): verbs that are refused for the same reasons stand together, so that each is said once."""
    groups: dict[Any, tuple[list[Any], list[tuple[str, Any]]]] = {}
    for one in refused:
        key = tuple((str(b.sentence), b.where) for b in one.blockers)
        groups.setdefault(key, ([], toned(one.blockers)))[0].append(one)
    return list(groups.values())


@register.inclusion_tag("web/parts/verbs.html", takes_context=True, name="verbs")
def verb_bar(context: Context, verbs: Iterable[Any], prefix: str = "why", small: bool = False) -> dict[str, Any]:
    """The bar of what can be done now; what is refused stands below it with reasons, greyed and never hidden."""
    listed = list(verbs or ())
    return {
        "csrf_token": context.get("csrf_token"),
        "allowed": [one for one in listed if one.allowed],
        "refused": by_reasons(one for one in listed if not one.allowed),
        "prefix": prefix,
        "small": small,
    }


@register.inclusion_tag("web/parts/reasons.html")
def reasons(blockers: Iterable[Any]) -> dict[str, Any]:
    """The reasons against a verb, each with its tone and the place that clears it."""
    return {"reasons": toned(blockers)}


@register.inclusion_tag("web/parts/clock.html", takes_context=True)
def clock(context: Context, shown: parts.Clock) -> dict[str, Any]:
    """A clock: time left first, then class and end; the ring shows the time used."""
    now = moment_of(context)
    used = shown.used(now)
    return {
        "now": now,
        "clock": shown,
        "css": shown.css(now),
        "left": shown.left(now),
        "percent": int(used * 100),
        "degrees": int(used * 360),
        "length": words.duration(shown.ends_at - shown.started_at),
    }


def bar_of(counts: Sequence[tuple[str, int]], total: int) -> list[tuple[str, str, str]]:
    """Pieces of a bar as (class, start, width) in percent; the unknown are hatched."""
    pieces, start = [], Decimal(0)
    for css, count in counts:
        width = Decimal(100) * count / total if total else Decimal(0)
        if count:
            pieces.append((css, f"{start:.2f}%", f"{width:.2f}%"))
        start += width
    return pieces


@register.inclusion_tag("web/parts/interval.html")
def interval(shown: parts.Interval, large: bool = True) -> dict[str, Any]:
    """A share as an interval: figure, bar with the unknown hatched, counts that open their lists."""
    split = (("st-good", shown.good), ("st-unk", shown.unknown), ("st-bad", shown.bad))
    return {
        "interval": shown,
        "large": large,
        "pieces": bar_of(split, shown.total),
        "goal": shown.goal,
        "goal_x": f"{shown.goal}%",
    }


@register.inclusion_tag("web/parts/trend.html")
def trend(shown: parts.Trend, name: str = "") -> dict[str, Any]:
    """An interval over time: the lower bound filled, the unknown above it as a band, the goal as a line."""
    drawn = geometry.plot(shown)
    ends = (shown.points[0], shown.points[len(shown.points) // 2], shown.points[-1]) if drawn else ()
    return {"plot": drawn, "trend": shown, "name": name, "ends": ends}


@register.inclusion_tag("web/parts/course.html")
def course(plot: geometry.Course | None, name: str = "") -> dict[str, Any]:
    """Things done over time, as steps that rise; dashed where a part of it begins."""
    return {"plot": plot, "name": name}


@register.inclusion_tag("web/parts/stats.html")
def stats(shown: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A few large figures side by side: (figure, what it is)."""
    return {"stats": shown}


@register.inclusion_tag("web/parts/progress.html")
def progress(done: int, total: int, css: str = "st-run", unknown: int = 0, label: str = "") -> dict[str, Any]:
    """A thin bar: done of total, the unknown hatched."""
    pieces = bar_of(((css, done), ("st-unk", unknown), ("rest", max(total - done - unknown, 0))), total)
    text = label or _("%(done)s of %(total)s done") % {"done": words.number(done), "total": words.number(total)}
    return {"pieces": pieces, "label": text, "total": total}


@register.inclusion_tag("web/parts/phases.html")
def phases(shown: Iterable[parts.Phase]) -> dict[str, Any]:
    """The wheel: what stands in each of the four phases by state, and the event that leaves it."""
    return {"phases": [(phase, PHASES[phase.number], f"ph{phase.number}") for phase in shown]}


@register.inclusion_tag("web/parts/ladder.html", takes_context=True)
def ladder(context: Context, levels: Iterable[parts.Level]) -> dict[str, Any]:
    """The levels of a round: rule, quorum, deadline, who signed, who still has to, who cannot and why."""
    return {"levels": levels, "now": moment_of(context)}


@register.inclusion_tag("web/parts/diff.html")
def diff(changes: Iterable[parts.Difference]) -> dict[str, Any]:
    """A difference by field: removed and added, by sign and colour."""
    return {"changes": list(changes)}


@register.inclusion_tag("web/parts/evidence.html")
def evidence(statements: Iterable[parts.Statement], shown: int = 0) -> dict[str, Any]:
    """Statements with their state and a figure at the right; with `shown`, what is beyond so many is folded away."""
    lines = [(one, getattr(one, "icon", "") or states.ICONS[one.css]) for one in statements]
    fold = shown and len(lines) > shown + 1
    return {"statements": lines[:shown] if fold else lines, "rest": lines[shown:] if fold else []}


@register.inclusion_tag("web/parts/lane.html")
def lane(shown: parts.Lane) -> dict[str, Any]:
    """A ring as a lane: its gate at the left, each target a cell with its stage."""
    cells = format_html_join(
        "",
        '<li><a class="{} {}" href="{}" aria-label="{} {}" title="{} · {}"{}></a></li>',
        (
            (
                c.css,
                c.shape,
                c.url,
                c.name,
                c.word,
                c.name,
                c.word,
                SafeString(' aria-current="true"') if c.current else "",
            )
            for c in shown.cells
        ),
    )
    return {"lane": shown, "cells": cells}


@register.inclusion_tag("web/parts/filters.html")
def legend(counts: Iterable[parts.Count]) -> dict[str, Any]:
    """Filters that are the legend: each state with its cell and its count, which opens it."""
    return {"counts": counts}


@register.inclusion_tag("web/parts/five.html")
def counts(shown: Iterable[parts.Count], label: str = "") -> dict[str, Any]:
    """A strip of counts by state, side by side; `current` ones are lit."""
    return {"counts": [(one, states.ICONS[one.css]) for one in shown], "label": label}


@register.inclusion_tag("web/parts/slip.html")
def slip(gates: Iterable[parts.Gate], not_asked: int = 0) -> dict[str, Any]:
    """A permission slip: gates in order with their input, the stopping one tinted, later ones said to be not asked."""
    return {"gates": [(gate, states.ICONS[gate.css]) for gate in gates], "not_asked": not_asked}


@register.inclusion_tag("web/parts/facts.html", takes_context=True)
def facts(context: Context, rows: Iterable[parts.Fact], caption: str = "") -> dict[str, Any]:
    """Facts: value, source, age; what another source says stands in the row."""
    return {"facts": list(rows), "caption": caption or _("Facts"), "now": moment_of(context)}


@register.inclusion_tag("web/parts/kv.html")
def pairs(rows: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Plain properties: (name, value)."""
    return {"rows": rows}


def event_of(entry: Any) -> parts.Event:
    """An entry of the audit trail (or anything like it) as an event of a timeline."""
    if isinstance(entry, parts.Event):
        return entry
    detail = entry.detail if isinstance(entry.detail, dict) else {"reason": entry.detail or ""}
    label = entry.verb_label
    if entry.object_type == "kernel.signoffround" and "level" in detail:
        label = _("%(verb)s, level “%(level)s”") % {"verb": label, "level": detail["level"]}
    if entry.outcome == Outcome.REFUSED:
        css, label = "st-bad", _("Attempt refused: %(verb)s") % {"verb": label}
    else:
        machine, after = entry.object_type, entry.after_state
        css = states.look(machine, after).css if states.is_known(machine, after) else "st-open"
    return parts.Event(label, entry.actor_name, entry.effective_at, css, str(detail.get("reason", "")))


@register.inclusion_tag("web/parts/timeline.html", takes_context=True)
def timeline(context: Context, entries: Iterable[Any], empty: str = "") -> dict[str, Any]:
    """The history, newest first: `parts.Event`s or entries of the audit trail."""
    events = [event_of(entry) for entry in entries]
    return {
        "events": [(one, one.icon or states.ICONS[one.css]) for one in events],
        "now": moment_of(context),
        "empty": empty,
    }


@register.inclusion_tag("web/parts/log.html")
def log(
    title: str, lines: Iterable[parts.LogLine], subtitle: str = "", css: str = "", word: str = "", is_open: bool = False
) -> dict[str, Any]:
    """A drawer with the log of a target."""
    return {
        "title": title,
        "lines": lines,
        "subtitle": subtitle,
        "css": css,
        "word": word,
        "is_open": is_open,
        "slug": slugify(title),
    }


@register.inclusion_tag("web/parts/todo.html")
def todo(items: Iterable[parts.Todo]) -> dict[str, Any]:
    """What waits for this person."""
    return {"items": [(one, states.ICONS[one.css]) for one in items]}


@register.inclusion_tag("web/parts/empty.html")
def empty(title: str, advice: str = "", url: str = "", label: str = "", symbol: str = "open") -> dict[str, Any]:
    """Nothing here, and what to do next."""
    return {"title": title, "advice": advice, "url": url, "label": label, "symbol": symbol}


@register.inclusion_tag("web/parts/table.html", takes_context=True)
def table(context: Context, shown: Any, caption: str = "") -> dict[str, Any]:
    """A `tables.Listing` (or `tables.Table`) as a table that becomes records below 760 px."""
    return {
        "table": shown,
        "caption": caption or shown.caption,
        "now": moment_of(context),
        "request": context.get("request"),
    }


@register.inclusion_tag("web/parts/pages.html")
def pages(page: Any) -> dict[str, Any]:
    """Newer and older, by cursor."""
    return {"page": page}


@register.inclusion_tag("web/parts/filterbar.html")
def filterbar(listing: Any) -> dict[str, Any]:
    """The filters of a listing as a form that works by GET, and what is set now."""
    return {"listing": listing}


@register.inclusion_tag("web/parts/form.html")
def form(shown: Any) -> dict[str, Any]:
    """The fields of a Django form with its summary of errors; the form element and its button are the page's."""
    return {"form": shown, "errors": [field for field in shown if field.errors and not field.is_hidden]}


@register.inclusion_tag("web/parts/field.html")
def field(bound: Any) -> dict[str, Any]:
    """One field: label, hint, error, control."""
    return {"field": bound, "kind": getattr(bound.field.widget, "input_type", "")}
