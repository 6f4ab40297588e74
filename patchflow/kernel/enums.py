"""Choice sets of the kernel."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    access__user={
        "logged_in": "Logged in",
        "logged_out": "Logged out",
        "login_failed": "Log-in failed",
        "password_changed": "Password changed",
        "created": "User created",
        "deactivated": "Deactivated",
        "reactivated": "Reactivated",
        "role_granted": "Role granted",
        "token_given": "Token given",
        "token_revoked": "Token revoked",
        "role_revoked": "Role revoked",
    },
    access__substitute={"named": "Substitute named", "ended": "Substitution ended"},
    signoff__round={
        "opened": "Approval requested",
        "signed": "Signed",
        "refused": "Refused to sign",
        "level_passed": "Level passed",
        "passed": "Round passed",
        "round_refused": "Round refused",
        "voided": "Round void",
        "expired": "Round expired",
        "withdrawn": "Round withdrawn",
        "reminded": "Reminded",
    },
    settings={
        "kill_switch": "Kill switch set",
        "kill_switch_on": "Kill switch turned on",
        "kill_switch_off": "Kill switch turned off",
        "changed": "Setting changed",
        "trial_entered": "Trial mode entered",
        "trial_left": "Trial mode left",
    },
    audit__trail={"verified": "Trail verified"},
)


class RoundState(models.TextChoices):
    OPEN = "open", _("open")
    PASSED = "passed", _("passed")
    REFUSED = "refused", _("refused")
    VOID = "void", _("void")
    EXPIRED = "expired", _("expired")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Verdict(models.TextChoices):
    APPROVE = "approve", _("approve")
    REFUSE = "refuse", _("refuse")


class Basis(models.TextChoices):
    """By what right somebody is asked at a level."""

    ROLE = "role", _("by their role")
    OWNER = "owner", _("as owner")
    GROUP = "group", _("from the support group")


class Quorum(models.TextChoices):
    FIRST = "first", _("first to sign")
    ALL = "all", _("all must sign")
    COUNT = "count", _("a number must sign")
    PERCENT = "percent", _("a share must sign")


class Outcome(models.TextChoices):
    DONE = "done", _("done")
    REFUSED = "refused", _("refused")
