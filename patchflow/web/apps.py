"""The web toolkit as a Django app: shell, components, tables. It knows no app of the product."""

from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "patchflow.web"
    label = "web"
    verbose_name = "Web toolkit"

    def ready(self) -> None:
        from patchflow.kernel.saved_filters import lists_are_read_by
        from patchflow.web import checks, looks, places  # noqa: F401  all register by being imported
        from patchflow.web.tables.saving import read_address

        lists_are_read_by(read_address)
