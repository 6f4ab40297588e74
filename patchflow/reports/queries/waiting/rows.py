"""What all that waits for a person has in common: how much is read of each kind, and the words of its clock."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _

from patchflow.web import words

MANY = 8
"""How many of each kind are shown; the rest is behind "all"."""

WAITING = 100
"""How much of each kind that waits is counted."""


def span(since: datetime | None, at: datetime, until: datetime | None = None) -> str:
    """ "since 3 h · until 20 Nov, 14:00, in 2 d", "since 3 h · overdue by 4 h"."""
    said = [_("since %(age)s") % {"age": words.duration(at - since)}] if since else []
    if until and until > at:
        said.append(
            _("until %(when)s, in %(left)s") % {"when": words.at(until, now=at), "left": words.duration(until - at)}
        )
    elif until:
        said.append(_("overdue by %(age)s") % {"age": words.duration(at - until)})
    return " · ".join(said)
