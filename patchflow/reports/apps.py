"""The roof: pages and views that read all apps and write nothing."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "patchflow.reports"
    label = "reports"

    def ready(self) -> None:
        from patchflow.kernel.loading import load_domain

        load_domain("patchflow.reports")
