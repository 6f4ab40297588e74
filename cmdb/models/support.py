"""Support groups: the people behind the name that a configuration item carries. They are told where an item has no owner;
their lead is the next who is told when its representative stays silent."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Audited


class SupportGroup(Audited):
    """People who look after configuration items; items name it (`ConfigurationItem.support_group`)."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    lead = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("lead")
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="support_groups", verbose_name=_("members"))

    class Meta:
        ordering = ["name"]
        verbose_name = _("support group")

    def __str__(self) -> str:
        return self.name
