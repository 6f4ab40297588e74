"""The kernel app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class KernelConfig(AppConfig):
    name = "patchflow.kernel"
    label = "kernel"
    verbose_name = _("People, decisions and the trail")

    def ready(self) -> None:
        from patchflow.kernel import access, checks, timestamps  # noqa: F401  registers receivers and system checks
