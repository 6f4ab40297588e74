"""How the states of changes look: said once per machine."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from patchflow.web import states

states.register(
    "changes.rfc",
    {
        "draft": ("st-open", _("draft")),
        "submitted": ("st-wait", _("submitted")),
        "evaluating": ("st-wait", _("evaluating")),
        "awaiting_approval": ("st-wait", _("awaiting approval")),
        "authorized": ("st-good", _("authorized")),
        "implementing": ("st-run", _("implementing")),
        "suspended": ("st-warn", _("suspended")),
        "in_review": ("st-wait", _("in review")),
        "closed": ("st-good", _("closed")),
        "rejected": ("st-bad", _("rejected")),
        "cancelled": ("st-open", _("cancelled")),
    },
)
states.register(
    "changes.cycle",
    {
        "assess": ("st-open", _("assess")),
        "identify": ("st-wait", _("identify")),
        "evaluate_and_plan": ("st-wait", _("evaluate and plan")),
        "deploy": ("st-run", _("deploy")),
        "completed": ("st-good", _("completed")),
    },
)
states.register(
    "changes.changemodel",
    {
        "draft": ("st-open", _("draft")),
        "proposed": ("st-wait", _("proposed")),
        "approved": ("st-good", _("approved")),
        "retired": ("st-open", _("retired")),
    },
)
states.register(
    "changes.phasestep",
    {"open": ("st-open", _("open")), "done": ("st-good", _("done")), "waived": ("st-warn", _("waived"))},
)
states.register(
    "changes.changetask",
    {
        "open": ("st-wait", _("open")),
        "in_progress": ("st-run", _("in progress")),
        "done": ("st-good", _("done")),
        "not_needed": ("st-open", _("not needed")),
        "cancelled": ("st-open", _("cancelled")),
    },
)
states.register(
    "changes.meeting",
    {
        "planned": ("st-open", _("planned")),
        "agenda_published": ("st-wait", _("agenda published")),
        "in_session": ("st-run", _("in session")),
        "minuted": ("st-good", _("minuted")),
        "postponed": ("st-warn", _("postponed")),
        "cancelled": ("st-open", pgettext_lazy("meeting", "cancelled")),
    },
)
states.register(
    "changes.agendaitem",
    {
        "open": ("st-wait", _("waiting")),
        "now": ("st-run", _("before the board")),
        "passed": ("st-good", _("approved")),
        "refused": ("st-bad", _("refused")),
        "decided": ("st-good", _("decided")),
        "carried_over": ("st-warn", _("carried over")),
        "withdrawn": ("st-open", _("withdrawn")),
    },
)
states.register(
    "changes.presence",
    {
        "invited": ("st-wait", _("invited")),
        "present": ("st-good", _("present")),
        "excused": ("st-open", _("excused")),
        "absent": ("st-warn", _("absent")),
    },
)
states.register(
    "kernel.substitution",
    {"coming": ("st-wait", _("named")), "now": ("st-run", _("in force")), "over": ("st-open", _("over"))},
)
states.register("changes.route", {"in_force": ("st-good", _("in force")), "retired": ("st-open", _("retired"))})
states.register(
    "changes.risk",
    {"low": ("st-good", _("low")), "medium": ("st-warn", _("medium")), "high": ("st-bad", _("high"))},
)
states.register(
    "changes.rfctarget",
    {
        "planned": ("st-wait", _("planned")),
        "done": ("st-good", _("done")),
        "owed": ("st-warn", _("owed")),
        "not_needed": ("st-open", _("not needed")),
        "left": ("st-open", _("left")),
    },
)
