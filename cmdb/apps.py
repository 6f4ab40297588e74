"""The app cmdb."""

from django.apps import AppConfig


class CmdbConfig(AppConfig):
    name = "cmdb"
    label = "cmdb"

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("cmdb")
