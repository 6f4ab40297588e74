"""The verbs of an RFC as its page offers them: transitions from the machine, other verbs with the same rules that they check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.domain.clocks import TERMINAL
from changes.domain.glass import BEFORE
from changes.domain.revisions import EDITABLE, not_editable
from changes.domain.rfc_gates import owed_documents, unplanned
from changes.domain.risk import SCORABLE
from changes.enums import RFCKind, RFCState
from changes.models import RFC
from changes.queries.holds import hold_blocker, open_hold_of
from changes.queries.rfcs import refusal_of, targets_seen
from changes.rules import own_or_manager
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.blockers import Blocker, English, english, label_of
from patchflow.kernel.fsm import machine_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import Rule, capability, failing
from patchflow.web.verbs import Verb

ICONS = {
    "submit": "send",
    "evaluate": "eye",
    "request_approval": "send",
    "send_back": "back",
    "reject": "x",
    "cancel": "x",
    "lapse": "ban",
    "stop": "ban",
    "close": "check",
    "revise": "pen",
    "copy": "copy",
    "parent": "link",
    "hold": "pause",
    "move": "update",
    "resume": "run",
    "score": "compare",
    "classify": "flag",
    "break_glass": "bolt",
    "ask_break_glass": "bolt",
    "review_glass": "review",
    "bring_owed": "file",
}
PRIMARY = {
    RFCState.DRAFT: "submit",
    RFCState.SUBMITTED: "evaluate",
    RFCState.EVALUATING: "request_approval",
    RFCState.SUSPENDED: "request_approval",
    RFCState.IN_REVIEW: "close",
}
AT_A_CLICK = {"copy", "submit", "evaluate", "request_approval", "score"}
"""Verbs that need nothing typed."""


LABELS = {
    "cancel": gettext_lazy("Cancel the change"),
    "stop": gettext_lazy("Stop the change"),
    "close": gettext_lazy("Close the change"),
}
"""Where the machine's word alone would not say what it is done to."""

ASIDE = {"copy", "parent", "score", "classify", "hold", "revise", "reject", "cancel"}
"""Verbs that do not take the RFC on; they stand in a bar of their own unless they are what is due."""


def verbs_of_rfc(rfc: RFC, *, actor: User, at: datetime) -> tuple[list[Verb], list[Verb]]:
    """What can be done to the RFC where it stands, and what can be done aside; refused ones with every reason, verbs of
    other kinds left out."""
    hosts = targets_seen(rfc, actor).count()
    reach = {"stop": ngettext("on %(n)d host", "on %(n)d hosts", hosts) % {"n": hosts}}
    offered = [
        _verb(rfc, one.name, str(one.label), one.blockers, dangerous=one.dangerous, reach=reach.get(one.name, ""))
        for one in workflow.available(rfc, actor=actor, at=at)
        if not any(b.code == "rfc.kind" for b in one.blockers)
    ]
    first = _primary(rfc)
    everything = [replace(v, primary=v.name == first) for v in (*offered, *_others(rfc, actor))]
    everything.sort(key=lambda verb: not verb.primary)
    main = [v for v in everything if v.primary or v.name not in ASIDE]
    return main, [v for v in everything if v not in main]


def _verb(
    rfc: RFC, name: str, label: str, blockers: Sequence[Blocker], *, dangerous: bool = False, reach: str = ""
) -> Verb:
    return Verb(
        name=name,
        label=str(LABELS.get(name, label)),
        url=reverse(f"changes:rfc-{name.replace('_', '-')}", args=[rfc.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=dangerous,
        reach=reach,
        method="post" if name in AT_A_CLICK else "get",
        icon=ICONS.get(name, ""),
    )


def _primary(rfc: RFC) -> str:
    if rfc.state == RFCState.SUBMITTED and rfc.kind == RFCKind.EMERGENCY:
        return "request_approval"
    if rfc.state == RFCState.EVALUATING and refusal_of(rfc) is not None:
        return "revise"
    risk = rfc.risk
    if rfc.state == RFCState.EVALUATING and (risk is None or risk.content_digest != rfc.content_digest()):
        return "score"
    return PRIMARY.get(RFCState(rfc.state), "")


def _others(rfc: RFC, actor: User) -> list[Verb]:
    found: list[Verb] = []
    hold = open_hold_of(rfc)
    held = hold_blocker(rfc)

    def offer(name: str, label: str, rules: list[Rule], extra: Sequence[Blocker] = ()) -> None:
        found.append(_verb(rfc, name, label, [*failing(rules, rfc, actor), *extra]))

    if rfc.state == RFCState.SUSPENDED:
        blockers = [*held, *(b for b in unplanned(rfc) if not b.code.startswith("rfc.risk"))]
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
        found.append(_verb(rfc, "move", _("Move to the newer updates"), failing(rules, rfc, actor), dangerous=True))
    if rfc.state in SCORABLE:
        offer("score", _("Assess risk again") if rfc.risk else _("Assess risk"), [capability("rfc.score")], held)
    if rfc.state not in TERMINAL and not rfc.clock_stopped_at:
        offer("classify", _("Change class"), [capability("rfc.evaluate")])
    if hold:
        offer("resume", _("Resume"), [capability("rfc.hold")])
    elif rfc.state not in TERMINAL:
        offer("hold", _("Put on hold"), [capability("rfc.hold")])
    if rfc.state not in TERMINAL:
        offer("parent", _("Set its parent"), [capability("rfc.revise"), own_or_manager])
    if actor.holds_somewhere("rfc.raise"):
        offer("copy", _("Copy"), [])
    if rfc.kind == RFCKind.EMERGENCY:
        if rfc.state in BEFORE and rfc.open_glass() is None:
            offer("ask_break_glass", _("Ask to break the glass"), [capability("rfc.submit")], held)
        if rfc.glass.filter(broken_at__isnull=False, reviewed_at__isnull=True).exists():
            offer("review_glass", _("Review the broken glass"), [])
        if owed_documents(rfc) and rfc.authorized_at and rfc.state not in TERMINAL:
            offer("bring_owed", _("Bring an owed document"), [capability("rfc.revise")])
    return found


def why_not(rfc: RFC, name: str, *, actor: User, at: datetime) -> list[Blocker]:
    """Every reason against the verb `name` now, for the page that would ask for it; empty if nothing stands against it."""
    if name in {t.name for t in machine_of(RFC)}:
        return workflow.why_not(rfc, name, actor=actor, at=at)
    offered = next((verb for verb in _others(rfc, actor) if verb.name == name), None)
    if offered is not None:
        return list(offered.blockers)
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
        case "resume":
            return english("It is not on hold.")
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
