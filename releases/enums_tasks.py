"""Choice sets and audited verbs of tasks that a person does."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    release__task={
        "given": "Task given",
        "begun": "Task begun",
        "done": "Task reported as done",
        "could_not": "Task could not be done",
        "called_off": "Task called off",
        "expired": "Task not begun in time",
        "attested": "Host attested",
    }
)


class TaskState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    BEGUN = "begun", _("begun")
    DONE = "done", _("reported as done")
    ATTESTED = "attested", _("attested")
    COULD_NOT = "could_not", _("could not be done")
    CALLED_OFF = "called_off", _("called off")
    EXPIRED = "expired", _("not begun in time")
