"""The web toolkit as a Django app: shell, components, tables. It knows no app of the product."""

from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "patchflow.web"
    label = "web"
    verbose_name = "Web toolkit"

    def ready(self) -> None:
        from patchflow.web import checks, looks  # noqa: F401  both register by being imported
