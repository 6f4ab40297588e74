"""Who may do what to a task of a change: pure predicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changes.enums import TERMINAL
from changes.enums_tasks import TaskStage
from changes.rules import not_approver, own_or_manager
from patchflow.kernel.rules import rule

if TYPE_CHECKING:
    from changes.models import ChangeTask
    from patchflow.kernel.models import User


@rule(
    "task.concerned",
    "Only whom this task is given to, the requester of its change, or a change manager for its hosts does it.",
)
def concerned(task: ChangeTask, actor: User) -> bool:
    return task.is_given_to(actor) or own_or_manager(task.rfc, actor)


@rule(
    "task.planner",
    "Only the requester of its change, or a change manager for the hosts concerned, decides about this task.",
)
def plans_it(task: ChangeTask, actor: User) -> bool:
    return own_or_manager(task.rfc, actor)


@rule("task.required", "This task is required: only a change manager for the hosts concerned takes that away.")
def may_relax(task: ChangeTask, actor: User) -> bool:
    return not task.required or actor.holds("rfc.evaluate", over=task.scope_keys())


@rule(
    "task.implementation",
    "This task belongs to the implementation: only a change manager for the hosts concerned moves it to another stage.",
)
def may_move(task: ChangeTask, actor: User) -> bool:
    return actor.holds("rfc.evaluate", over=task.scope_keys())


@rule(
    "task.four_eyes_signer",
    "You decided about this change, or somebody did in your place; somebody else carries it out.",
)
def not_signer_carries_out(task: ChangeTask, actor: User) -> bool:
    return task.stage != TaskStage.IMPLEMENTATION or not_approver(task.rfc, actor)


@rule("task.change_goes_on", "Its change goes on: a task is cancelled with its change alone.")
def change_has_ended(task: ChangeTask, actor: User) -> bool:
    return task.rfc.state in TERMINAL
