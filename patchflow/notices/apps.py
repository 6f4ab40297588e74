"""Notices: what people are told, in whose words, through which channel, and once."""

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "patchflow.notices"
    label = "notices"

    def ready(self) -> None:
        from patchflow.notices import delivery, receivers  # noqa: F401  registers its sweep and what it hears
