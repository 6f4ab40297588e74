"""How the states of rollouts, rings, jobs and slips look: said once per machine."""

from django.utils.translation import gettext_lazy as _

from patchflow.web import states

states.register(
    "releases.rollout",
    {
        "planned": ("st-open", _("planned")),
        "running": ("st-run", _("running")),
        "paused": ("st-wait", _("paused")),
        "halted": ("st-bad", _("halted")),
        "stopping": ("st-warn", _("stopping")),
        "stopped": ("st-warn", _("stopped")),
        "completed": ("st-good", _("completed")),
        "cancelled": ("st-open", _("cancelled")),
    },
)
states.register(
    "releases.ring",
    {
        "pending": ("st-open", _("pending")),
        "notified": ("st-wait", _("up next")),
        "running": ("st-run", _("running")),
        "soaking": ("st-wait", _("soaking")),
        "passed": ("st-good", _("passed")),
        "failed": ("st-bad", _("failed")),
        "skipped": ("st-open", _("left out")),
    },
)
states.register(
    "releases.job",
    {
        "pending": ("st-open", _("pending"), "x-empty"),
        "claimed": ("st-run", _("let through"), "x-dot"),
        "staged": ("st-run", _("staged"), "x-quarter"),
        "installing": ("st-run", _("installing"), "x-half"),
        "restarting": ("st-run", _("restarting"), "x-three"),
        "verifying": ("st-run", _("verifying"), "x-most"),
        "succeeded": ("st-good", _("succeeded"), "x-check"),
        "not_needed": ("st-open", _("not needed"), "x-check"),
        "refused": ("st-warn", _("refused"), "x-alert"),
        "failed": ("st-bad", _("failed"), "x-cross"),
        "undone": ("st-warn", _("nothing done"), "x-dash"),
        "unknown": ("st-unk", _("out of sight"), "x-query"),
        "lost": ("st-unk", _("lost"), "x-cross"),
        "cancelled": ("st-open", _("cancelled"), "x-dash"),
    },
)
states.register(
    "releases.staging",
    {
        "waiting": ("st-open", _("waiting")),
        "ordered": ("st-run", _("being laid ready")),
        "staged": ("st-good", _("laid ready")),
        "failed": ("st-warn", _("could not be laid ready")),
        "refused": ("st-open", _("not laid ready")),
        "unknown": ("st-unk", _("nobody knows")),
    },
)
states.register(
    "releases.permissionslip",
    {"run": ("st-good", _("run")), "defer": ("st-wait", _("deferred")), "refuse": ("st-bad", _("refused"))},
)
states.register(
    "releases.knowing", {"known": ("st-good", _("knows")), "silent": ("st-wait", _("has not acknowledged"))}
)
states.register(
    "releases.delayrequest",
    {
        "asked": ("st-wait", _("asked")),
        "granted": ("st-good", _("granted")),
        "refused": ("st-bad", _("refused")),
        "withdrawn": ("st-open", _("withdrawn")),
    },
)
states.register(
    "releases.handtask",
    {
        "waiting": ("st-wait", _("waiting")),
        "begun": ("st-run", _("begun")),
        "done": ("st-run", _("reported as done")),
        "attested": ("st-warn", _("attested")),
        "could_not": ("st-bad", _("could not be done")),
        "called_off": ("st-open", _("called off")),
        "expired": ("st-open", _("not begun in time")),
    },
)
