"""The app releases."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReleasesConfig(AppConfig):
    name = "releases"
    label = "releases"
    verbose_name = _("Releases")

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("releases")
        from releases import checks  # noqa: F401 - registers them
