"""The gates of the RFC: reasons that the page shows and the verb raises, from the same functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from changes.enums import CloseCode, EvidenceKind, RFCKind, RFCState
from changes.enums_tasks import TaskStage
from changes.models import RFC
from changes.queries.authorization import unsigned
from changes.queries.change_tasks import owed_tasks, task_blockers
from changes.queries.holds import hold_blocker
from changes.queries.rfcs import relevance
from changes.rules import PASSES_HOLD, kind_refusal
from patchflow.kernel import trial
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.fsm import machine_of
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from patchflow.kernel.signoffs import open_round_of

ALL = tuple(sorted({t.name for t in machine_of(RFC)}))
PLANS = {
    "implementation_plan": english("implementation plan"),
    "test_plan": english("test plan"),
    "back_out_plan": english("back-out plan"),
}
MAY_OWE = ("implementation_plan", "test_plan")
"""The plans without which an emergency may be asked about; its risk and its way back are never owed."""
ASKED_ALREADY = (RFCState.AUTHORIZED, RFCState.IMPLEMENTING, RFCState.IN_REVIEW)
"""Where nobody is asked before it goes on: what a broken glass let pass is owed there too."""
Facts = Mapping[str, Any]


def kind_gate(transition: str) -> Callable[..., list[Blocker]]:
    def kind_may(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
        return kind_refusal(rfc, transition)

    return kind_may


for _name in ALL:
    gate("changes.rfc", _name)(kind_gate(_name))


@gate("changes.rfc", *(name for name in ALL if name not in PASSES_HOLD))
def not_on_hold(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """A hold blocks every verb but resume, cancel, reject and stop; clocks run on."""
    return hold_blocker(rfc)


def _edit(rfc: RFC) -> str:
    return f"{rfc.get_absolute_url()}revise/"


@gate("changes.rfc", "submit", "evaluate", "request_approval", "authorize", "break_glass", "begin")
def belongs_to_now(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """What was raised in a trial goes on in the trial alone."""
    return trial.mismatch(True, rfc.number) if rfc.trial else []


@gate("changes.rfc", "begin")
def is_carried_out_now(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """A real change may be decided in a trial, and is not carried out in it."""
    return [] if rfc.trial else trial.mismatch(False, rfc.number)


@gate("changes.rfc", "submit")
def has_scope(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """Updates with a relevance, or a stated other reason; and targets."""
    found: list[Blocker] = []
    if not rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).exists():
        found.append(Blocker("rfc.targets_missing", "It names no target.", _edit(rfc)))
    updates = relevance(rfc)
    if not updates:
        found.append(Blocker("rfc.updates_missing", "It names no update.", _edit(rfc)))
    idle = [pk for pk, hosts in updates.items() if not hosts]
    if idle and not rfc.other_reason.strip():
        names = ", ".join(
            rfc.updates.filter(update_id__in=idle, removed_at__isnull=True).values_list("name", flat=True)
        )
        sentence = english(
            "No target misses %(names)s. Take it out, or state another reason for the change.", names=names
        )
        found.append(Blocker("rfc.not_relevant", sentence, _edit(rfc)))
    return found


@gate("changes.rfc", "request_approval")
def is_planned(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """Risk, implementation, test and back-out plan, and the tasks of planning. An emergency may owe test and documents, never risk
    and way back."""
    return unplanned(rfc)


def unplanned(rfc: RFC) -> list[Blocker]:
    """What is missing before anybody is asked to approve it."""
    owes = MAY_OWE if rfc.kind == RFCKind.EMERGENCY else ()
    found = [
        Blocker("rfc.plan_missing", english("It has no %(plan)s.", plan=what), _edit(rfc))
        for name, what in PLANS.items()
        if name not in owes and not getattr(rfc, name).strip()
    ]
    risk = rfc.risk
    if risk is None:
        found.append(Blocker("rfc.risk_missing", "Its risk has not been assessed.", rfc.get_absolute_url()))
    elif risk.content_digest != rfc.content_digest():
        found.append(
            Blocker("rfc.risk_old", "Its risk was assessed for an earlier version; assess it again.", tone="wait")
        )
    if not rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).exists():
        found.append(Blocker("rfc.targets_missing", "No target is left.", _edit(rfc)))
    return found + task_blockers(owed_tasks(rfc, TaskStage.PLANNING))


def rest_unplanned(rfc: RFC) -> list[Blocker]:
    """What is missing before anybody is asked to approve the rest of a suspended change: its risk is assessed with the asking, and
    its authorization is its beginning, which waits for its preparation."""
    found = [b for b in unplanned(rfc) if not b.code.startswith("rfc.risk")]
    return found + task_blockers(owed_tasks(rfc, TaskStage.PREPARATION))


@gate("changes.rfc", "break_glass")
def glass_is_planned(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """Even a broken glass needs targets and a known risk. Plans and tasks are owed: it is not closed without them."""
    return [b for b in unplanned(rfc) if b.code not in ("rfc.plan_missing", "task.open")]


@gate("changes.rfc", "begin")
def is_signed(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """What begins is what was approved (law 2), within the permitted dates."""
    found = unsigned(rfc, digest_now=rfc.change_digest)
    if rfc.not_after and at >= rfc.not_after:
        sentence = english(
            "The last permitted date, %(not_after)s UTC, has passed.", not_after=f"{rfc.not_after:%d %b %Y %H:%M}"
        )
        found.append(Blocker("rfc.too_late", sentence, _edit(rfc)))
    return found


@gate("changes.rfc", "close")
def is_reviewed(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """The review's evidence and a code; an emergency has brought what it owed; a broken glass was reviewed."""
    found: list[Blocker] = []
    if not rfc.evidence.filter(kind=EvidenceKind.REVIEW).exists():
        found.append(Blocker("rfc.review_missing", "Its post-implementation review is not there yet.", tone="wait"))
    found += owed(rfc)
    if rfc.glass.filter(broken_at__isnull=False, reviewed_at__isnull=True).exists():
        sentence = english("The glass was broken for it, and nobody has reviewed that yet.")
        found.append(Blocker("rfc.glass_review_missing", sentence, rfc.get_absolute_url(), tone="wait"))
    if "code" in facts and facts["code"] not in CloseCode.values:
        found.append(Blocker("rfc.close_code", "Say how it ended: choose a closing code."))
    return found


def owed(rfc: RFC) -> list[Blocker]:
    """What an emergency was authorized without, and that nobody has brought since: it is not closed before."""
    if rfc.kind != RFCKind.EMERGENCY:
        return []
    missing = set(owed_documents(rfc))
    names = [what for name, what in PLANS.items() if name in missing]
    found = [
        Blocker("rfc.owed", english("As an emergency it still owes its %(what)s.", what=what), tone="wait")
        for what in names
    ]
    if not rfc.evidence.filter(kind=EvidenceKind.ACCEPTANCE).exists():
        found.append(Blocker("rfc.owed", "As an emergency it still owes the evidence of a test.", tone="wait"))
    return found


def owed_documents(rfc: RFC) -> list[str]:
    """The plans that an emergency goes without and that nobody has brought since. Before it is asked about, a back-out plan is not
    owed but missing (`unplanned`): it is written into the change, and signed; only a broken glass leaves it owed."""
    if rfc.kind != RFCKind.EMERGENCY:
        return []
    may = PLANS if rfc.state in ASKED_ALREADY else MAY_OWE
    brought = set(rfc.evidence.filter(kind=EvidenceKind.DOCUMENT).values_list("name", flat=True))
    return [name for name in may if not getattr(rfc, name).strip() and name not in brought]


@gate("changes.rfc", "authorize")
def no_round_is_open(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """The round that authorizes has ended, on exactly this content."""
    found = unsigned(rfc, digest_now=rfc.change_digest)
    if rfc.state != RFCState.SUBMITTED and open_round_of(rfc):
        found.append(Blocker("round.open", "Its round has not ended.", tone="wait"))
    return found
