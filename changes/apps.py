"""The app changes."""

from django.apps import AppConfig


class ChangesConfig(AppConfig):
    name = "changes"
    label = "changes"

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("changes")
