"""The kernel app."""

from django.apps import AppConfig


class KernelConfig(AppConfig):
    name = "patchflow.kernel"
    label = "kernel"
    verbose_name = "Patchflow kernel"

    def ready(self) -> None:
        from patchflow.kernel import access, checks, timestamps  # noqa: F401  registers receivers and system checks
