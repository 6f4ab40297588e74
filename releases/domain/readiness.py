"""The review before deployment: whom it asks, the round over the manifest, go or no-go. What stands against it: `checklist`.

The round signs the sealed manifest and nothing else. Four eyes: who requested, wrote, composed, built, sealed, started or carried
out a part does not sign; who signed neither builds nor starts. Any edit voids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from changes.domain import approvals, cycles
from changes.enums import EvidenceKind, RFCKind
from changes.models import RFC
from changes.queries.holds import hold_blocker
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.levels import LevelSpec, voters_by_role
from patchflow.kernel.models import SignOff, SignOffRound, User
from patchflow.kernel.registry import SignOffSubject, signoff_subjects
from patchflow.kernel.roles import all_roles
from patchflow.kernel.rules import capability, failing
from releases.domain import releases, slots
from releases.enums import ReviewSlot
from releases.models import Manifest, ReadinessReview, Release, ReviewDefinition
from releases.queries.manifests import current

READINESS = {"name": "Readiness", "role": "readiness_approver", "quorum": "first", "amount": 1, "hours": 72}
BOARD = {"name": "CAB", "role": "cab_chair", "quorum": "first", "amount": 1, "hours": 72}
EMERGENCY_BOARD = {"name": "Emergency CAB", "role": "cab_chair", "quorum": "first", "amount": 1, "hours": 4}
CHANGE_MANAGER = {"name": "Change manager", "role": "change_manager", "quorum": "first", "amount": 1, "hours": 72}
QUESTIONS = (
    english("Is what was tested exactly what the manifest names?"),
    english("Are the right people told, and when?"),
    english("Who decides to stop, and how is everything taken back?"),
)
APPROVED_QUESTIONS = (
    english("Was the change successful?"),
    english("What in the process should be changed?"),
    english("Did people have what they needed?"),
    english("Do service levels or baselines need adjusting?"),
)


@dataclass(frozen=True)
class Definition:
    """The review that stands in a slot: its name, whom it asks, what it asks them."""

    name: str
    levels: Sequence[Mapping[str, Any]]
    questions: Sequence[str]


def definition(slot: str, kind: str) -> Definition:
    """What is configured for this kind of RFC, else for all, else the default: Release Readiness Review before
    deployment (the board too in an emergency), Release Approved Review after it."""
    rows = ReviewDefinition.objects.filter(slot=slot, kind__in=[kind, ""]).order_by("-id")
    found = next((r for r in rows if r.kind == kind), None) or next(iter(rows), None)
    if found:
        return Definition(found.name, found.levels, found.questions)
    if slot == ReviewSlot.AFTER_DEPLOY:
        return Definition("Release Approved Review", [], APPROVED_QUESTIONS)
    if slot == ReviewSlot.ACCEPT_PARTIAL:
        return Definition("Incomplete ring", [{**CHANGE_MANAGER, "hours": 4 if kind == "emergency" else 72}], ())
    levels = [{**READINESS, "hours": 4}, EMERGENCY_BOARD] if kind == "emergency" else [READINESS]
    return Definition("Release Readiness Review", levels, QUESTIONS)


def as_asked(question: str) -> str:
    """A kept question: one of ours as the sentence that it was, another as somebody wrote it."""
    return next((one for one in (*QUESTIONS, *APPROVED_QUESTIONS) if one == question), question)


@workflow.verb("release.slot.configured")
def configure_slot(
    *, slot: str, name: str, actor: User, at: datetime, kind: str = "", levels: Sequence[Mapping[str, Any]] = (),
    questions: Sequence[str] = (),
) -> ReviewDefinition:  # fmt: skip
    """Puts a review into a slot, from now on. Before deployment at least one level must ask somebody. Raises Invalid."""
    if refused := failing([capability("settings.edit")], None, actor):
        raise NotAllowed(refused)
    found = []
    if slot not in ReviewSlot.values or not name.strip():
        found.append(Blocker("slot.name", "Name the slot and the review."))
    if slot in (ReviewSlot.BEFORE_DEPLOY, ReviewSlot.ACCEPT_PARTIAL) and not levels:
        found.append(
            Blocker("slot.levels", "Before deployment, and about an incomplete ring, at least one level is asked.")
        )
    for level in levels:
        if level.get("role") not in all_roles() or level.get("quorum") not in ("first", "all", "count", "percent"):
            found.append(
                Blocker(
                    "slot.levels",
                    english("Level %(level)s: role or quorum is not known.", level=level.get("name", "?")),
                )
            )
    if found:
        raise Invalid(found)
    row = ReviewDefinition.objects.create(
        slot=slot, kind=kind, name=name.strip(), levels=[dict(level) for level in levels], questions=list(questions),
        configured_by=actor, configured_at=at,
    )  # fmt: skip
    audit.record(audit.named("settings"), "release.slot.configured", actor=actor, at=at,
                 detail={"slot": slot, "kind": kind, "name": name, "levels": row.levels})  # fmt: skip
    return row


def level_specs(release: Release, *, at: datetime, over: Sequence[frozenset[str]] | None = None) -> list[LevelSpec]:
    """The levels that the review of this release asks, with the people who hold the roles for all its hosts (`over`: for
    those of these scope keys)."""
    over = release.scope_keys() if over is None else over
    return [
        LevelSpec(
            name=str(level["name"]),
            voters=voters_by_role(str(level["role"]), over),
            quorum=str(level["quorum"]),
            amount=int(level.get("amount", 1)),
            deadline_at=at + timedelta(hours=int(level["hours"])) if level.get("hours") else None,
            escalate_to=str(level.get("escalate_to", "release_manager")),
        )
        for level in definition(ReviewSlot.BEFORE_DEPLOY, release.kind).levels
    ]


def open_review(*, release: Release, manifest: Manifest, actor: User, at: datetime) -> ReadinessReview:
    """Opens the review and its round on the manifest just sealed (called by `manifests.seal`, release locked)."""
    what = definition(ReviewSlot.BEFORE_DEPLOY, release.kind)
    specs = level_specs(release, at=at)
    round_ = signoffs.open_round(subject=release, levels=specs, actor=actor, at=at, kind="readiness")
    review = ReadinessReview.objects.create(
        release=release,
        manifest=manifest,
        round=round_,
        name=what.name,
        questions=list(what.questions),
        opened_by=actor,
        opened_at=at,
    )
    audit.record(review, "release.readiness.opened", actor=actor, at=at, detail={"digest": manifest.digest})
    return review


@workflow.verb("signoff.round.signed", SignOffRound, "round_id")
def decide(
    *, round_id: int, verdict: str, comment: str, actor: User, at: datetime, digest_seen: str = "",
    authenticated_at: datetime | None = None,
) -> SignOff:  # fmt: skip
    """Signs the manifest, or refuses it with a comment; when the tally closes the release is ready, or no-go.

    Locks cycles, RFCs, release, round, in this order. Raises what `signoffs.decide` raises, and Blocked if it would
    become ready while something else stands against it.
    """
    peek = SignOffRound.objects.filter(pk=round_id, subject_type=Release._meta.label_lower).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    rfc_ids = Release.objects.get(pk=peek.subject_id).rfc_ids()
    releases.lock_cycles(rfc_ids)
    releases.lock_rfcs(rfc_ids)
    return signoffs.decide(
        round_id=round_id, verdict=verdict, comment=comment, actor=actor, at=at, digest_seen=digest_seen,
        authenticated_at=authenticated_at,
    )  # fmt: skip


# --- the sign-off subject ---------------------------------------------------------------------------------------------
def _document(release: Release) -> Any:
    """What is signed: the sealed manifest (nothing that can be edited)."""
    manifest = current(release.pk)
    return manifest.document if manifest else {}


def excluded(release: Release) -> dict[int, str]:
    """Who may not sign the manifest of this release, and why (law 1)."""
    found: dict[int, str] = {}
    for link in release.links.select_related("rfc"):
        for pk in link.rfc.author_ids():
            found.setdefault(pk, english("You requested or wrote this change; somebody else signs."))
    for pk in release.carrier_ids():
        found.setdefault(pk, english("You carried out a part of this change; somebody else signs."))
    if release.started_by_id:
        found[release.started_by_id] = english("You started this deployment; somebody else signs.")
    found.setdefault(release.composed_by_id, english("You composed this release; somebody else signs."))
    for pk in release.manifests.values_list("sealed_by_id", flat=True):
        found[pk] = english("You sealed this manifest; somebody else signs.")
    for pk in release.builds.values_list("requested_by_id", flat=True):
        found[pk] = english("You built this release; somebody else signs.")
    return found


@approvals.excludes
def builders_of(rfc: RFC) -> dict[int, str]:
    """Who composed, built, sealed or started a release of this RFC does not sign the RFC (a new round on its rest)."""
    found: dict[int, str] = {}
    for release in Release.objects.filter(links__rfc=rfc):
        hands = {
            release.composed_by_id,
            release.started_by_id,
            *release.builds.values_list("requested_by_id", flat=True),
        }
        hands |= set(release.manifests.values_list("sealed_by_id", flat=True))
        found |= {
            pk: english("You worked on %(release)s of this change; somebody else decides about it.", release=release)
            for pk in hands
            if pk
        }
    return found


def not_now(release: Release) -> list[Blocker]:
    """Holds of the release and of the changes that it serves: nothing is signed that could not become ready."""
    found = hold_blocker(release)
    for link in release.links.select_related("rfc").order_by("rfc"):
        found += [
            replace(held, sentence=english("%(rfc)s: %(why)s", rfc=link.rfc.number, why=held.sentence))
            for held in hold_blocker(link.rfc)
        ]
    return found


def _review_of(round_: SignOffRound) -> ReadinessReview:
    return ReadinessReview.objects.get(round=round_)


def _passed(release: Release, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    workflow.fire(ReadinessReview, _review_of(round_).pk, "go", actor=actor, at=at)
    ready = workflow.fire(Release, release.pk, "ready", actor=actor, at=at)
    releases.push_evidence(
        ready, EvidenceKind.READINESS, at=at, passed=True,
        summary=english("%(ready)s: go for the manifest %(digest)s…", ready=ready.number, digest=round_.digest[:12]),
    )  # fmt: skip
    for cycle_id in sorted({link.rfc.cycle_id for link in ready.links.select_related("rfc")}):
        cycles.deployment_approved(cycle_id=cycle_id, actor=User.bot(), at=at, cause=ready.number)


def _ended(release: Release, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    last = round_.signoffs.filter(verdict="refuse").last()
    reason = last.comment if last else round_.reason or english("The review ended without a decision.")
    workflow.fire(ReadinessReview, _review_of(round_).pk, "refuse", actor=actor, at=at, reason=reason)
    back = workflow.fire(Release, release.pk, "no_go", actor=actor, at=at, reason=reason)
    slots.give_back(back, reason=reason, at=at)
    releases.push_evidence(
        back,
        EvidenceKind.READINESS,
        at=at,
        summary=english("%(back)s: no-go. %(reason)s", back=back.number, reason=reason),
        passed=False,
    )


signoff_subjects.add(
    "releases.release",
    SignOffSubject(
        label="releases.release",
        document=_document,
        excluded=excluded,
        capability="release.sign",
        on_passed=_passed,
        on_refused=_ended,
        on_expired=_ended,
        not_now=not_now,
        url=lambda release: str(release.get_absolute_url()),
        visible=lambda actor: Release.objects.visible_to(actor).values("pk"),
        emergency=lambda release: release.kind == RFCKind.EMERGENCY,
        decide=decide,
    ),
)
