"""The REST toolkit: it knows no app."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "patchflow.api"
    label = "patchflow_api"

    def ready(self) -> None:
        from patchflow.api import idempotency  # noqa: F401  registers its sweep
