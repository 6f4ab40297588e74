"""Choice sets and audited verbs of content that is laid ready on hosts before their window."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    release__staging={
        "asked": "Files to be laid ready",
        "deferred": "Laying ready deferred",
        "ordered": "Laying ready ordered",
        "put_off": "Laying ready put off",
        "noted": "What is known of files being laid ready",
        "staged": "Files laid ready",
        "failed": "Files not laid ready",
        "refused": "Not laid ready",
        "unknown": "Nobody knows whether files were laid ready",
    }
)


class StagingState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    ORDERED = "ordered", _("being laid ready")
    STAGED = "staged", _("laid ready")
    FAILED = "failed", _("failed")
    REFUSED = "refused", _("not laid ready")
    UNKNOWN = "unknown", _("unknown")
