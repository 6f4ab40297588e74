"""The words of a notice: one set of facts, told to an audience, in a language, with times in a zone."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from patchflow.kernel.models import User
from patchflow.notices import facts as said
from patchflow.notices.enums import Audience
from patchflow.notices.kinds import find


@dataclass(frozen=True)
class Text:
    """What a person reads."""

    title: str
    body: str


@dataclass(frozen=True)
class Voice:
    """In which language, with times of which zone, for which audience."""

    language: str
    zone: str
    audience: str = Audience.TEAM

    @classmethod
    def of(cls, user: User, audience: str = Audience.TEAM) -> Voice:
        known = {code for code, _name in settings.LANGUAGES}
        return cls(user.language if user.language in known else settings.LANGUAGE_CODE, user.time_zone, audience)


def word(*, kind: str, facts: Mapping[str, Any], voice: Voice, at: datetime, url: str = "") -> Text:
    """The notice in this voice. `facts` as `facts.take` made them; `at`: when it is written."""
    template: Any = get_template(find(kind).template(voice.audience))
    context = {"url": settings.BASE_URL + url if url else "", "at": at, **said.give(dict(facts))}
    with translation.override(voice.language), timezone.override(zone_of(voice.zone)):
        text = template.template.render(Context(context, autoescape=False)).strip()
        title, _newline, body = text.partition("\n")
        if said.holds(facts, find(kind).simulated):
            title = _("Simulated: %(title)s") % {"title": title}
    return Text(" ".join(title.split())[:200], body.strip())


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The zone of this name; UTC if there is none."""
    try:
        return zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
