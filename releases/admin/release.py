"""Releases, builds, manifests, acceptance, readiness and reviews as rows, with their verbs as actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model

from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin
from releases.domain import acceptance, builds, periodic, releases, standing, steps
from releases.models import (
    AcceptancePlan,
    AcceptanceRun,
    AcceptanceStep,
    Build,
    BuildArtifact,
    BuildClass,
    HostStep,
    InstallProfile,
    Manifest,
    PeriodicAction,
    PeriodicRecord,
    PeriodicRemark,
    PeriodicReview,
    PlannedRing,
    PostImplementationReview,
    ReadinessReview,
    Release,
    ReleaseRFC,
    ReviewAnswer,
    ReviewDefinition,
)


def _inline(of: type[Model], *shown: str) -> type[ReadOnlyInline]:
    return type(f"{of.__name__}Inline", (ReadOnlyInline,), {"model": of, "fields": shown})


def _release(verb: Any, *, reason: bool) -> Any:
    """A call of an admin verb: one domain verb on one release."""

    def call(obj: Release, actor: User, at: Any, said: str) -> None:
        verb(release_id=obj.pk, actor=actor, at=at, **({"reason": said} if reason else {}))

    return call


@admin.register(Release)
class ReleaseAdmin(VerbAdmin):
    list_display = ("number", "title", "kind", "state", "state_at", "outcome", "executor")
    list_filter = ("state", "kind", "outcome", "executor")
    search_fields = ("number", "title")
    inlines = (
        _inline(ReleaseRFC, "rfc", "digest", "joined_at", "left_at"),
        _inline(PlannedRing, "number", "name", "concurrency", "failure_limit", "success_percent", "soak_seconds"),
    )
    verbs = (
        AdminVerb("build", "Request a build", _release(builds.request, reason=False), transition="build"),
        AdminVerb(
            "revise",
            "Revise: back to planning, voids signatures",
            _release(releases.revise, reason=True),
            "revise",
            True,
        ),
        AdminVerb(
            "void", "Void the readiness", _release(releases.void, reason=True), transition="void", needs_reason=True
        ),
        AdminVerb(
            "stop",
            "Stop: ends a deployment at rest",
            _release(releases.stop, reason=True),
            transition="stop",
            needs_reason=True,
        ),
        AdminVerb("cancel", "Cancel", _release(releases.cancel, reason=True), transition="cancel", needs_reason=True),
        AdminVerb(
            "hold",
            "Put on hold",
            _release(standing.place, reason=True),
            needs_reason=True,
            why_not=lambda release, actor, _at: standing.why_not_place(release, actor),
        ),
        AdminVerb(
            "resume",
            "Resume",
            _release(standing.resume, reason=True),
            needs_reason=True,
            why_not=lambda release, actor, _at: standing.why_not_resume(release, actor),
        ),
    )


@admin.register(Build)
class BuildAdmin(VerbAdmin):
    list_display = (
        "release",
        "number",
        "state",
        "requested_by",
        "requested_at",
        "finished_at",
        "reason",
        "attempts",
        "lease_until",
    )
    list_filter = ("state",)
    search_fields = ("release__number",)
    inlines = (
        _inline(BuildClass, "label", "representative", "requested", "packages"),
        _inline(BuildArtifact, "artifact", "use"),
    )


@admin.register(Manifest)
class ManifestAdmin(VerbAdmin):
    list_display = ("release", "revision", "digest", "sealed_by", "sealed_at")
    search_fields = ("release__number", "digest")


@admin.register(AcceptancePlan)
class AcceptancePlanAdmin(VerbAdmin):
    list_display = ("release", "update", "host", "walk_back", "planned_by", "planned_at", "dropped_at")
    search_fields = ("release__number", "update__name", "host__name")


def _give_up(obj: AcceptanceRun, actor: User, at: Any, said: str) -> None:
    acceptance.judge(run_id=obj.pk, verdict="inconclusive", reason=said, actor=actor, at=at)


@admin.register(AcceptanceRun)
class AcceptanceRunAdmin(VerbAdmin):
    list_display = (
        "plan",
        "number",
        "state",
        "requested_by",
        "started_at",
        "finished_at",
        "reason",
        "job_key",
        "attempts",
    )
    list_filter = ("state",)
    inlines = (_inline(AcceptanceStep, "position", "kind", "outcome", "summary", "at"),)
    verbs = (AdminVerb("give_up", "Judge as inconclusive", _give_up, transition="give_up", needs_reason=True),)


@admin.register(ReadinessReview)
class ReadinessReviewAdmin(VerbAdmin):
    list_display = ("name", "manifest", "state", "opened_by", "opened_at", "closed_at", "reason")
    list_filter = ("state",)


@admin.register(PostImplementationReview)
class ReviewAdmin(VerbAdmin):
    list_display = ("release", "name", "state", "opened_at", "completed_by", "completed_at")
    list_filter = ("state",)
    inlines = (_inline(ReviewAnswer, "question", "answer", "answered_by", "answered_at"),)


@admin.register(InstallProfile)
class InstallProfileAdmin(VerbAdmin):
    list_display = ("name", "revision", "restart", "max_minutes_each", "max_minutes_total", "defined_by", "defined_at")
    search_fields = ("name",)


def _step(verb: Any) -> Any:
    def call(obj: HostStep, actor: User, at: Any, said: str) -> None:
        verb(step_id=obj.pk, actor=actor, at=at, comment=said)

    return call


@admin.register(HostStep)
class HostStepAdmin(VerbAdmin):
    list_display = (
        "name",
        "revision",
        "state",
        "moment",
        "kind",
        "target",
        "limit_seconds",
        "on_failure",
        "written_by",
        "decided_by",
    )
    list_filter = ("state", "moment", "kind")
    search_fields = ("name", "target")
    verbs = (
        AdminVerb("approve", "Approve", _step(steps.approve), transition="approve"),
        AdminVerb("refuse", "Refuse", _step(steps.refuse), transition="refuse", needs_reason=True),
        AdminVerb(
            "retire", "Retire: rollouts that carry it halt", _step(steps.retire), transition="retire", needs_reason=True
        ),
    )


@admin.register(ReviewDefinition)
class ReviewDefinitionAdmin(VerbAdmin):
    list_display = ("slot", "kind", "name", "configured_by", "configured_at")


def _conclude(obj: PeriodicReview, actor: User, at: Any, said: str) -> None:
    periodic.complete(review_id=obj.pk, conclusion=said, actor=actor, at=at)


@admin.register(PeriodicReview)
class PeriodicReviewAdmin(VerbAdmin):
    list_display = ("kind", "state", "starts_at", "ends_at", "due_at", "owner", "completed_by", "completed_at")
    list_filter = ("kind", "state")
    inlines = (
        _inline(PeriodicRecord, "figures", "digest", "taken_at", "taken_by"),
        _inline(PeriodicRemark, "text", "said_by", "said_at"),
        _inline(PeriodicAction, "text", "owner", "due_on", "settled_by", "settled_at", "outcome"),
    )
    verbs = (
        AdminVerb(
            "complete", "Complete, with what follows from it", _conclude, transition="complete", needs_reason=True
        ),
    )
