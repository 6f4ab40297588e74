"""The app changes."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    name = "changes"
    label = "changes"
    verbose_name = _("Changes")

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("changes")
