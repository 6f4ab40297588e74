"""How a host is reached. The host key is shown and accepted by a person; our own key is held by reference only."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from cmdb.enums import ConnectionKind, KeyReference
from cmdb.models.host import Host
from cmdb.remote.connection import HostKey
from patchflow.kernel.rows import QuicklyRead


class Connection(QuicklyRead):
    """One way to one host; its history is in the host's chain.

    `host_key` is what was accepted ("ssh-ed25519 AAAA…"), `shown_key` what was last shown. `last_test_ok` NULL: never tested.
    """

    host = models.OneToOneField(Host, models.PROTECT, related_name="connection")
    kind = models.CharField(_("kind"), max_length=6, choices=ConnectionKind, default=ConnectionKind.SSH)
    address = models.CharField(_("address"), max_length=255)
    port = models.PositiveIntegerField(_("port"), default=22)
    user = models.CharField(_("user"), max_length=64, default="root")
    become = models.BooleanField(_("become root by sudo"), default=False)
    jump = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="behind", verbose_name=_("through")
    )
    key_kind = models.CharField(_("our key"), max_length=12, choices=KeyReference, default=KeyReference.ACCOUNT)
    key_reference = models.CharField(_("file or variable"), max_length=300, blank=True, default="")
    host_key = models.TextField(_("accepted host key"), blank=True, default="")
    host_key_accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    host_key_accepted_at = models.DateTimeField(null=True, blank=True)
    shown_key = models.TextField(_("shown host key"), blank=True, default="")
    shown_at = models.DateTimeField(null=True, blank=True)
    last_tested_at = models.DateTimeField(null=True, blank=True)
    last_test_ok = models.BooleanField(null=True, blank=True)
    last_test_reasons = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("connection")
        constraints = [
            models.CheckConstraint(condition=Q(port__gt=0, port__lt=65536), name="cmdb_connection_port"),
            models.CheckConstraint(
                condition=Q(host_key="") | Q(host_key_accepted_by__isnull=False, host_key_accepted_at__isnull=False),
                name="cmdb_connection_key_by_a_person",
            ),
            models.CheckConstraint(
                condition=Q(key_kind=KeyReference.ACCOUNT) | ~Q(key_reference=""), name="cmdb_connection_key_reference"
            ),
        ]

    def __str__(self) -> str:
        if self.kind == ConnectionKind.LOCAL:
            return str(_("this computer"))
        return f"{self.user}@{self.address}" + (f":{self.port}" if self.port != 22 else "")

    @property
    def is_local(self) -> bool:
        return self.kind == ConnectionKind.LOCAL

    @property
    def accepted_fingerprint(self) -> str:
        return HostKey.from_line(self.host_key).fingerprint if self.host_key else ""

    @property
    def shown_fingerprint(self) -> str:
        return HostKey.from_line(self.shown_key).fingerprint if self.shown_key else ""

    @property
    def key_waits(self) -> bool:
        """A key was shown that nobody has accepted."""
        return bool(self.shown_key) and self.shown_key != self.host_key
