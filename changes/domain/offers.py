"""What can be done to an RFC besides the transitions of its machine, and why not: the one answer for pages, REST and admin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from changes.domain.clocks import TERMINAL
from changes.domain.glass import BEFORE, why_not_review
from changes.domain.revisions import EDITABLE, not_editable
from changes.domain.rfc_gates import owed_documents, rest_unplanned
from changes.domain.risk import SCORABLE
from changes.enums import RFCKind, RFCState
from changes.models import RFC
from changes.queries.holds import hold_blocker, open_hold_of
from changes.rules import own_or_manager
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.blockers import Blocker, English, english, label_of
from patchflow.kernel.fsm import machine_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import Rule, a_person, capability, failing, somewhere
from patchflow.kernel.workflow import Available


def others(rfc: RFC, actor: User) -> list[Available]:
    """The verbs of an RFC that are no transitions of its machine, where it stands, for this person."""
    found: list[Available] = []
    hold = open_hold_of(rfc)
    held = hold_blocker(rfc)

    def offer(name: str, label: str, rules: list[Rule], extra: Sequence[Blocker] = (), dangerous: bool = False) -> None:
        found.append(Available(name, label, [*failing(rules, rfc, actor), *extra], dangerous))

    if rfc.state == RFCState.SUSPENDED:
        blockers = [*held, *rest_unplanned(rfc)]
        if signoffs.open_round_of(rfc):
            blockers.append(Blocker("round.open_already", _("A round on the rest is open already."), tone="wait"))
        offer("request_approval", _("Request approval for the rest"), [capability("rfc.request_approval")], blockers)
    if rfc.state in EDITABLE:
        offer("revise", _("Revise"), [capability("rfc.revise"), own_or_manager], held)
    if (
        rfc.state in EDITABLE
        and rfc.updates.filter(removed_at__isnull=True, update__superseded_by__isnull=False).exists()
    ):
        rules = [capability("rfc.revise"), own_or_manager, capability("rfc.hold")]
        offer("move", _("Move to the newer updates"), rules, dangerous=True)
    if rfc.state in SCORABLE:
        offer("score", _("Assess risk again") if rfc.risk else _("Assess risk"), [capability("rfc.score")], held)
    if rfc.state not in TERMINAL and not rfc.clock_stopped_at:
        offer("classify", _("Change class"), [capability("rfc.evaluate")])
    if hold and rfc.state not in TERMINAL:
        offer("resume", _("Resume"), [capability("rfc.hold")])
    elif rfc.state not in TERMINAL:
        offer("hold", _("Put on hold"), [capability("rfc.hold")])
    if rfc.state not in TERMINAL:
        offer("parent", _("Set its parent"), [capability("rfc.revise"), own_or_manager])
    if actor.holds_somewhere("rfc.raise"):
        offer("copy", _("Copy"), [])
    if rfc.kind == RFCKind.EMERGENCY:
        if rfc.state in BEFORE and rfc.open_glass() is None:
            offer("ask_break_glass", _("Ask to break the glass"), [capability("rfc.submit"), a_person], held)
        if rfc.glass.filter(broken_at__isnull=False, reviewed_at__isnull=True).exists():
            offer("review_glass", _("Review the broken glass"), [], why_not_review(rfc, actor))
        if owed_documents(rfc) and rfc.authorized_at and rfc.state not in TERMINAL:
            offer("bring_owed", _("Bring an owed document"), [capability("rfc.revise"), own_or_manager])
    return found


RIGHTS = {
    "copy": somewhere("rfc.raise"),
    "hold": capability("rfc.hold"),
    "resume": capability("rfc.hold"),
    "score": capability("rfc.score"),
    "classify": capability("rfc.evaluate"),
    "move": capability("rfc.revise"),
    "ask_break_glass": capability("rfc.submit"),
    "bring_owed": capability("rfc.revise"),
}
"""Who may not do it in whatever state is told that first."""


def why_not(rfc: RFC, name: str, *, actor: User, at: datetime) -> list[Blocker]:
    """Every reason against the verb `name` now, for the page that would ask for it; empty if nothing stands against it."""
    offered = next((verb for verb in others(rfc, actor) if verb.name == name), None)
    if offered is not None:
        return offered.blockers
    if name in {t.name for t in machine_of(RFC)}:
        return workflow.why_not(rfc, name, actor=actor, at=at)
    if name in RIGHTS and (refused := failing([RIGHTS[name]], rfc, actor)):
        return refused
    sentence = _not_offered(rfc, name)
    return [Blocker("conflict.state", sentence, tone="wait")] if sentence else []


def _not_offered(rfc: RFC, name: str) -> English | None:
    """Why its page does not offer the verb at all; None if it could be done nevertheless (to ask once more)."""
    state = label_of(rfc)
    match name:
        case "hold" if open_hold_of(rfc):
            return english("It is on hold already.")
        case "hold":
            return english("It is %(state)s: there is nothing to hold.", state=state)
        case "resume" if rfc.state in TERMINAL:
            return english("It is %(state)s: there is nothing to resume.", state=state)
        case "resume":
            return english("It is not on hold.")
        case "score":
            return english("It is %(state)s: its risk is history.", state=state)
        case "move" if rfc.state in EDITABLE:
            return english("None of its updates has been replaced.")
        case "move":
            return english("It is %(state)s: stop its rollout and suspend it before you move it.", state=state)
        case "classify":
            return english("Its clock has stopped: the class is history.")
        case "ask_break_glass" if rfc.kind != RFCKind.EMERGENCY or rfc.state not in BEFORE:
            return english("The glass is broken only for an emergency that waits for approval.")
        case "review_glass":
            return english("There is no broken glass to review.")
        case "bring_owed":
            return english("It owes no document now.")
        case "revise":
            return not_editable(rfc)
        case "parent":
            return english("It is %(state)s.", state=state)
    return None
