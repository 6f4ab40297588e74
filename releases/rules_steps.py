"""Who may review a step on hosts, do a task by hand, and attest one. Pure predicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchflow.kernel.blockers import english
from patchflow.kernel.hands import acted, acts_for
from patchflow.kernel.rules import rule

if TYPE_CHECKING:
    from patchflow.kernel.models import User
    from releases.models import HandTask, HostStep


@rule("step.writer", "You wrote this step: another person approves it.")
def not_writer(step: HostStep, actor: User) -> bool:
    """Whatever runs as root on many hosts is seen by two (law 1)."""
    return not acted(actor, [step.written_by_id])


@rule(
    "task.four_eyes",
    "You signed this change or its manifest, or somebody did in your place: who signed it does not carry it out.",
    of_program=english(
        "Somebody who was given a token of this program signed this change or its manifest: it does not carry it out."
    ),
)
def not_task_signer(task: HandTask, actor: User) -> bool:
    """As for starting a rollout (law 1)."""
    return acts_for(actor).isdisjoint(task.job.rollout.release.signer_ids())


@rule("task.performer", "You did this task: another person attests it.")
def not_performer(task: HandTask, actor: User) -> bool:
    return not acted(actor, task.performer_ids())
