"""Choice sets and audited verbs of the tasks of a change (ITIL: change tasks)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums import RFCState
from patchflow.kernel.registry import verbs

verbs(
    change__task={
        "added": "Task added",
        "revised": "Task revised",
        "given": "Task given to somebody",
        "begun": "Task begun",
        "done": "Task done",
        "not_needed": "Task declared not needed",
        "reopened": "Task reopened",
        "cancelled": "Task cancelled with its change",
        "reminded": "Reminded of an overdue task",
    },
)


class TaskState(models.TextChoices):
    OPEN = "open", _("open")
    IN_PROGRESS = "in_progress", _("in progress")
    DONE = "done", _("done")
    NOT_NEEDED = "not_needed", _("not needed")
    CANCELLED = "cancelled", _("cancelled")


UNDONE = (TaskState.OPEN, TaskState.IN_PROGRESS)


class TaskStage(models.TextChoices):
    """The part of a change to which a task belongs, in their order."""

    PLANNING = "planning", _("planning")
    PREPARATION = "preparation", _("preparation")
    IMPLEMENTATION = "implementation", _("implementation")
    TESTING = "testing", _("testing")
    REVIEW = "review", _("review")


S = RFCState
BEFORE_APPROVAL = (S.DRAFT, S.SUBMITTED, S.EVALUATING, S.SUSPENDED)
BEFORE_BEGINNING = (S.DRAFT, S.SUBMITTED, S.EVALUATING, S.AWAITING_APPROVAL, S.AUTHORIZED, S.SUSPENDED)
AHEAD: dict[str, tuple[RFCState, ...]] = {
    TaskStage.PLANNING: BEFORE_APPROVAL,
    TaskStage.PREPARATION: BEFORE_BEGINNING,
}
"""Stage → the states of a change in which a required task of it holds up what comes next; in every other, and of every other
stage, it holds up the closing alone."""

ANY_TIME = tuple(s for s in S if s not in (S.CLOSED, S.REJECTED, S.CANCELLED))
BEGINS: dict[str, tuple[RFCState, ...]] = {
    TaskStage.PLANNING: ANY_TIME,
    TaskStage.PREPARATION: (S.AUTHORIZED, S.SUSPENDED, S.IMPLEMENTING, S.IN_REVIEW),
    TaskStage.IMPLEMENTATION: (S.IMPLEMENTING, S.IN_REVIEW),
    TaskStage.TESTING: (S.IMPLEMENTING, S.IN_REVIEW),
    TaskStage.REVIEW: (S.IN_REVIEW,),
}
"""Stage → the states of a change in which a task of it may be begun: nothing touches what was not authorized (law 2). What a suspended
change prepares is what the authorization of its rest waits for."""
