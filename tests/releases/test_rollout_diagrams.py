"""The machines of rollouts, rings and jobs, arrow by arrow."""

from __future__ import annotations

import pytest
from django.apps import apps

from patchflow.kernel import fsm
from patchflow.web import states

AT_WORK = ("claimed", "staged", "installing", "restarting", "verifying")
ARROWS = {
    "releases.rollout": {
        "start": ("planned → running",),
        "pause": ("running → paused",),
        "resume": ("paused halted → running",),
        "halt": ("running paused → halted",),
        "stop": ("running paused halted → stopping",),
        "stopped": ("stopping → stopped",),
        "complete": ("running → completed",),
        "cancel": ("planned → cancelled",),
    },
    "releases.ring": {
        "notify": ("pending → notified",),
        "start": ("notified → running",),
        "soak": ("running → soaking",),
        "hold": ("soaking → passed",),
        "fail": ("running soaking → failed",),
        "retry": ("failed → running",),
        "accept_partial": ("failed → soaking",),
        "skip": ("pending notified → skipped",),
    },
    "releases.job": {
        "claim": ("pending → claimed",),
        "defer": ("pending → pending",),
        "refuse": ("pending claimed → refused",),
        "cancel": ("pending claimed → cancelled",),
        "skip": ("pending claimed → not_needed",),
        "release": ("claimed staged → pending",),
        "stage": ("claimed → staged",),
        "install": ("staged → installing",),
        "restart": ("installing → restarting",),
        "verify": ("installing restarting → verifying",),
        "succeed": ("verifying → succeeded",),
        "fail": (" ".join(AT_WORK) + " → failed",),
        "lose": (" ".join(AT_WORK) + " → unknown",),
        "observe_succeeded": ("unknown lost → succeeded",),
        "observe_failed": ("unknown lost → failed",),
        "observe_undone": ("unknown → undone",),
        "give_up": ("unknown → lost",),
        "retry": ("failed undone → pending",),
    },
}


@pytest.mark.parametrize("label", ARROWS)
def test_the_machine_is_the_diagram(label: str) -> None:
    expected = {
        (source, name, arrow.split(" → ")[1])
        for name, arrows in ARROWS[label].items()
        for arrow in arrows
        for source in arrow.split(" → ")[0].split()
    }
    assert fsm.diagram(label) == expected


@pytest.mark.parametrize("label", ARROWS)
def test_every_state_has_a_look(label: str) -> None:
    known = [value for value, _label in apps.get_model(label)._meta.get_field("state").choices]
    assert states.missing(label, known) == []


def test_every_transition_of_a_job_is_bulk() -> None:
    assert [t.name for t in fsm.MACHINES["releases.job"] if not t.bulk] == []
