"""Sign-off: a round decides about one digest of one subject, level after level.

A round: open → passed | refused | void | expired | withdrawn. Voters are frozen when the round opens. A sign-off is a
row that is never edited (the database refuses it).
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.enums import Basis, Quorum, RoundState, Verdict
from patchflow.kernel.models.audit import Audited
from patchflow.kernel.models.due import DueWork


class SignOffRound(Audited, DueWork):
    """One asking for a decision. `document` is what is signed, `digest` its SHA-256; `not_before` is the next deadline or reminder."""

    subject_type = models.CharField(max_length=60)
    subject_id = models.BigIntegerField()
    subject_label = models.CharField(max_length=200, blank=True)
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=30, default="approval")
    digest = models.CharField(max_length=64)
    document = models.JSONField()
    state = models.CharField(max_length=12, choices=RoundState, default=RoundState.OPEN)
    position = models.PositiveSmallIntegerField(default=1, help_text="The level that is being asked.")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")
    excluded = models.JSONField(default=dict, help_text="Who cannot sign, and why, when the round opened.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject_type", "subject_id"], condition=Q(state="open"), name="kernel_round_one_open"
            ),
            models.UniqueConstraint(fields=["subject_type", "subject_id", "number"], name="kernel_round_number"),
        ]
        verbose_name = _("sign-off round")

    def __str__(self) -> str:
        return gettext("%(subject)s · round %(n)s") % {
            "subject": self.subject_label or self.subject_type,
            "n": self.number,
        }

    @property
    def is_open(self) -> bool:
        return self.state == RoundState.OPEN


class SignOffLevel(models.Model):
    """One rung: who is asked and why, how many must sign, by when, and whom silence reaches next. With `veto` the first
    refusal refuses the round."""

    round = models.ForeignKey(SignOffRound, models.PROTECT, related_name="levels")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=80)
    quorum = models.CharField(max_length=8, choices=Quorum)
    amount = models.PositiveSmallIntegerField(default=1, help_text="A number, or a percentage.")
    deadline_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    escalate_to = models.CharField(
        max_length=40, blank=True, default="", help_text="Role that is told when this level stays silent."
    )
    veto = models.BooleanField(default=False)
    reason = models.TextField(
        blank=True, default="", help_text="Which rule asks it; empty where the kind or model does."
    )

    class Meta:
        ordering = ["round", "position"]
        constraints = [models.UniqueConstraint(fields=["round", "position"], name="kernel_level_place")]

    def __str__(self) -> str:
        return f"{self.position} · {self.name}"


class Voter(models.Model):
    """A person asked at a level, and by what right; frozen at opening. `via`: the role, the group's name, or of
    what they are owner."""

    level = models.ForeignKey(SignOffLevel, models.PROTECT, related_name="voters")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    via = models.CharField(max_length=80)
    basis = models.CharField(max_length=8, choices=Basis, default=Basis.ROLE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "user"], name="kernel_voter_once")]

    def __str__(self) -> str:
        return f"{self.user} ({self.via})"


class SignOff(models.Model):
    """A decision: by whom, for whom, on which digest, when, and why. One person counts once per round, as does a seat."""

    round = models.ForeignKey(SignOffRound, models.PROTECT, related_name="signoffs")
    level = models.ForeignKey(SignOffLevel, models.PROTECT, related_name="signoffs")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="signoffs")
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True,
        help_text="The absent person on whose seat a substitute signed.",
    )  # fmt: skip
    verdict = models.CharField(max_length=8, choices=Verdict)
    comment = models.TextField(blank=True, default="")
    digest = models.CharField(max_length=64)
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["round", "user"], name="kernel_signoff_once"),
            models.UniqueConstraint(F("round"), Coalesce("on_behalf_of", "user"), name="kernel_signoff_seat_once"),
            models.CheckConstraint(
                condition=~Q(verdict="refuse") | ~Q(comment=""), name="kernel_signoff_refusal_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.who}: {self.verdict}"

    @property
    def who(self) -> str:
        """Who signed; a substitute with the person for whom."""
        if self.on_behalf_of is None:
            return str(self.user)
        return _("%(substitute)s for %(person)s") % {"substitute": self.user, "person": self.on_behalf_of}
