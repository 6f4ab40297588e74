"""Questions about cycles: what stands in which column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changes.enums import STEPS, CycleEventKind, CycleState, RFCState, StepKey
from changes.models import RFC, Cycle, PhaseStep
from changes.models.cycle import LEAVES
from patchflow.kernel.models import User

COLUMN_OF: dict[str, CycleState] = {
    RFCState.DRAFT: CycleState.IDENTIFY,
    RFCState.SUBMITTED: CycleState.EVALUATE_AND_PLAN,
    RFCState.EVALUATING: CycleState.EVALUATE_AND_PLAN,
    RFCState.AWAITING_APPROVAL: CycleState.EVALUATE_AND_PLAN,
    RFCState.AUTHORIZED: CycleState.EVALUATE_AND_PLAN,
    RFCState.REJECTED: CycleState.EVALUATE_AND_PLAN,
    RFCState.CANCELLED: CycleState.EVALUATE_AND_PLAN,
    RFCState.IMPLEMENTING: CycleState.DEPLOY,
    RFCState.SUSPENDED: CycleState.DEPLOY,
    RFCState.IN_REVIEW: CycleState.DEPLOY,
    RFCState.CLOSED: CycleState.DEPLOY,
}
"""Where an RFC is shown: in its own column, however far its cycle has moved."""


SHOWN = 5
"""Changes that a column of a cycle names; the list has them all."""


def states_in(phase: str) -> list[RFCState]:
    """In which states a change stands in the column of `phase`."""
    return [state for state in RFCState if COLUMN_OF[state] == phase]


@dataclass(frozen=True)
class PhaseColumn:
    """One phase of a cycle: its steps, its changes, the event that leaves it and how often it happened."""

    number: int
    phase: CycleState
    steps: list[PhaseStep]
    rfcs: list[RFC]
    event: CycleEventKind
    happened: int
    current: bool
    passed: bool

    @property
    def shown(self) -> list[RFC]:
        """The changes that its column names; it never leaves out a single one."""
        return self.rfcs if len(self.rfcs) <= SHOWN + 1 else self.rfcs[:SHOWN]

    @property
    def settled(self) -> int:
        return sum(step.state != "open" for step in self.steps)


COUNT_HOSTS = (StepKey.INVENTORY, StepKey.DEPLOYMENT)
"""Steps whose output counts the hosts of the whole estate, or of every change."""


def output_of(step: PhaseStep, actor: User) -> str:
    """What a step brought, as the actor may read it: figures of all hosts are for who may see all."""
    hidden = step.key in COUNT_HOSTS and actor.scopes_for("host.view") is not None
    return "" if hidden else step.output


def columns_of(cycle: Cycle, rfcs: Sequence[RFC], actor: User) -> list[PhaseColumn]:
    """The four columns; `rfcs` are those of the cycle that the viewer may see. A step's output is in its `said`."""
    steps = list(cycle.steps.select_related("owner"))
    for step in steps:
        step.said = output_of(step, actor)  # type: ignore[attr-defined]
    kinds = list(cycle.events.values_list("kind", flat=True))
    order = [*STEPS, CycleState.COMPLETED]
    place = order.index(CycleState(cycle.state))
    return [
        PhaseColumn(
            number=number,
            phase=phase,
            steps=[s for s in steps if s.phase == phase],
            rfcs=[r for r in rfcs if COLUMN_OF[r.state] == phase],
            event=LEAVES[phase],
            happened=kinds.count(LEAVES[phase]),
            current=number - 1 == place,
            passed=number - 1 < place,
        )
        for number, phase in enumerate(STEPS, start=1)
    ]


def cycle_choices(asked: str = "") -> list[tuple[str, str]]:
    """The newest cycles by id and name, for filters of lists, and an older one that was asked for."""
    rows = Cycle.objects.values_list("pk", "name")
    found = [(str(pk), name) for pk, name in rows[:60]]
    if asked.isdecimal() and len(asked) < 19 and asked not in dict(found):
        found += [(str(pk), name) for pk, name in rows.filter(pk=int(asked))]
    return found


def open_cycles() -> list[Cycle]:
    """The cycles that are under way, the monthly one first."""
    return sorted(Cycle.objects.open(), key=lambda c: (c.kind != "monthly", c.pk))
