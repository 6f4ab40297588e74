"""The post-implementation review: opened with its figures, answered, completed; baselines proposed from the manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changes.enums import EvidenceKind
from cmdb.domain import baselines
from cmdb.models import Baseline, Platform
from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain import releases
from releases.domain.readiness import definition
from releases.enums import ReleaseOutcome, ReleaseState, ReviewSlot, ReviewState
from releases.models import BuildClass, Manifest, PostImplementationReview, Release, ReviewAnswer
from releases.queries.manifests import current, intact, manifest_signed
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


@workflow.verb("release.review.answered", PostImplementationReview, "review_id")
def answer(*, review_id: int, answers: Mapping[str, str], actor: User, at: datetime) -> PostImplementationReview:
    """Adds answers to questions of the review; an earlier answer stays as a row. Empty answers are left out."""
    review = workflow.lock(PostImplementationReview, review_id)
    if refused := failing([any_of(capability("review.write"), capability("review.complete"))], review, actor):
        raise NotAllowed(refused)
    if review.state != ReviewState.OPEN:
        raise Conflict("This review is completed: what was said stays.", code="conflict.state")
    if strange := [question for question in answers if question not in review.questions]:
        raise Invalid(f"This review does not ask “{strange[0]}”.", code="review.question")
    said = {question: text.strip() for question, text in answers.items() if text.strip()}
    for question, text in said.items():
        ReviewAnswer.objects.create(review=review, question=question, answer=text, answered_by=actor, answered_at=at)
    if said:
        audit.record(review, "release.review.answered", actor=actor, at=at, detail=dict(said))
    return review


@workflow.verb("release.review.completed", PostImplementationReview, "review_id")
def complete(*, review_id: int, lessons: str, actions: str, actor: User, at: datetime) -> PostImplementationReview:
    """Completes the review with figures as they stand now; the RFCs get it as evidence.

    Raises NotAllowed (role; who started the deployment), Blocked while a question is open.
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
    summary = f"{release.number} reviewed by {actor}: {release.get_outcome_display()}, {many(len(taken['owed']), 'host')} owed."
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


@registry.gate("releases.postimplementationreview", "complete")
def find_open_questions(review: PostImplementationReview, **_: Any) -> list[Blocker]:
    """A review that asks is answered; a release that went on meanwhile is waited for."""
    found = [Blocker("review.unanswered", f"Not answered: {question}", tone="wait") for question in unanswered(review)]
    if review.release.state not in (ReleaseState.DEPLOYED, ReleaseState.ROLLED_BACK):
        found.append(
            Blocker("review.release", f"{review.release} is {review.release.get_state_display()}.", tone="wait")
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
                f"The {name} is not completed.",
                review.get_absolute_url() if review else "",
                "wait",
            )
        ]
    return []


# --- baselines --------------------------------------------------------------------------------------------------------
def propose_baselines(release: Release, *, at: datetime) -> list[Baseline]:
    """After a full deployment: one baseline per platform, proposed from the signed manifest and adopted, as the system.

    What the platform's baseline in force says about other packages stays. A partial, failed or taken-back release
    changes no baseline. One that cannot be adopted stays proposed, for a person.
    """
    manifest = current(release.pk)
    if release.outcome != ReleaseOutcome.FULL or manifest is None:
        return []
    made = []
    for platform_id, fresh in baseline_items(manifest).items():
        platform = Platform.objects.get(pk=platform_id)
        force = Baseline.objects.approved().filter(platform=platform, group__isnull=True).order_by("-pk").first()
        kept = {(i.name, i.arch): i.version for i in force.items.all()} if force else {}
        items = kept | {(name, arch): version for name, arch, version in fresh}
        made.append(
            baselines.propose(
                name=force.name if force else str(platform), platform_id=platform_id, source_digest=manifest.digest,
                items=[(name, arch, version) for (name, arch), version in sorted(items.items())], actor=User.bot(), at=at,
            )
        )  # fmt: skip
    for baseline in made:
        if not find_unsigned_items(baseline):
            baselines.adopt(baseline_id=baseline.pk, actor=User.bot(), at=at)
    return made


def baseline_items(manifest: Manifest) -> dict[int, list[tuple[str, str, str]]]:
    """Platform → (name, arch, version) of every package on whose version all classes of the platform agree."""
    platforms = dict(BuildClass.objects.filter(build=manifest.build).values_list("label", "platform_id"))
    versions: dict[int, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in manifest.document["classes"]:
        for package in one["packages"]:
            versions[platforms[one["class"]]][(package["name"], package["arch"])].add(package["to"])
    return {
        platform_id: sorted((n, a, next(iter(v))) for (n, a), v in packages.items() if len(v) == 1)
        for platform_id, packages in versions.items()
    }


@registry.gate("cmdb.baseline", "adopt")
def find_unsigned_items(baseline: Baseline, **_: Any) -> list[Blocker]:
    """Vouches for a baseline taken from a manifest: signed in a passed round, fully deployed, and every version either in
    it or in the baseline in force before."""
    manifest = Manifest.objects.filter(digest=baseline.source_digest).first() if baseline.source_digest else None
    if manifest is None or not intact(manifest):
        return [Blocker("baseline.no_manifest", "The manifest it names is not known here.")]
    release = manifest.release
    if not manifest_signed(manifest) or release.outcome != ReleaseOutcome.FULL:
        return [Blocker("baseline.not_signed", f"{manifest} was not signed and fully deployed.")]
    signed = {(p["name"], p["arch"], p["to"]) for c in manifest.document["classes"] for p in c["packages"]}
    before = Baseline.objects.filter(name=baseline.name, version__lt=baseline.version, approved_at__isnull=False)
    last = before.order_by("-version").first()
    signed |= set(last.items.values_list("name", "arch", "version")) if last else set()
    extra = set(baseline.items.values_list("name", "arch", "version")) - signed
    return [
        Blocker("baseline.not_contained", f"{name} {version} is neither in the manifest nor in the baseline before.")
        for name, _arch, version in sorted(extra)
    ]
