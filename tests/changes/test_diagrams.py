"""The machines in the code are those that were decided, edge by edge."""

from __future__ import annotations

from pathlib import Path

from patchflow.kernel import fsm

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "machines-changes.md"

RFC = {
    ("draft", "submit", "submitted"),
    ("submitted", "evaluate", "evaluating"),
    ("evaluating", "request_approval", "awaiting_approval"),
    ("submitted", "request_approval", "awaiting_approval"),
    ("awaiting_approval", "authorize", "authorized"),
    ("submitted", "authorize", "authorized"),
    ("authorized", "begin", "implementing"),
    ("implementing", "implemented", "in_review"),
    ("in_review", "close", "closed"),
    ("submitted", "send_back", "draft"),
    ("evaluating", "send_back", "draft"),
    ("awaiting_approval", "refused", "evaluating"),
    ("awaiting_approval", "expired", "evaluating"),
    ("awaiting_approval", "voided", "evaluating"),
    ("evaluating", "reject", "rejected"),
    ("awaiting_approval", "reject", "rejected"),
    ("authorized", "lapse", "evaluating"),
    ("submitted", "break_glass", "authorized"),
    ("evaluating", "break_glass", "authorized"),
    ("awaiting_approval", "break_glass", "authorized"),
    ("draft", "cancel", "cancelled"),
    ("submitted", "cancel", "cancelled"),
    ("evaluating", "cancel", "cancelled"),
    ("awaiting_approval", "cancel", "cancelled"),
    ("authorized", "cancel", "cancelled"),
    ("implementing", "lapse", "suspended"),
    ("suspended", "authorize", "implementing"),
    ("implementing", "stop", "in_review"),
    ("suspended", "stop", "in_review"),
}
CYCLE = {
    ("assess", "notified", "identify"),
    ("identify", "rfc_submitted", "evaluate_and_plan"),
    ("evaluate_and_plan", "deployment_approved", "deploy"),
    ("deploy", "release_completed", "completed"),
    ("identify", "close_unneeded", "completed"),
    ("evaluate_and_plan", "close_unneeded", "completed"),
    ("deploy", "close_unneeded", "completed"),
}
CHANGE_MODEL = {
    ("draft", "propose", "proposed"),
    ("proposed", "approve", "approved"),
    ("proposed", "refuse", "draft"),
    ("proposed", "void", "draft"),
    ("approved", "lose_licence", "draft"),
    ("draft", "retire", "retired"),
    ("approved", "retire", "retired"),
}
MEETING = {
    ("planned", "publish", "agenda_published"),
    ("agenda_published", "open", "in_session"),
    ("in_session", "minute", "minuted"),
    ("planned", "postpone", "postponed"),
    ("agenda_published", "postpone", "postponed"),
    ("planned", "cancel", "cancelled"),
    ("agenda_published", "cancel", "cancelled"),
}
AGENDA_ITEM = {
    ("open", "decide", "decided"),
    ("open", "carry_over", "carried_over"),
    ("open", "withdraw", "withdrawn"),
}
MACHINES = {
    "changes.rfc": RFC,
    "changes.cycle": CYCLE,
    "changes.changemodel": CHANGE_MODEL,
    "changes.meeting": MEETING,
    "changes.agendaitem": AGENDA_ITEM,
}


def test_rfc_machine_is_the_decided_one() -> None:
    assert fsm.diagram("changes.rfc") == RFC


def test_cycle_machine_is_the_decided_one() -> None:
    assert fsm.diagram("changes.cycle") == CYCLE


def test_change_model_machine_is_the_decided_one() -> None:
    assert fsm.diagram("changes.changemodel") == CHANGE_MODEL


def rendered() -> str:
    """The reference page, from the code."""
    lines = ["# State machines of `changes`", "", "Written from the code; a test keeps it equal.", ""]
    for label in sorted(MACHINES):
        lines += [f"## {label}", "", "| from | verb | to |", "|---|---|---|"]
        lines += [f"| {s} | {name} | {t} |" for s, name, t in sorted(fsm.diagram(label))]
        lines.append("")
    return "\n".join(lines)


def test_reference_page_equals_the_code() -> None:
    assert REFERENCE.read_text() == rendered()
