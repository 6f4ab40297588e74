"""The app releases."""

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    name = "releases"
    label = "releases"

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("releases")
        from releases import checks  # noqa: F401 - registers them
