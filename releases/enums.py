"""Choice sets and audited verbs of releases, builds, acceptance, readiness and reviews (rollouts: `enums_rollout`)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

SIMULATOR = "simulator"
"""The executor that touches no host."""

verbs(
    release__release={
        "composed": "Composed",
        "planned": "Plan changed",
        "rehearsed": "Plan rehearsed",
        "revised": "Revised",
        "build_requested": "Build requested",
        "built": "Built",
        "build_failed": "Build failed",
        "tested": "Acceptance passed",
        "test_failed": "Acceptance failed",
        "sealed": "Manifest sealed",
        "ready": "Ready",
        "no_go": "No-go",
        "voided": "Readiness void",
        "deploying": "Deployment started",
        "finished": "Deployment finished",
        "stopped": "Deployment stopped",
        "rolling_back": "Rollback started",
        "rolled_back": "Rolled back",
        "accepted": "Completed",
        "next_proposed": "Next change proposed",
        "cancelled": "Cancelled",
    },
    release__rfc={"rehearsed": "Plan rehearsed before any release"},
    release__build={"requested": "Build requested", "built": "Built", "failed": "Build failed"},
    release__acceptance={
        "planned": "Acceptance planned",
        "requested": "Acceptance run requested",
        "started": "Acceptance run started",
        "step": "Acceptance step recorded",
        "passed": "Acceptance run passed",
        "failed": "Acceptance run failed",
        "inconclusive": "Acceptance run inconclusive",
    },
    release__readiness={
        "opened": "Readiness review opened",
        "go": "Go",
        "no_go": "No-go",
        "void": "Readiness review void",
    },
    release__amendment={
        "proposed": "Late-comers proposed",
        "adopted": "Late-comers joined",
        "refused": "Late-comers refused",
        "withdrawn": "Late-comers withdrawn",
    },
    release__review={"opened": "Review opened", "answered": "Review answered", "completed": "Review completed"},
    release__profile={"defined": "Install profile defined"},
    release__demo={"begun": "Simulated demo begun", "seeded": "Simulated demo made"},
    release__slot={"configured": "Review slot configured"},
    release__periodic={
        "opened": "Review opened",
        "assigned": "Review given to a person",
        "remarked": "Remark made",
        "action_raised": "Action raised",
        "action_settled": "Action settled",
        "completed": "Review completed",
    },
)


class ReleaseState(models.TextChoices):
    PLANNING = "planning", _("planning")
    BUILDING = "building", _("building")
    TESTING = "testing", _("testing")
    SCHEDULING = "scheduling", _("scheduling")
    AWAITING_READINESS = "awaiting_readiness", _("awaiting readiness")
    READY = "ready", _("ready")
    DEPLOYING = "deploying", _("deploying")
    DEPLOYED = "deployed", _("deployed")
    ROLLING_BACK = "rolling_back", _("rolling back")
    ROLLED_BACK = "rolled_back", _("rolled back")
    COMPLETED = "completed", _("completed")
    CANCELLED = "cancelled", _("cancelled")


class ReleaseOutcome(models.TextChoices):
    FULL = "full", _("full")
    PARTIAL = "partial", _("partial")
    FAILED = "failed", _("failed")
    ROLLED_BACK = "rolled_back", _("rolled back")
    ROLLED_BACK_PARTLY = "rolled_back_partly", _("rolled back partly")


class BuildState(models.TextChoices):
    PENDING = "pending", _("pending")
    BUILT = "built", _("built")
    FAILED = "failed", _("failed")


class ArtifactUse(models.TextChoices):
    FORWARD = "forward", _("installs the update")
    BACK = "back", _("way back")


class RunState(models.TextChoices):
    PLANNED = "planned", _("planned")
    RUNNING = "running", _("running")
    PASSED = "passed", _("passed")
    FAILED = "failed", _("failed")
    INCONCLUSIVE = "inconclusive", _("inconclusive")


class StepKind(models.TextChoices):
    """The steps of an acceptance run, in their order."""

    RESOLVE = "resolve", _("resolve")
    INSTALL = "install", _("install and check")
    WAY_BACK = "way_back", _("find the way back")
    BACK = "back", _("go back")
    REINSTALL = "reinstall", _("install again")


class StepOutcome(models.TextChoices):
    PASSED = "passed", _("passed")
    FAILED = "failed", _("failed")
    SKIPPED = "skipped", _("skipped")
    UNKNOWN = "unknown", _("unknown")


class ReadinessState(models.TextChoices):
    OPEN = "open", _("open")
    GO = "go", _("go")
    NO_GO = "no_go", _("no-go")
    VOID = "void", _("void")


class ReviewState(models.TextChoices):
    OPEN = "open", _("open")
    COMPLETED = "completed", _("completed")


class ReviewSlot(models.TextChoices):
    """Where a release-based review stands (MOF: Release Readiness Review, Release Approved Review)."""

    BEFORE_DEPLOY = "before_deploy", _("before deployment")
    AFTER_DEPLOY = "after_deploy", _("after deployment")
    ACCEPT_PARTIAL = "accept_partial", _("an incomplete ring")


class PeriodicKind(models.TextChoices):
    """Reviews at intervals (MOF): how operations went, and whether service levels were kept."""

    OPERATIONS = "operations", _("operations review")
    SLA = "sla", _("SLA review")


class OfflineRule(models.TextChoices):
    """What becomes of a host that does not answer when its turn comes."""

    CATCH_UP = "catch_up", _("tried again every few minutes")
    NEXT_WINDOW = "next_window", _("put off to its next window")
    SKIP = "skip", _("left out, with that reason")


class RestartMode(models.TextChoices):
    NEVER = "never", _("never")
    IF_NEEDED = "if_needed", _("if needed")
    ALWAYS = "always", _("always")


class RehearsalEnd(models.TextChoices):
    """What a plan comes to on a simulated clock."""

    FULL = "full", _("full")
    PARTIAL = "partial", _("partial")
    FAILED = "failed", _("failed")
    HALTED = "halted", _("halts")
    STUCK = "stuck", _("waits without end")


class AmendmentState(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    ADOPTED = "adopted", _("adopted")
    REFUSED = "refused", _("refused")
    WITHDRAWN = "withdrawn", _("withdrawn")
