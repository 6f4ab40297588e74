"""Choice sets and audited verbs of telling people about rings."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    release__ring={
        "acknowledged": "Notice acknowledged",
        "silence_answered": "Reminded, or passed on",
    },
    release__delay={
        "asked": "Delay asked for",
        "granted": "Delay granted",
        "refused": "Delay refused",
        "withdrawn": "Request for delay withdrawn",
    },
)


class Via(models.TextChoices):
    """Why a person is told."""

    OWNER = "owner", _("owner")
    SUPPORT = "support_group", _("support group")


class DelayState(models.TextChoices):
    ASKED = "asked", _("asked")
    GRANTED = "granted", _("granted")
    REFUSED = "refused", _("refused")
    WITHDRAWN = "withdrawn", _("withdrawn")
