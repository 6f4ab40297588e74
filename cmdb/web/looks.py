"""How the states of cmdb look: colour, icon and word, said once."""

from django.utils.translation import gettext_lazy as _

from patchflow.web import states

states.register(
    "cmdb.configurationitem",
    {
        "planned": ("st-wait", _("planned")),
        "in_service": ("st-good", _("in service")),
        "retired": ("st-open", _("retired")),
    },
)
states.register(
    "cmdb.distributionpoint",
    {"in_service": ("st-good", _("in service")), "retired": ("st-open", _("retired"))},
)
states.register(
    "cmdb.pointanswer",
    {
        "answering": ("st-good", _("answering")),
        "silent": ("st-bad", _("not answering")),
        "unknown": ("st-unk", _("unknown")),
    },
)
states.register(
    "cmdb.freshness",
    {
        "fresh": ("st-good", _("audited")),
        "stale": ("st-unk", _("stale")),
        "never": ("st-unk", _("never audited")),
    },
)
states.register(
    "cmdb.restart",
    {
        "True": ("st-warn", _("needed")),
        "False": ("st-good", _("not needed")),
        "None": ("st-unk", _("unknown")),
    },
)
states.register(
    "cmdb.scanrun",
    {
        "queued": ("st-wait", _("queued")),
        "running": ("st-run", _("running")),
        "completed": ("st-good", _("completed")),
        "partial": ("st-warn", _("partial")),
        "failed": ("st-bad", _("failed")),
        "lost": ("st-unk", _("lost")),
        "cancelled": ("st-open", _("cancelled")),
    },
)
states.register(
    "cmdb.scanresult",
    {
        "pending": ("st-wait", _("pending")),
        "scanned": ("st-good", _("scanned")),
        "partial": ("st-warn", _("scanned in part")),
        "failed": ("st-bad", _("not scanned")),
        "lost": ("st-unk", _("lost")),
        "cancelled": ("st-open", _("left out")),
    },
)
states.register(
    "cmdb.baseline",
    {
        "draft": ("st-open", _("draft")),
        "proposed": ("st-wait", _("proposed")),
        "approved": ("st-good", _("approved")),
        "superseded": ("st-open", _("superseded")),
        "retired": ("st-open", _("retired")),
    },
)
states.register(
    "cmdb.baselineresult",
    {
        "below": ("st-bad", _("below")),
        "at": ("st-good", _("at")),
        "above": ("st-warn", _("above")),
        "exempt": ("st-open", _("exempt")),
        "unknown": ("st-unk", _("unknown")),
    },
)
states.register(
    "cmdb.standing",
    {
        "below": ("st-bad", _("below baseline")),
        "at": ("st-good", _("at baseline")),
        "above": ("st-warn", _("above baseline")),
        "exempt": ("st-open", _("exempt from baseline")),
        "unknown": ("st-unk", _("baseline result unknown")),
    },
)
states.register(
    "cmdb.exemption",
    {
        "requested": ("st-wait", _("requested")),
        "granted": ("st-good", _("granted")),
        "expired": ("st-open", _("expired")),
        "revoked": ("st-open", _("revoked")),
        "refused": ("st-bad", _("refused")),
    },
)
states.register(
    "cmdb.discrepancy",
    {
        "open": ("st-warn", _("open")),
        "explained": ("st-good", _("explained")),
        "corrected": ("st-good", _("corrected")),
        "handed_to_problem_management": ("st-open", _("handed to problem management")),
    },
)
states.register(
    "cmdb.pending",
    {
        "True": ("st-bad", _("security")),
        "False": ("st-open", _("other")),
        "None": ("st-unk", _("unknown")),
    },
)
