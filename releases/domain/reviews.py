"""The post-implementation review: opened with its figures, answered, completed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changes.domain import evidence
from changes.enums import EvidenceKind
from changes.models import RFC
from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.rules import capability, failing
from releases.domain import releases
from releases.domain.readiness import as_asked, definition
from releases.enums import ReleaseOutcome, ReleaseState, ReviewSlot, ReviewState
from releases.models import PostImplementationReview, Release, ReviewAnswer, Rollout
from releases.queries.reviews import figures, unanswered
from releases.rules import any_of
from releases.wording import many


@workflow.verb("release.review.opened", Release, "release_id")
def open_review(*, release_id: int, actor: User, at: datetime) -> PostImplementationReview:
    """Opens the review of a release that was deployed or taken back; a second end (a rollback) refreshes its figures."""
    release = workflow.lock(Release, release_id)
    if release.state not in (ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK):
        raise Conflict("There is nothing to review yet.", code="conflict.state")
    what = definition(ReviewSlot.AFTER_DEPLOY, release.kind)
    review, made = PostImplementationReview.objects.get_or_create(
        release=release, defaults={"name": what.name, "questions": list(what.questions), "opened_at": at}
    )
    if review.state == ReviewState.OPEN:
        review.figures = figures(release, at=at)
        review.save(update_fields=["figures"])
    audit.record(
        review, "release.review.opened", actor=actor, at=at, detail={"outcome": release.outcome, "again": not made}
    )
    return review


ANSWERS = any_of(capability("review.write"), capability("review.complete"))


@workflow.verb("release.review.answered", PostImplementationReview, "review_id")
def answer(*, review_id: int, answers: Mapping[str, str], actor: User, at: datetime) -> PostImplementationReview:
    """Adds answers to questions of the review; an earlier answer stays as a row. Empty answers are left out."""
    review = workflow.lock(PostImplementationReview, review_id)
    if refused := failing([ANSWERS], review, actor):
        raise NotAllowed(refused)
    if over := _over(review):
        raise Conflict(over)
    if strange := [question for question in answers if question not in review.questions]:
        raise Invalid(english("This review does not ask “%(strange)s”.", strange=strange[0]), code="review.question")
    said = {question: text.strip() for question, text in answers.items() if text.strip()}
    for question, text in said.items():
        ReviewAnswer.objects.create(review=review, question=question, answer=text, answered_by=actor, answered_at=at)
    if said:
        audit.record(review, "release.review.answered", actor=actor, at=at, detail=dict(said))
    return review


def why_not_answer(review: PostImplementationReview, actor: User) -> list[Blocker]:
    """Why this person cannot answer now, the same as the verb raises."""
    return failing([ANSWERS], review, actor) or _over(review)


def _over(review: PostImplementationReview) -> list[Blocker]:
    if review.state == ReviewState.OPEN:
        return []
    return [Blocker("conflict.state", "This review is completed: what was said stays.")]


@workflow.verb("release.review.completed", PostImplementationReview, "review_id")
def complete(*, review_id: int, lessons: str, actions: str, actor: User, at: datetime) -> PostImplementationReview:
    """Completes the review with figures as they stand now; the RFCs get it as evidence.

    Raises NotAllowed (role; who carried out a part of it or of one of its changes), Blocked while a question is open.
    """
    release_id = PostImplementationReview.objects.values_list("release_id", flat=True).get(pk=review_id)
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    release = workflow.lock(Release, release_id)
    taken = figures(release, at=at)
    review = workflow.fire(
        PostImplementationReview,
        review_id,
        "complete",
        actor=actor,
        at=at,
        figures=taken,
        lessons=lessons.strip(),
        actions=actions.strip(),
    )
    summary = english(
        "%(release)s reviewed by %(actor)s: %(outcome)s, %(hosts)s owed.",
        release=release.number,
        actor=actor,
        outcome=label_of(release, "outcome"),
        hosts=many(len(taken["owed"]), "host"),
    )
    document = {
        "review": review.pk,
        "release": release.number,
        "figures": taken,
        "lessons": review.lessons,
        "actions": review.actions,
    }
    releases.push_evidence(
        release,
        EvidenceKind.REVIEW,
        at=at,
        summary=summary,
        passed=release.outcome == ReleaseOutcome.FULL,
        digest=digest(document),
    )
    return review


ENDED = ("release.release.stopped", "release.release.rolling_back")


@evidence.hands
def carriers_of(*rfcs: RFC) -> dict[int, set[int]]:
    """RFC → who started a release of it, one of its rollouts, or stopped or took it back: they do not review it. Three queries."""
    links = list(Release.objects.filter(links__rfc__in=rfcs).values_list("links__rfc", "pk", "started_by_id"))
    found: dict[int, set[int | None]] = {}
    for _rfc, release, person in links:
        found.setdefault(release, set()).add(person)
    for release, person in Rollout.objects.filter(release__in=found).values_list("release", "started_by_id"):
        found[release].add(person)
    ended = AuditEntry.objects.filter(
        object_type=Release._meta.label_lower,
        object_id__in=[str(pk) for pk in found],
        verb__in=ENDED,
        outcome=Outcome.DONE,
    )
    for release_id, person in ended.values_list("object_id", "actor_id"):
        found[int(release_id)].add(person)
    by_rfc: dict[int, set[int]] = {}
    for rfc_id, release, _person in links:
        by_rfc.setdefault(rfc_id, set()).update(pk for pk in found[release] if pk is not None)
    return by_rfc


@registry.gate("releases.postimplementationreview", "complete")
def find_open_questions(review: PostImplementationReview, **_: Any) -> list[Blocker]:
    """A review that asks is answered; a release that went on meanwhile is waited for."""
    found = [
        Blocker("review.unanswered", english("Not answered: %(question)s", question=as_asked(question)), tone="wait")
        for question in unanswered(review)
    ]
    if review.release.state not in (ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK):
        found.append(
            Blocker(
                "review.release",
                english("%(release)s is %(state)s.", release=review.release, state=label_of(review.release)),
                tone="wait",
            )
        )
    return found


@registry.gate("releases.release", "accept")
def find_review_blockers(release: Release, **_: Any) -> list[Blocker]:
    """Completed means reviewed: the review in the slot after deployment is completed, on the outcome that stands now."""
    review = PostImplementationReview.objects.filter(release=release).first()
    if review is None or review.state != ReviewState.COMPLETED:
        name = review.name if review else definition(ReviewSlot.AFTER_DEPLOY, release.kind).name
        return [
            Blocker(
                "release.not_reviewed",
                english("The %(name)s is not completed.", name=name),
                review.get_absolute_url() if review else "",
                "wait",
            )
        ]
    return []
