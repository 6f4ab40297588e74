"""The audit trail. Entries of one object form a hash chain; seals fold entries into Merkle roots, chained to one another.

Entries, leaves and seals are append-only: the database refuses UPDATE, DELETE and TRUNCATE (kernel migration 0002).
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext

from patchflow.kernel.enums import Outcome
from patchflow.kernel.fsm import Stateful
from patchflow.kernel.integrity import EMPTY
from patchflow.kernel.registry import VERBS


class Audited(Stateful):
    """A row with a chain of its own: it carries the chain's length and head, so that writers of other rows never wait."""

    audit_length = models.PositiveIntegerField(default=0, editable=False)
    audit_head = models.CharField(max_length=64, default=EMPTY, editable=False)

    class Meta:
        abstract = True

    @property
    def audit_chain(self) -> str:
        return f"{self._meta.label_lower}:{self.pk}"


class NamedChain(Audited):
    """A chain for what has no object: log-ins, settings, attempts on things that do not exist."""

    name = models.CharField(max_length=60, unique=True)

    def __str__(self) -> str:
        return self.name

    @property
    def audit_chain(self) -> str:
        return f"#{self.name}"


class AuditEntry(models.Model):
    """One act, or one refused attempt. `hash` covers everything but `recorded_at`, which the seal's leaf covers."""

    chain = models.CharField(max_length=100)
    seq = models.PositiveIntegerField()
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=40, blank=True)
    object_label = models.CharField(max_length=200, blank=True)
    verb = models.CharField(max_length=80)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    actor_name = models.CharField(max_length=150)
    correlation_id = models.CharField(max_length=64, blank=True)
    before_state = models.CharField(max_length=40, blank=True)
    after_state = models.CharField(max_length=40, blank=True)
    detail = models.JSONField(default=dict)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "seq"], name="kernel_auditentry_place")]
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"]),
            models.Index(fields=["verb", "-id"]),
            models.Index(fields=["actor", "-id"]),
            models.Index(fields=["correlation_id"]),
        ]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")

    def __str__(self) -> str:
        return f"{self.chain} #{self.seq} {self.verb}"

    @property
    def verb_label(self) -> str:
        return pgettext("trail", VERBS[self.verb]) if self.verb in VERBS else self.verb

    def document(self) -> dict[str, object]:
        """What the hash covers."""
        return {
            "chain": self.chain,
            "seq": self.seq,
            "object": [self.object_type, self.object_id, self.object_label],
            "verb": self.verb,
            "outcome": self.outcome,
            "actor": [self.actor_id, self.actor_name],
            "correlation_id": self.correlation_id,
            "states": [self.before_state, self.after_state],
            "detail": self.detail,
            "effective_at": self.effective_at,
        }


class AuditSeal(models.Model):
    """A Merkle root over entries, chained to the seal before. `floor`: every entry id at or below it is in a seal."""

    number = models.PositiveBigIntegerField(unique=True)
    count = models.PositiveIntegerField()
    root = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    floor = models.BigIntegerField(default=0)
    sealed_at = models.DateTimeField()

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"seal {self.number}"


class AuditLeaf(models.Model):
    """The place of an entry in a seal: (seal number, position) is the order in which others read the log."""

    entry = models.OneToOneField(AuditEntry, models.PROTECT, related_name="leaf")
    seal = models.ForeignKey(AuditSeal, models.PROTECT, related_name="leaves")
    position = models.PositiveIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["seal", "position"], name="kernel_auditleaf_place")]

    def __str__(self) -> str:
        return f"{self.seal_id}/{self.position}"
