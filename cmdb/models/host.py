"""A host: the computer behind a configuration item, its identity, and its facts with source and time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from cmdb.models.item import ConfigurationItem
from cmdb.remote.connection import HostKey
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from patchflow.kernel.models import User

GROUP_SCOPE = "group:"


def group_ids(scopes: Iterable[str]) -> list[int]:
    """The host groups named by scope keys (`group:7`)."""
    return [int(key.removeprefix(GROUP_SCOPE)) for key in scopes if key.startswith(GROUP_SCOPE)]


class HostQuerySet(models.QuerySet["Host"]):
    def visible_to(self, actor: User) -> HostQuerySet:
        """The hosts for which `actor` holds host.view: all, those of the granted groups, or none."""
        return self.within(actor, "host.view")

    def within(self, actor: User, capability: str) -> HostQuerySet:
        """The hosts for which `actor` holds `capability`."""
        from cmdb.models.group import GroupMember

        scopes = actor.scopes_for(capability)
        if scopes is None:
            return self
        member = GroupMember.objects.filter(host=OuterRef("pk"), group_id__in=group_ids(scopes))
        return self.filter(Exists(member)) if scopes else self.none()

    def live(self) -> HostQuerySet:
        """Those not retired."""
        return self.filter(retired_at__isnull=True)


class Host(Audited):
    """A computer, one to one with its item.

    *Fingerprint*: machine-id and the SSH host key that the connection proved; a reinstalled machine has another one.
    `last_seen_at`: it last answered; `audited_at`: its packages were last read completely; `reported_at`: when the
    newest report that was taken was collected. Digests tell an unchanged report from a changed one without reading it.
    """

    ci = models.OneToOneField(ConfigurationItem, models.PROTECT, related_name="host", verbose_name=_("item"))
    name = models.CharField(_("name"), max_length=120)
    fqdn = models.CharField(_("full name"), max_length=255, blank=True, default="")
    machine_id = models.CharField(_("machine-id"), max_length=64, blank=True, default="")
    ssh_host_key = models.TextField(_("SSH host key"), blank=True, default="")
    serial = models.CharField(_("serial number"), max_length=120, blank=True, default="")
    product_uuid = models.CharField(_("product UUID"), max_length=64, blank=True, default="")
    platform = models.ForeignKey(
        "cmdb.Platform", models.PROTECT, null=True, blank=True, related_name="hosts", verbose_name=_("platform")
    )
    kernel_running = models.CharField(_("running kernel"), max_length=120, blank=True, default="")
    boot_id = models.CharField(max_length=64, blank=True, default="")
    restart_needed = models.BooleanField(
        _("restart needed"), null=True, blank=True, help_text=_("Empty: nobody can tell.")
    )
    restart_reasons = models.JSONField(default=list, blank=True)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    audited_at = models.DateTimeField(_("audited"), null=True, blank=True)
    reported_at = models.DateTimeField(_("reported"), null=True, blank=True)
    report_source = models.CharField(max_length=40, blank=True, default="")
    report_digest = models.CharField(max_length=64, blank=True, default="")
    package_digest = models.CharField(max_length=64, blank=True, default="")
    report_errors = models.JSONField(default=list, blank=True)
    is_local = models.BooleanField(_("this computer"), default=False)
    added_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = HostQuerySet.as_manager()

    class Meta:
        verbose_name = _("host")
        constraints = [
            models.UniqueConstraint(
                fields=["machine_id", "ssh_host_key"],
                condition=Q(retired_at__isnull=True) & ~Q(machine_id="") & ~Q(ssh_host_key=""),
                name="cmdb_host_fingerprint",
            ),
            models.UniqueConstraint(fields=["name"], condition=Q(retired_at__isnull=True), name="cmdb_host_name"),
            models.UniqueConstraint(
                fields=["is_local"], condition=Q(is_local=True, retired_at__isnull=True), name="cmdb_host_one_local"
            ),
        ]
        indexes = [
            models.Index(fields=["machine_id"]),
            models.Index(fields=["fqdn"]),
            models.Index(fields=["audited_at"]),
            models.Index(fields=["platform", "retired_at"]),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def fingerprint(self) -> str:
        """`<machine-id>/SHA256:…` as manifests name the machine; empty until both are known. This very computer needs no
        host key, nothing lies in between: `<machine-id>/local` where it has none."""
        return fingerprint_of(self.machine_id, self.ssh_host_key, is_local=self.is_local)

    def scope_keys(self) -> list[frozenset[str]]:
        """One set: the groups of this host."""
        return [frozenset(f"{GROUP_SCOPE}{m.group_id}" for m in self.memberships.all())]


def fingerprint_of(machine_id: str, ssh_host_key: str, *, is_local: bool) -> str:
    """`Host.fingerprint`, of columns at hand."""
    if not machine_id or not (ssh_host_key or is_local):
        return ""
    if not ssh_host_key:
        return f"{machine_id}/local"
    return f"{machine_id}/{HostKey.from_line(ssh_host_key).fingerprint}"


class HostIdentity(models.Model):
    """What a source calls this host: the first and surest way to know it again."""

    host = models.ForeignKey(Host, models.PROTECT, related_name="identities")
    source = models.CharField(_("source"), max_length=40)
    source_id = models.CharField(_("id at the source"), max_length=200)
    since_at = models.DateTimeField()

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [models.UniqueConstraint(fields=["source", "source_id"], name="cmdb_identity_once")]

    def __str__(self) -> str:
        return f"{self.source}: {self.source_id}"


class Fact(models.Model):
    """One thing that one source says about a host. A person's row (source *person*) outranks discovery until released."""

    host = models.ForeignKey(Host, models.PROTECT, related_name="facts")
    key = models.CharField(_("fact"), max_length=80)
    value = models.JSONField(_("value"))
    source = models.CharField(_("source"), max_length=40)
    seen_at = models.DateTimeField(_("seen"))
    locked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("fact")
        constraints = [
            models.UniqueConstraint(fields=["host", "key", "source"], name="cmdb_fact_once"),
            models.CheckConstraint(
                condition=Q(source="person", locked_by__isnull=False)
                | (~Q(source="person") & Q(locked_by__isnull=True)),
                name="cmdb_fact_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"
