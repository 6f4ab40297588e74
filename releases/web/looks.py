"""How the states of releases, builds, tests and reviews look: said once per machine."""

from django.utils.translation import gettext_lazy as _

from patchflow.web import states

states.register(
    "releases.release",
    {
        "planning": ("st-open", _("planning")),
        "building": ("st-run", _("building")),
        "testing": ("st-run", _("testing")),
        "scheduling": ("st-wait", _("scheduling")),
        "awaiting_readiness": ("st-wait", _("awaiting readiness")),
        "ready": ("st-good", _("ready")),
        "deploying": ("st-run", _("deploying")),
        "deployed": ("st-wait", _("deployed")),
        "rolling_back": ("st-warn", _("rolling back")),
        "rolled_back": ("st-warn", _("rolled back")),
        "completed": ("st-good", _("completed")),
        "cancelled": ("st-open", _("cancelled")),
    },
)
states.register(
    "releases.outcome",
    {
        "full": ("st-good", _("full")),
        "partial": ("st-warn", _("partial")),
        "failed": ("st-bad", _("failed")),
        "rolled_back": ("st-warn", _("rolled back")),
        "rolled_back_partly": ("st-bad", _("rolled back partly")),
    },
)
states.register(
    "releases.build",
    {"pending": ("st-run", _("pending")), "built": ("st-good", _("built")), "failed": ("st-bad", _("failed"))},
)
states.register(
    "releases.acceptancerun",
    {
        "planned": ("st-wait", _("planned")),
        "running": ("st-run", _("running")),
        "passed": ("st-good", _("passed")),
        "failed": ("st-bad", _("failed")),
        "inconclusive": ("st-unk", _("inconclusive")),
    },
)
states.register(
    "releases.acceptancestep",
    {
        "passed": ("st-good", _("passed")),
        "failed": ("st-bad", _("failed")),
        "skipped": ("st-open", _("skipped")),
        "unknown": ("st-unk", _("unknown")),
    },
)
states.register(
    "releases.hoststep",
    {
        "proposed": ("st-wait", _("proposed")),
        "approved": ("st-good", _("approved")),
        "refused": ("st-bad", _("refused")),
        "retired": ("st-open", _("retired")),
    },
)
states.register(
    "releases.readinessreview",
    {
        "open": ("st-wait", _("open")),
        "go": ("st-good", _("go")),
        "no_go": ("st-bad", _("no-go")),
        "void": ("st-warn", _("void")),
    },
)
states.register(
    "releases.periodicreview",
    {"open": ("st-wait", _("open")), "completed": ("st-good", _("completed"))},
)
states.register(
    "releases.periodicaction",
    {"open": ("st-wait", _("open")), "done": ("st-good", _("done")), "dropped": ("st-open", _("dropped"))},
)
states.register(
    "releases.amendment",
    {
        "proposed": ("st-wait", _("proposed")),
        "adopted": ("st-good", _("adopted")),
        "refused": ("st-bad", _("refused")),
        "withdrawn": ("st-open", _("withdrawn")),
    },
)
states.register(
    "releases.postimplementationreview",
    {"open": ("st-wait", _("open")), "completed": ("st-good", _("completed"))},
)
