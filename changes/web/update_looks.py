"""How the states of Identify look: said once."""

from django.utils.translation import gettext_lazy as _

from patchflow.web import states

states.register(
    "changes.verdict",
    {
        "applicable": ("st-bad", _("missing")),
        "applicable_after_channel": ("st-warn", _("missing, needs a channel")),
        "fixed_pending_restart": ("st-warn", _("restart pending")),
        "unknown": ("st-unk", _("unknown")),
        "no_fix": ("st-warn", _("no fix")),
        "fixed": ("st-good", _("fixed")),
        "not_applicable": ("st-open", _("not applicable")),
        "exempt": ("st-open", _("exempt")),
    },
)
states.register(
    "changes.updateclass",
    {
        "critical": ("st-bad", _("critical")),
        "high": ("st-warn", _("high")),
        "medium": ("st-open", _("medium")),
        "low": ("st-open", _("low")),
    },
)
states.register(
    "changes.response",
    {
        "undecided": ("st-wait", _("undecided")),
        "carried": ("st-run", _("in a change")),
        "deploy": ("st-run", _("deploy")),
        "workaround": ("st-warn", _("workaround")),
        "wait_for_rollup": ("st-open", _("wait for rollup")),
        "decline": ("st-open", _("decline")),
    },
)
states.register(
    "changes.feed",
    {
        "fresh": ("st-good", _("fresh")),
        "polling": ("st-run", _("being polled")),
        "held": ("st-wait", _("held: a person decides")),
        "failed": ("st-bad", _("failed")),
        "stale": ("st-unk", _("stale")),
        "new": ("st-wait", _("not polled yet")),
        "off": ("st-open", _("switched off")),
    },
)
states.register(
    "changes.feedrun",
    {
        "queued": ("st-wait", _("queued")),
        "running": ("st-run", _("running")),
        "completed": ("st-good", _("completed")),
        "held": ("st-wait", _("held")),
        "failed": ("st-bad", _("failed")),
        "refused": ("st-bad", _("refused")),
    },
)
states.register(
    "changes.advisory",
    {
        "current": ("st-good", _("current")),
        "withdrawn": ("st-warn", _("withdrawn by the vendor")),
        "vanished": ("st-unk", _("no longer listed")),
    },
)
