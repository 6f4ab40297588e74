"""The app cmdb."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CmdbConfig(AppConfig):
    name = "cmdb"
    label = "cmdb"
    verbose_name = _("Configuration management")

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("cmdb")
