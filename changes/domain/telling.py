"""The kinds of notices that changes tells, with their facts; the words are in `templates/notices`."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from patchflow.notices.kinds import kind

RFC = {"rfc.number": str, "rfc.title": str}
ASKED = {"what": str, "title": str}
LEVEL = {"level.position": int, "level.name": str, "level.deadline_at": datetime}
GLASS = {"asked.asked_by": str, "asked.broken_by": str, "asked.reason": str, "asked.review_due_at": datetime}

kind(
    "approval_requested",
    _("Something waits for your decision"),
    facts=ASKED | LEVEL,
    about="subject",
    view="rfc.view",
    duty=True,
)
kind(
    "approval_reminded", _("Something still waits for your decision"), facts=ASKED | LEVEL, about="subject", view="rfc.view",
    duty=True, urgent=True,
)  # fmt: skip
kind(
    "approval_escalated", _("A board stays silent"), facts=ASKED | LEVEL | {"silent": list}, about="subject", view="rfc.view",
    duty=True, urgent=True,
)  # fmt: skip
kind(
    "approval_ended", _("A change is authorized or refused"),
    facts=RFC | {"ended": str, "round.reason": str, "refusals": list}, about="rfc", view="rfc.view", open_to_all=True,
)  # fmt: skip
kind(
    "glass_asked", _("Somebody asks you to break the glass"), facts=RFC | GLASS, about="rfc", view="rfc.view", duty=True,
    urgent=True,
)  # fmt: skip
kind(
    "glass_review_due",
    _("Broken glass waits for its review"),
    facts=RFC | GLASS,
    about="rfc",
    view="rfc.view",
    duty=True,
)
kind(
    "rfc_superseded", _("An update of a change was replaced or withdrawn"), facts=RFC | {"reason": str}, about="rfc", view="rfc.view",
    duty=True,
)  # fmt: skip
kind(
    "rfc_mentioned", _("Somebody names you in a discussion"), facts=RFC | {"comment.by": str, "comment.text": str}, about="rfc",
    view="rfc.view",
)  # fmt: skip
TASK = RFC | {"task.number": str, "task.title": str, "task.due_at": datetime}
kind("task_given", _("A task of a change is given to you"), facts=TASK, about="rfc", view="rfc.view")
kind(
    "task_overdue", _("A task of a change is overdue"), facts=TASK, about="rfc", view="rfc.view", duty=True, urgent=True
)  # fmt: skip
MEETING = {"meeting.number": str, "board": str}
kind(
    "meeting_agenda", _("You are called to a meeting"),
    facts=MEETING | {"meeting.starts_at": datetime, "meeting.place": str, "items": list}, about="meeting", duty=True,
)  # fmt: skip
kind(
    "meeting_moved", _("A meeting is postponed or cancelled"), facts=MEETING | {"meeting.reason": str, "to": datetime},
    about="meeting", duty=True, urgent=True,
)  # fmt: skip
kind("meeting_minuted", _("Minutes are sealed"), facts=MEETING | {"digest": str}, about="meeting")
