"""Choice sets and audited verbs of the steps before and after an installation."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    release__step={
        "proposed": "Step proposed",
        "approved": "Step approved",
        "refused": "Step refused",
        "retired": "Step retired",
    }
)


class StepState(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    APPROVED = "approved", _("approved")
    REFUSED = "refused", _("refused")
    RETIRED = "retired", _("retired")


class Moment(models.TextChoices):
    BEFORE = "before", _("before the installation")
    AFTER = "after", _("after it was verified")


class Act(models.TextChoices):
    """What a step does, in the words that the host is told."""

    SPACE = "space", _("check free space")
    BACKUP = "backup", _("check the age of a backup")
    NO_RESTART = "no_restart", _("check that no restart is pending")
    SILENCE = "silence", _("silence monitoring")
    LEAVE_POOL = "leave_pool", _("take it out of its pool")
    STOP_SERVICE = "stop_service", _("stop a service")
    COMMAND = "command", _("run a command")
    START_SERVICE = "start_service", _("start a service")
    SERVICE_RUNS = "service_runs", _("wait until a service runs")
    HTTP_ANSWERS = "http_answers", _("wait for an answer over http")
    PORT_OPEN = "port_open", _("wait for a port")
    JOIN_POOL = "join_pool", _("put it back into its pool")
    UNSILENCE = "unsilence", _("end the silence of monitoring")


class Effect(models.TextChoices):
    STOP = "stop", _("the job has failed")
    NOTE = "note", _("it is noted, and the work goes on")


class Runs(models.TextChoices):
    SUCCESS = "success", _("after a verified installation")
    INTACT = "intact", _("also where nothing was installed")
    ALWAYS = "always", _("whatever became of the job")


BEFORE_ONLY = (Act.SPACE, Act.BACKUP, Act.NO_RESTART, Act.SILENCE, Act.LEAVE_POOL, Act.STOP_SERVICE)
AFTER_ONLY = (Act.START_SERVICE, Act.JOIN_POOL, Act.UNSILENCE)
CALLS = (Act.SILENCE, Act.UNSILENCE, Act.LEAVE_POOL, Act.JOIN_POOL)
GIVES_BACK = {Act.SILENCE: Act.UNSILENCE, Act.LEAVE_POOL: Act.JOIN_POOL, Act.STOP_SERVICE: Act.START_SERVICE}
"""What takes something away, and what puts it back."""
