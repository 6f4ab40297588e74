"""Reviews at intervals: opened when their period is over, discussed, completed with figures that stay; actions tracked."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.enums import PeriodicKind, ReviewState
from releases.models import PeriodicAction, PeriodicRecord, PeriodicRemark, PeriodicReview
from releases.queries.periodic import figures, last_of, next_period
from releases.rules import any_of

TIME_TO_COMPLETE = timedelta(days=14)
"""So long after its opening a review is due."""
LONGEST = timedelta(days=400)
writes = any_of(capability("review.write"), capability("review.complete"))


def _may_write(review: PeriodicReview | None, actor: User) -> None:
    if refused := failing([writes], review, actor):
        raise NotAllowed(refused)


@workflow.verb("release.periodic.opened")
def open_review(
    *, kind: str, starts_at: datetime, ends_at: datetime, actor: User, at: datetime, owner_id: int | None = None
) -> PeriodicReview:
    """Opens a review over [starts_at, ends_at), which must be over. Needs review.write or review.complete everywhere; one of
    a kind is open at a time. Without an owner it is everybody's who may complete it."""
    _may_write(None, actor)
    return _open(kind, starts_at, ends_at, actor=actor, at=at, owner=_person(owner_id))


def _open(
    kind: str, starts_at: datetime, ends_at: datetime, *, actor: User, at: datetime, owner: User | None
) -> PeriodicReview:
    found = []
    if kind not in PeriodicKind.values:
        found.append(Blocker("invalid.kind", "Choose a review of operations or of service levels."))
    if not starts_at < ends_at <= starts_at + LONGEST:
        found.append(Blocker("invalid.ends_at", "The period ends after it starts, and lasts 400 days at most."))
    if ends_at > at:
        found.append(Blocker("invalid.ends_at", "The period is not over: its figures would not be those of all of it."))
    if found:
        raise Invalid(found)
    _take_turns(kind)
    if PeriodicReview.objects.open().filter(kind=kind).exists():
        raise Conflict("One of this kind is open: complete it first.", code="conflict.open")
    review = PeriodicReview.objects.create(
        kind=kind, starts_at=starts_at, ends_at=ends_at, due_at=at + TIME_TO_COMPLETE, owner=owner, opened_by=actor, opened_at=at
    )  # fmt: skip
    detail = {"kind": kind, "from": starts_at, "to": ends_at, "owner": str(owner or "")}
    audit.record(review, "release.periodic.opened", actor=actor, at=at, after=ReviewState.OPEN, detail=detail)
    return review


def _person(pk: int | None) -> User | None:
    if pk is None:
        return None
    person = User.objects.filter(pk=pk, is_active=True).first()
    if person is None or not person.is_person:
        raise Invalid("Choose a person.", code="invalid.owner_id")
    return person


def _locked(review_id: int, actor: User) -> PeriodicReview:
    review = workflow.lock(PeriodicReview, review_id)
    _may_write(review, actor)
    if review.state != ReviewState.OPEN:
        raise Conflict("It is completed: what was said stays.", code="conflict.state")
    return review


@workflow.verb("release.periodic.assigned", PeriodicReview, "review_id")
def assign(*, review_id: int, owner_id: int, actor: User, at: datetime) -> PeriodicReview:
    """Gives the review to a person, who is shown it at Home."""
    review = _locked(review_id, actor)
    review.owner = _person(owner_id)
    review.save(update_fields=["owner"])
    audit.record(review, "release.periodic.assigned", actor=actor, at=at, detail={"owner": str(review.owner)})
    return review


@workflow.verb("release.periodic.remarked", PeriodicReview, "review_id")
def remark(*, review_id: int, text: str, actor: User, at: datetime) -> PeriodicRemark:
    """Says something in the discussion; it stays."""
    review = _locked(review_id, actor)
    if not text.strip():
        raise Invalid("Say something.", code="invalid.text")
    made = PeriodicRemark.objects.create(review=review, text=text.strip()[:4000], said_by=actor, said_at=at)
    audit.record(review, "release.periodic.remarked", actor=actor, at=at, detail={"remark": made.pk})
    return made


@workflow.verb("release.periodic.action_raised", PeriodicReview, "review_id")
def raise_action(
    *, review_id: int, text: str, owner_id: int, due_on: date, actor: User, at: datetime
) -> PeriodicAction:
    """Writes down what will be done, by whom, until when. The date lies ahead."""
    review = _locked(review_id, actor)
    owner = _person(owner_id)
    if not text.strip() or owner is None:
        raise Invalid("Say what is done, and by whom.", code="invalid.text")
    if due_on < at.date():
        raise Invalid("The day lies in the past.", code="invalid.due_on")
    made = PeriodicAction.objects.create(
        review=review, text=text.strip()[:500], owner=owner, due_on=due_on, raised_by=actor, raised_at=at
    )
    detail = {"action": made.pk, "text": made.text, "owner": str(owner), "due_on": due_on}
    audit.record(review, "release.periodic.action_raised", actor=actor, at=at, detail=detail)
    return made


@workflow.verb("release.periodic.action_settled", PeriodicReview, "review_id")
def settle_action(
    *, review_id: int, action_id: int, outcome: str, actor: User, at: datetime, dropped: bool = False
) -> PeriodicAction:
    """Says what came of an action, also after its review: by its owner, or who may write reviews."""
    review = workflow.lock(PeriodicReview, review_id)
    action = PeriodicAction.objects.filter(review=review, pk=action_id).first()
    if action is None or action.owner_id != actor.pk:
        _may_write(review, actor)
    if action is None:
        raise Conflict("This action does not exist.", code="conflict.gone")
    if action.settled_at is not None:
        raise Conflict(_SETTLED)
    if not outcome.strip():
        raise Invalid("Say what came of it.", code="invalid.outcome")
    action.settled_at, action.settled_by, action.dropped, action.outcome = at, actor, dropped, outcome.strip()[:500]
    action.save()
    detail = {"action": action.pk, "dropped": dropped, "outcome": action.outcome}
    audit.record(review, "release.periodic.action_settled", actor=actor, at=at, detail=detail)
    return action


_SETTLED = Blocker("conflict.state", "It is settled already.")


def why_not_settle(action: PeriodicAction, actor: User) -> list[Blocker]:
    """Why this person cannot say what came of it now, the same as the verb raises."""
    refused = [] if action.owner_id == actor.pk else failing([writes], action.review, actor)
    return refused or ([_SETTLED] if action.settled_at else [])


def _take_turns(kind: str) -> None:
    """Whoever opens one of this kind waits for the others who do, until the end of their transaction."""
    audit.named(f"periodic:{kind}")


@workflow.verb("release.periodic.completed", PeriodicReview, "review_id")
def complete(*, review_id: int, conclusion: str, actor: User, at: datetime) -> PeriodicReview:
    """Completes a review: its figures as the rows say now go into a record that stays, with their moment and digest. Needs
    review.complete; Blocked while nobody has said anything or there is no conclusion."""
    review = workflow.fire(
        PeriodicReview, review_id, "complete", actor=actor, at=at, conclusion=conclusion.strip()[:4000]
    )
    taken = figures(review.kind, review.starts_at, review.ends_at, at=at)
    said = list(review.remarks.order_by("pk").values_list("said_by__username", "text"))
    todo = list(review.actions.order_by("pk").values_list("text", "owner__username"))
    document = {
        "schema": 1, "review": review.pk, "kind": review.kind, "figures": taken, "conclusion": review.conclusion,
        "remarks": [list(row) for row in said], "actions": [list(row) for row in todo],
    }  # fmt: skip
    PeriodicRecord.objects.create(review=review, figures=taken, digest=digest(document), taken_at=at, taken_by=actor)
    return review


@registry.gate("releases.periodicreview", "complete")
def find_periodic_blockers(review: PeriodicReview, *, facts: Any, **_: Any) -> list[Blocker]:
    """A checkpoint, no decoration: it was discussed, and somebody draws a conclusion."""
    found = []
    if not review.remarks.exists():
        found.append(Blocker("periodic.not_discussed", "Nobody has said anything about these figures.", tone="wait"))
    if "conclusion" in facts and not facts["conclusion"]:
        found.append(Blocker("periodic.no_conclusion", "Say what follows from it."))
    return found


@registry.sweep("releases.periodic")
def sweep(*, now: datetime) -> int:
    """Opens each review whose period is over, for the person who had the last one."""
    count = 0
    for kind in PeriodicKind.values:
        period = next_period(kind)
        if period is None or period[1] > now:
            continue
        last = last_of(kind)
        owner = last.owner if last and last.owner and last.owner.is_active else None
        if _open_by_system(kind=kind, period=period, owner=owner, actor=User.bot(), at=now):
            count += 1
    return count


@workflow.verb("release.periodic.opened")
def _open_by_system(
    *, kind: str, period: tuple[datetime, datetime], owner: User | None, actor: User, at: datetime
) -> PeriodicReview | None:
    """None: another sweep, or a person, was there first."""
    _take_turns(kind)
    if next_period(kind) != period:
        return None
    return _open(kind, period[0], period[1], actor=actor, at=at, owner=owner)
