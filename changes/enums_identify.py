"""Choice sets and audited verbs of Identify: feeds, advisories, the catalogue, applicability, files."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    change__feed={
        "added": "Feed added",
        "revised": "Feed revised",
        "enabled": "Feed enabled",
        "disabled": "Feed disabled",
        "requested": "Poll requested",
        "started": "Poll started",
        "completed": "Poll completed",
        "held": "Poll held: too many records would be lost",
        "loss_accepted": "Loss of records accepted",
        "loss_refused": "Loss of records refused",
        "failed": "Poll failed",
        "lost": "Poll lost",
    },
    change__update={
        "notified": "Update notified",
        "merged": "Reported update merged with an advisory",
        "responded": "Response decided",
        "classified": "Class changed",
        "withdrawn": "Update withdrawn by the vendor",
    },
    change__exploited={"recorded": "Known exploited vulnerabilities recorded"},
    change__files={
        "registered": "Files registered",
        "verified": "Files verified",
        "refused": "Files refused",
    },
)


class LocationKind(models.TextChoices):
    URL = "url", _("web address")
    FILE = "file", _("file")
    FOLDER = "folder", _("folder")
    ARCHIVE = "archive", _("archive")


class FeedRunState(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    COMPLETED = "completed", _("completed")
    HELD = "held", _("held")
    FAILED = "failed", _("failed")
    REFUSED = "refused", _("refused")


class AdvisoryStatus(models.TextChoices):
    """`vanished`: the source no longer lists it and says nothing else; that is not "fixed"."""

    CURRENT = "current", _("current")
    WITHDRAWN = "withdrawn", _("withdrawn by the vendor")
    VANISHED = "vanished", _("no longer listed")


class AdvisoryKind(models.TextChoices):
    SECURITY = "security", _("security")
    BUGFIX = "bugfix", _("bug fix")
    ENHANCEMENT = "enhancement", _("enhancement")
    NEWPACKAGE = "newpackage", _("new package")


class UpdateKind(models.TextChoices):
    """What an update is, apart from how grave it is."""

    SECURITY_PATCH = "security_patch", _("security patch")
    CRITICAL_UPDATE = "critical_update", _("critical update")
    UPDATE = "update", _("update")
    HOTFIX = "hotfix", _("hotfix")
    UPDATE_ROLLUP = "update_rollup", _("update rollup")
    SERVICE_PACK = "service_pack", _("service pack")
    INTEGRATED_SERVICE_PACK = "integrated_service_pack", _("integrated service pack")
    FEATURE_PACK = "feature_pack", _("feature pack")


class SeverityStep(models.IntegerChoices):
    """The vendors' words on one ladder; 0 where the vendor has not said, which is not low."""

    UNKNOWN = 0, _("not stated")
    NEGLIGIBLE = 1, _("negligible")
    LOW = 2, _("low")
    MODERATE = 3, _("moderate")
    IMPORTANT = 4, _("important")
    CRITICAL = 5, _("critical")


class UpdateOrigin(models.TextChoices):
    ADVISORY = "advisory", _("advisory")
    REPORTED = "reported", _("reported by hosts")


class UpdateClass(models.TextChoices):
    CRITICAL = "critical", _("critical")
    HIGH = "high", _("high")
    MEDIUM = "medium", _("medium")
    LOW = "low", _("low")


class Response(models.TextChoices):
    UNDECIDED = "undecided", _("undecided")
    DEPLOY = "deploy", _("deploy")
    WORKAROUND = "workaround", _("workaround")
    WAIT_FOR_ROLLUP = "wait_for_rollup", _("wait for rollup")
    DECLINE = "decline", _("decline")


class NameKind(models.TextChoices):
    SOURCE = "source", _("source package")
    BINARY = "binary", _("binary package")


class FixState(models.TextChoices):
    """What the vendor states for one package in one release; see `changes.feeds.base.FixState`."""

    FIXED = "fixed", _("fixed")
    NOT_AFFECTED = "not_affected", _("not affected")
    NO_FIX = "no_fix", _("no fix yet")
    WILL_NOT_FIX = "will_not_fix", _("will not be fixed")
    DEFERRED = "deferred", _("deferred")
    UNDER_INVESTIGATION = "under_investigation", _("under investigation")
    OUT_OF_SUPPORT = "out_of_support", _("out of support")
    UNPARSABLE = "unparsable", _("not readable")


class AppliesVerdict(models.TextChoices):
    """What an update is to a host. Only the first five and `unknown` are kept; the rest follows from their absence."""

    APPLICABLE = "applicable", _("missing")
    APPLICABLE_AFTER_CHANNEL = "applicable_after_channel", _("missing, needs a channel")
    FIXED_PENDING_RESTART = "fixed_pending_restart", _("restart pending")
    NO_FIX = "no_fix", _("no fix")
    UNKNOWN = "unknown", _("unknown")
    FIXED = "fixed", _("fixed")
    NOT_APPLICABLE = "not_applicable", _("not applicable")


Verdict = AppliesVerdict


class Basis(models.TextChoices):
    """Why a verdict is what it is: the rule that decided."""

    BELOW = "below", _("The installed version is below the fixed one.")
    CHANNEL = "channel", _("The fix is only in a channel that this host may not use.")
    NO_FIX = "no_fix", _("The vendor has no fixed version for this release.")
    INVESTIGATED = "investigated", _("The vendor is still investigating.")
    ORIGIN = "origin", _("The package is not the distribution's own: its advisories say nothing about it.")
    REBUILT = "rebuilt", _("The package was rebuilt from another release: this release's advisories do not judge it.")
    INSTALLED_UNREADABLE = "installed_unreadable", _("The installed version cannot be ordered.")
    FIX_UNREADABLE = "fix_unreadable", _("The fixed version cannot be ordered.")
    MODULE = "module", _("It is not known for sure which module stream is meant.")
    EPOCH = "epoch", _("It counts as fixed only because the advisory names no epoch.")
    VANISHED = "vanished", _("The source no longer lists the advisory, and says nothing else.")
    NOT_RUNNING = "not_running", _("The fixed kernel is installed, but an older one is running.")
    RUNNING_UNKNOWN = "running_unknown", _("It is not known which kernel is running.")
    REPORTED = "reported", _("The host's own package manager offers it.")
    STALE = "stale", _("What is known of the host, or of the advisories, is too old to count.")
    AT_OR_ABOVE = "at_or_above", _("The installed version is the fixed one or a later one.")
    NOT_INSTALLED = "not_installed", _("The package is not installed.")


class VerificationOutcome(models.TextChoices):
    PASSED = "passed", _("passed")
    REFUSED = "refused", _("refused")
