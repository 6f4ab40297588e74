"""The machines are the diagrams of the domain: nothing more, nothing less."""

from __future__ import annotations

import pytest

from patchflow.kernel import fsm

BEFORE_DEPLOY = ["planning", "building", "testing", "scheduling", "awaiting_readiness", "ready"]

RELEASE = {
    ("planning", "build", "building"),
    ("building", "built", "testing"),
    ("building", "build_failed", "planning"),
    ("testing", "tested", "scheduling"),
    ("testing", "test_failed", "planning"),
    ("scheduling", "seal", "awaiting_readiness"),
    ("awaiting_readiness", "ready", "ready"),
    ("awaiting_readiness", "no_go", "planning"),
    ("ready", "void", "scheduling"),
    ("ready", "deploy", "deploying"),
    ("deploying", "finish", "deployed"),
    ("deploying", "stop", "deployed"),
    ("deploying", "roll_back", "rolling_back"),
    ("deployed", "roll_back", "rolling_back"),
    ("rolling_back", "rolled_back", "rolled_back"),
    ("deployed", "accept", "completed"),
    ("rolled_back", "accept", "completed"),
    *((state, "revise", "planning") for state in BEFORE_DEPLOY),
    *((state, "cancel", "cancelled") for state in BEFORE_DEPLOY),
}
BUILD = {("pending", "built", "built"), ("pending", "fail", "failed")}
RUN = {
    ("planned", "start", "running"),
    ("running", "succeed", "passed"),
    ("planned", "fail", "failed"),
    ("running", "fail", "failed"),
    ("planned", "give_up", "inconclusive"),
    ("running", "give_up", "inconclusive"),
}
READINESS = {("open", "go", "go"), ("open", "refuse", "no_go"), ("open", "void", "void"), ("go", "void", "void")}
REVIEW = {("open", "complete", "completed")}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("releases.release", RELEASE),
        ("releases.build", BUILD),
        ("releases.acceptancerun", RUN),
        ("releases.readinessreview", READINESS),
        ("releases.postimplementationreview", REVIEW),
    ],
)
def test_machine_is_the_diagram(label: str, expected: set[tuple[str, str, str]]) -> None:
    assert fsm.diagram(label) == expected


def test_what_only_the_system_fires_is_never_a_button() -> None:
    by_system = {t.name for t in fsm.MACHINES["releases.release"] if t.by_system}
    assert by_system == {"built", "build_failed", "tested", "test_failed", "ready", "no_go", "finish", "rolled_back"}
