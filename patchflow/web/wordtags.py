"""The small words of a page as tags: icons, states, times, digests. `{% load patchflow %}` brings them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.template.context import Context
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from patchflow.kernel import sentences
from patchflow.web import icons, states, words
from patchflow.web.navigation import nav

register = template.Library()


def moment_of(context: Context) -> datetime:
    """The moment of the page: every age on it is seen from the same one."""
    now: datetime | None = context.get("now")
    return now or timezone.now()


@register.simple_tag
def icon(name: str, css: str = "i") -> SafeString:
    """An icon of the sprite, for the eye only: the word stands beside it."""
    if name not in icons.names():
        if settings.DEBUG:
            raise ValueError(f"the sprite has no icon {name!r}")
        name = "unk"
    return format_html('<svg class="{}" aria-hidden="true"><use href="#i-{}"/></svg>', css, name)


@register.simple_tag
def badge(css: str, text: Any, size: str = "", symbol: str = "") -> SafeString:
    """A state badge: `css` one of the seven classes; `size` "lg" for the page head; once per object or row."""
    look = states.Look(css, str(text), icon=symbol)
    return format_html(
        '<span class="badge-st {}{}">{}{}</span>', css, f" {size}" if size else "", icon(look.icon), text
    )


@register.simple_tag
def say(css: str, text: Any, symbol: str = "") -> SafeString:
    """A state word, inside sentences and cells."""
    look = states.Look(css, str(text), icon=symbol)
    return format_html('<span class="say {}">{}<span>{}</span></span>', css, icon(look.icon), text)


def missed(moment: datetime, now: datetime) -> SafeString:
    """A date in a cell that has passed without what it was for."""
    return say("st-bad", _("missed: %(when)s") % {"when": words.at(moment, now=now)})


def look_for(machine: Any, value: Any) -> states.Look:
    return states.look(machine, value) if isinstance(machine, str) else states.look_of(machine)


@register.simple_tag
def state(machine: Any, value: Any = None, size: str = "") -> SafeString:
    """The badge of a state: `{% state rfc %}`, or `{% state "changes.rfc" entry.after_state %}`."""
    look = look_for(machine, value)
    return badge(look.css, look.label, size, look.icon)


@register.simple_tag
def word(machine: Any, value: Any = None) -> SafeString:
    """The word of a state: as `state`, without the badge."""
    look = look_for(machine, value)
    return say(look.css, look.label, look.icon)


@register.simple_tag
def cellkey(machine: Any, value: Any = None) -> SafeString:
    """The small cell of a state, for legends."""
    look = look_for(machine, value)
    return format_html('<span class="cellkey {} {}" aria-hidden="true"></span>', look.css, look.shape)


def time_tag(moment: datetime, text: str, css: str = "") -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        timezone.localtime(moment, timezone.get_default_timezone()).isoformat(timespec="seconds"),
        words.exactly(moment),
        format_html(' class="{}"', css) if css else "",
        text,
    )


@register.simple_tag(takes_context=True)
def ago(context: Context, moment: datetime | None) -> SafeString | str:
    """How long ago, or in how long; the exact time in its title, kept fresh by the script."""
    return time_tag(moment, words.ago(moment, now=moment_of(context)), "ago") if moment else "–"


@register.simple_tag(takes_context=True)
def at(context: Context, moment: datetime | None) -> SafeString | str:
    """When, in the viewer's zone, with the zone."""
    return time_tag(moment, words.at(moment, now=moment_of(context))) if moment else "–"


@register.simple_tag(takes_context=True)
def when(context: Context, moment: datetime | None) -> SafeString | str:
    """Both, so that it also reads after "since": "today 05:22 CET, 4 h 20 min ago"."""
    return format_html("{}, {}", at(context, moment), ago(context, moment)) if moment else "–"


@register.simple_tag(takes_context=True)
def age(context: Context, moment: datetime | None) -> SafeString | str:
    """How old, for a column "Age": "6 h"."""
    return time_tag(moment, words.duration(moment_of(context) - moment), "age") if moment else "–"


NUMBER = re.compile(r"\b[A-Z]{2,4}-\d{4}-\d{5}\b")


@register.filter
def unbroken(text: Any) -> SafeString:
    """A heading or a cell in which no number of a record ("REL-2026-00008") is broken at a hyphen."""
    return SafeString(NUMBER.sub(r'<span class="nb">\g<0></span>', conditional_escape(text)))


@register.filter
def kept(text: Any, whose: str = "") -> Any:
    """A sentence that was kept in English, in the reader's language and zone. `"mixed"`: of a field in which a person may have
    written, whose words stay as they are. Markup stays as it is."""
    return text if isinstance(text, SafeString) or text is None else sentences.say(str(text), mixed=whose == "mixed")


@register.filter
def duration(span: timedelta | None) -> str:
    """A length of time in its two largest units."""
    return words.duration(span) if span is not None else "–"


@register.filter
def figure(value: Any) -> str:
    """A number with separators; nothing is a dash."""
    return (
        words.number(value)
        if isinstance(value, int | Decimal) and not isinstance(value, bool)
        else str("–" if value is None else value)
    )


@register.simple_tag
def digest(value: str, head: int = 3, tail: int = 2) -> SafeString | str:
    """A digest in short form; the whole one in its title and, with the script, in the clipboard on click."""
    if not value:
        return "–"
    return format_html(
        '<code class="dg" title="{}" data-copy="{}">{}</code>',
        value,
        value,
        words.short_digest(value, head=head, tail=tail),
    )


@register.simple_tag
def symbol(css: str) -> SafeString:
    """The icon of one of the seven classes."""
    return icon(states.ICONS[css])


@register.filter
def place(where: str | None) -> str:
    """In which place of the menu an address of this site lies; empty for one that lies in none, or on another site."""
    try:
        parts = urlsplit(str(where or ""))
        name = "" if parts.netloc else resolve(parts.path).view_name
    except (Resolver404, ValueError):
        return ""
    return str(next((one.label for one in nav.places if one.covers(name)), ""))


@register.filter
def safe_address(where: str | None) -> bool:
    """Whether `where` is an address that may stand in a link: of this site, of this page, or of the web."""
    text = str(where or "")
    return text.startswith(("#", "?", "http://", "https://")) or (text.startswith("/") and not text.startswith("//"))
