"""Who may do what to a change, and what each kind of change may: pure predicates.

Four eyes (law 1): who requested or wrote a change does not approve it, and who approved it neither builds nor starts it.
These rules ask who did what to *this* change; no role, and no superuser's flag, passes them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from changes.enums import RFCKind, RFCState
from patchflow.kernel.blockers import Blocker, English, any_of, english, label_of
from patchflow.kernel.enums import RoundState, Verdict
from patchflow.kernel.hands import acted, acts_for, holders_of
from patchflow.kernel.rules import rule
from patchflow.kernel.signoffs import open_round_of, passed_round_of

if TYPE_CHECKING:
    from django.db.models import Model

    from changes.models import RFC, AgendaItem, ChangeModel
    from patchflow.kernel.models import User

LICENCE = "licence"
"""The kind of round that a standard change's licence writes."""


@rule("rfc.four_eyes_requester", "You requested or wrote this change; somebody else decides about it.")
def not_author(rfc: RFC, actor: User) -> bool:
    return actor.pk not in rfc.author_ids()


@rule(
    "rfc.four_eyes_signer",
    "You decided about this change, or somebody did in your place; somebody else builds and starts it.",
    of_program=english(
        "Somebody who was given a token of this program decided about this change; it neither builds nor starts it."
    ),
)
def not_approver(rfc: RFC, actor: User) -> bool:
    return acts_for(actor).isdisjoint(rfc.approver_ids())


@rule(
    "rfc.four_eyes_program",
    "A program of which you were given a token requested or wrote this change; somebody else decides about it.",
)
def not_author_by_program(rfc: RFC, actor: User) -> bool:
    return actor.pk not in holders_of(rfc.author_ids())


@rule(
    "rfc.no_passed_round", "Only a passed round on exactly this content authorizes a change, fired by its last signer."
)
def authorized_by_round(rfc: RFC, actor: User) -> bool:
    passed = passed_round_of(rfc, digest_now=rfc.change_digest)
    if passed is None:
        return False
    if passed.kind == LICENCE:
        return actor.is_bot
    return passed.signoffs.filter(user=actor, verdict=Verdict.APPROVE).exists()


@rule("round.ends_it", "The end of a round fires this; nobody does it by hand.")
def round_over(subject: Model, actor: User) -> bool:
    return open_round_of(subject) is None


@rule("rfc.own", "Only its requester, or a change manager for the hosts concerned, may do this to the RFC.")
def own_or_manager(rfc: RFC, actor: User) -> bool:
    if actor.pk == rfc.requested_by_id:
        return True
    return actor.holds("rfc.evaluate", over=rfc.scope_keys())


@rule(
    "rfc.glass_not_asked", "Break-glass needs two people: somebody else must have asked for it first, for this content."
)
def glass_asked_by_another(rfc: RFC, actor: User) -> bool:
    asked = rfc.open_glass()
    return asked is not None and not acted(actor, [asked.asked_by_id]) and asked.digest == rfc.change_digest


@rule("model.author", "You wrote this model; somebody else approves it.")
def not_model_author(model: ChangeModel, actor: User) -> bool:
    return not acted(actor, model.author_ids())


@rule("model.no_passed_round", "Only a passed round on exactly this content approves a model.")
def model_signed(model: ChangeModel, actor: User) -> bool:
    passed = passed_round_of(model, digest_now=model.model_digest)
    return passed is not None and passed.signoffs.filter(user=actor, verdict=Verdict.APPROVE).exists()


@rule("cycle.by_system", "The verbs that cause the event move the cycle; nobody does it by hand.")
def event_is_recorded(cycle: object, actor: User) -> bool:
    return bool(cycle.has_next_event())  # type: ignore[attr-defined]


CLASS_LENGTH: dict[str, timedelta | None] = {
    "critical": timedelta(hours=24),
    "high": timedelta(days=7),
    "medium": timedelta(days=30),
    "low": None,
}
"""From notification to the start in production: 24 hours, a week, a month, none (next rollup)."""


def start_by(update_class: str, started_at: datetime) -> datetime | None:
    """When production must have started, counted from the notification; None where the class names no date."""
    length = CLASS_LENGTH.get(update_class)
    return started_at + length if length else None


# --- what each kind may ----------------------------------------------------------------------------------------------------
ALL = frozenset(RFCKind)
KIND_MAY: dict[tuple[str, str], frozenset[str]] = {
    (RFCState.SUBMITTED, "evaluate"): frozenset({RFCKind.NORMAL, RFCKind.EMERGENCY}),
    (RFCState.SUBMITTED, "request_approval"): frozenset({RFCKind.EMERGENCY}),
    (RFCState.SUBMITTED, "authorize"): frozenset({RFCKind.STANDARD}),
    (RFCState.SUBMITTED, "break_glass"): frozenset({RFCKind.EMERGENCY}),
    (RFCState.EVALUATING, "break_glass"): frozenset({RFCKind.EMERGENCY}),
    (RFCState.AWAITING_APPROVAL, "break_glass"): frozenset({RFCKind.EMERGENCY}),
}
"""(state, transition) → the kinds that may; whatever is not named here every kind may."""


def kind_refusal(rfc: RFC, transition: str) -> list[Blocker]:
    """Why this kind of change may not do that from where it stands; empty if it may."""
    may = KIND_MAY.get((rfc.state, transition), ALL)
    if rfc.kind in may:
        return []
    kinds = any_of([English.of(kind) for kind in sorted(may)])
    words = transition.replace("_", " ")
    what = English.of(words.capitalize(), context="verb", text=words)
    return [
        Blocker(
            "rfc.kind",
            english(
                "A %(kind)s change cannot %(what)s while %(state)s; only %(kinds)s can.",
                kind=label_of(rfc, "kind"),
                what=what,
                state=label_of(rfc),
                kinds=kinds,
            ),
        )
    ]


PASSES_HOLD = frozenset({"cancel", "reject", "stop", "expired", "voided", "refused"})
"""What a hold does not block: leaving, and the ends of a round, since clocks run on."""


# --- meetings --------------------------------------------------------------------------------------------------------------
@rule("agenda.undecided", "The members' own votes decide this item; a meeting votes for nobody.")
def votes_have_decided(item: AgendaItem, actor: User) -> bool:
    if item.round is None:
        return actor.holds("meeting.manage")
    return item.round.state in (RoundState.PASSED, RoundState.REFUSED)


@rule("agenda.open_round", "Only who manages the meeting takes an item off its agenda while its round is open.")
def may_leave_agenda(item: AgendaItem, actor: User) -> bool:
    if actor.holds("meeting.manage"):
        return True
    return item.round is not None and item.round.state != RoundState.OPEN
