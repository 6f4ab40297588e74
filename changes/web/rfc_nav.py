"""The places of changes, boards and cycles in the rail."""

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from changes.enums_meeting import MeetingState
from changes.models import Meeting
from changes.queries.board import waiting_for
from changes.web import looks  # noqa: F401  registers how states look
from patchflow.web.navigation import nav


def waits(request: HttpRequest) -> int | None:
    """How many decisions wait for this person."""
    return waiting_for(request.user, at=timezone.now()).count() or None  # type: ignore[arg-type]


def called(request: HttpRequest) -> int | None:
    """How many published meetings this person is called to, or sits in."""
    mine = Meeting.objects.filter(state__in=[MeetingState.AGENDA_PUBLISHED, MeetingState.IN_SESSION])
    return mine.filter(attendees__user=request.user).count() or None  # type: ignore[misc]


def sees_changes(request: HttpRequest) -> bool:
    return request.user.holds_somewhere("rfc.view")  # type: ignore[union-attr]


nav.add("evaluate", _("Changes"), "changes:rfc-list", "rfc", 10, permission=sees_changes, under=("changes:rfc-",))
nav.add("evaluate", _("Change tasks"), "changes:changetask-list", "list", 15, permission=sees_changes)
nav.add(
    "evaluate",
    _("Board"),
    "changes:board-list",
    "board",
    20,
    badge=waits,
    under=("changes:board-", "changes:substitute-"),
)
nav.add(
    "evaluate",
    _("Meetings"),
    "changes:meeting-list",
    "people",
    22,
    badge=called,
    permission=sees_changes,
    under=("changes:meeting-",),
)
nav.add("evaluate", _("Cycles"), "changes:cycle-list", "cycle", 30, permission=sees_changes, under=("changes:cycle-",))
nav.add(
    "evaluate",
    _("Change models"),
    "changes:model-list",
    "rfc",
    40,
    permission=sees_changes,
    under=("changes:model-", "changes:route-"),
)
