"""The calendar's place in the rail, and how its entries look."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from changes.web.calendar import sees_calendar
from patchflow.web import states
from patchflow.web.navigation import nav

states.register(
    "changes.freeze",
    {
        "coming": ("st-wait", _("coming")),
        "in_force": ("st-bad", _("in force")),
        "over": ("st-open", _("over")),
        "lifted": ("st-open", _("lifted")),
    },
)
states.register(
    "calendar",
    {
        "window": ("st-open", _("window")),
        "freeze": ("st-bad", _("freeze")),
        "slot": ("st-run", _("slot")),
        "start_by": ("st-warn", _("start by")),
        "last_date": ("st-wait", _("last date")),
        "meeting": states.Look("st-run", _("meeting"), icon="people"),
        "vote_by": states.Look("st-warn", _("vote by"), icon="board"),
    },
)


def sees(request: HttpRequest) -> bool:
    return sees_calendar(request.user)


nav.add("evaluate", _("Calendar"), "changes:calendar-show", "cal", 25, permission=sees,
        under=("changes:calendar-", "changes:freeze-"))  # fmt: skip
