"""Choice sets and audited verbs of rollouts, rings and jobs."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    release__rollout={
        "planned": "Rollout planned",
        "started": "Rollout started",
        "paused": "Rollout paused",
        "resumed": "Rollout resumed",
        "halted": "Rollout halted",
        "stopping": "Rollout stopping",
        "stopped": "Rollout stopped",
        "completed": "Rollout completed",
        "cancelled": "Rollout cancelled",
        "rolled_back": "Way back started",
        "amended": "Late-comers joined",
        "window_edited": "Window edited",
    },
    release__ring={
        "notified": "People told",
        "started": "Ring started",
        "soaking": "Ring watched",
        "passed": "Ring passed",
        "failed": "Ring failed",
        "retried": "Failed hosts retried",
        "partial_proposed": "Proposed to be accepted as it is",
        "partial_refused": "Not accepted as it is",
        "accepted_partly": "Accepted as it is",
        "skipped": "Ring skipped",
    },
    release__job={
        "claimed": "Let through",
        "deferred": "Deferred",
        "refused": "Refused",
        "cancelled": "Cancelled",
        "cancel_asked": "Cancel asked",
        "not_needed": "Not needed",
        "released": "Given back",
        "staged": "Files staged",
        "installing": "Installing",
        "restarting": "Restarting",
        "verifying": "Verifying",
        "succeeded": "Succeeded",
        "failed": "Failed",
        "unknown": "Lost from sight",
        "observed": "Observed",
        "lost": "Given up as lost",
        "retried": "Tried again",
        "look_asked": "Look asked for",
    },
)


class RolloutState(models.TextChoices):
    PLANNED = "planned", _("planned")
    RUNNING = "running", _("running")
    PAUSED = "paused", _("paused")
    HALTED = "halted", _("halted")
    STOPPING = "stopping", _("stopping")
    STOPPED = "stopped", _("stopped")
    COMPLETED = "completed", _("completed")
    CANCELLED = "cancelled", _("cancelled")


class RingState(models.TextChoices):
    PENDING = "pending", _("pending")
    NOTIFIED = "notified", _("notified")
    RUNNING = "running", _("running")
    SOAKING = "soaking", _("soaking")
    PASSED = "passed", _("passed")
    FAILED = "failed", _("failed")
    SKIPPED = "skipped", _("skipped")


class JobState(models.TextChoices):
    PENDING = "pending", _("pending")
    CLAIMED = "claimed", _("claimed")
    STAGED = "staged", _("staged")
    INSTALLING = "installing", _("installing")
    RESTARTING = "restarting", _("restarting")
    VERIFYING = "verifying", _("verifying")
    UNKNOWN = "unknown", _("unknown")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    UNDONE = "undone", _("undone")
    LOST = "lost", _("lost")
    REFUSED = "refused", _("refused")
    NOT_NEEDED = "not_needed", _("not needed")
    CANCELLED = "cancelled", _("cancelled")


OPEN_ROLLOUT = (
    RolloutState.PLANNED,
    RolloutState.RUNNING,
    RolloutState.PAUSED,
    RolloutState.HALTED,
    RolloutState.STOPPING,
)
LIVE = (
    JobState.CLAIMED,
    JobState.STAGED,
    JobState.INSTALLING,
    JobState.RESTARTING,
    JobState.VERIFYING,
    JobState.UNKNOWN,
)
"""A job in one of these may be acting on its host: at most one per host, whatever the rollout."""

GOOD = (JobState.SUCCEEDED, JobState.NOT_NEEDED)
BAD = (JobState.FAILED, JobState.UNDONE, JobState.UNKNOWN, JobState.LOST)
"""What counts against the failure limit; unknown is not good (law 3)."""

REPORTED = (JobState.SUCCEEDED, JobState.NOT_NEEDED, JobState.FAILED, JobState.UNDONE)
TOUCHED = (JobState.SUCCEEDED, JobState.FAILED, JobState.LOST, JobState.UNKNOWN)
"""Hosts on which something may have been installed: those that a way back must visit."""


class SlipVerdict(models.TextChoices):
    RUN = "run", _("run")
    DEFER = "defer", _("defer")
    REFUSE = "refuse", _("refuse")
