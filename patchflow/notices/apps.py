"""Notices: what people are told, in whose words, through which channel, and once."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NoticesConfig(AppConfig):
    name = "patchflow.notices"
    label = "notices"
    verbose_name = _("Notices")

    def ready(self) -> None:
        from patchflow.notices import delivery, receivers  # noqa: F401  registers its sweep and what it hears
