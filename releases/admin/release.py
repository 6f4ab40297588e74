"""Releases, builds, manifests, acceptance, readiness and reviews as rows, with their verbs as actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing, somewhere
from patchflow.web.admin import AdminVerb, VerbAdmin, plain
from releases.admin.parts import inline
from releases.domain import (
    acceptance,
    builds,
    manifests,
    owed,
    plans,
    releases,
    rollbacks,
    standing,
)
from releases.domain import amendments as amending
from releases.models import (
    AcceptancePlan,
    AcceptanceRun,
    AcceptanceStep,
    Amendment,
    Build,
    BuildArtifact,
    BuildClass,
    Manifest,
    PlannedRing,
    ReadinessReview,
    Release,
    ReleaseRFC,
)
from releases.queries.amendments import open_amendment
from releases.web import amendments, builder_forms, release_verbs
from releases.web import release_forms as shapes
from releases.web.amendment_parts import late_of
from releases.web.release_acts import against_judging
from releases.web.ring_forms import Rings
from releases.web.rollout_offers import against_roll_back


def _release(verb: Any, *, reason: bool) -> Any:
    """A call of an admin verb: one domain verb on one release."""

    def call(obj: Release, actor: User, at: Any, said: str) -> Any:
        return verb(release_id=obj.pk, actor=actor, at=at, **({"reason": said} if reason else {}))

    return call


def _by_form(verb: Any) -> Any:
    """A call of an admin verb: one domain verb on one release, with what the form of its page says."""

    def call(obj: Release, actor: User, at: Any, form: Any) -> Any:
        return verb(release_id=obj.pk, actor=actor, at=at, **form.cleaned_data)

    return call


def _against_plan(release: Release, actor: User, _at: Any) -> list[Blocker]:
    return plans.why_not_plan(release, actor)


def _planned(name: str, label: Any, verb: Any, form: Any) -> AdminVerb:
    """A step of the builder: the form of its page for one release in planning."""
    return AdminVerb(name, label, _by_form(verb), form=form, on="one", why_not=_against_plan)


def _plan_rings(release: Release, actor: User, at: Any, rings: Rings) -> None:
    plans.plan_rings(release_id=release.pk, rings=rings.plans(), actor=actor, at=at)


def _late_form(data: Any, release: Release, actor: User) -> amendments.ProposeForm:
    form = amendments.ProposeForm(data)
    form.offer(late_of(release, actor=actor, at=timezone.now()))
    return form


def _against_proposing(release: Release, actor: User, at: Any) -> list[Blocker]:
    """What the page of late-comers says against it, and that there are none."""
    if found := amendments.against_proposing(release, actor):
        return found
    if open_amendment(release):
        return [Blocker("conflict.amendment", english("A proposal is being decided."), tone="wait")]
    if late_of(release, actor=actor, at=at).entries:
        return []
    return [Blocker("amendment.nobody", english("No host that could join has come late."))]


def _compose_form(data: Any, _none: Any, actor: User) -> Any:
    return builder_forms.compose_form(data, (), builder_forms.free_changes(actor))


COMPOSE = AdminVerb(
    "compose",
    _("Compose a release"),
    lambda _none, actor, at, form: releases.compose(actor=actor, at=at, **form.cleaned_data),
    form=_compose_form,
    on="new",
    why_not=lambda _none, actor, _at: failing([somewhere("release.compose")], None, actor),
)


@admin.register(Release)
class ReleaseAdmin(VerbAdmin):
    list_display = ("number", "title", "kind", "state", "state_at", "outcome", "executor")
    list_filter = ("state", "kind", "outcome", "executor")
    search_fields = ("number", "title")
    inlines = (
        inline(ReleaseRFC, "rfc", "digest", "joined_at", "left_at"),
        inline(
            PlannedRing,
            "number",
            "name",
            "concurrency",
            "failure_limit",
            "success_percent",
            "bound_percent",
            "class_hosts",
            "soak_seconds",
        ),
    )
    maker = COMPOSE
    verbs = (
        AdminVerb(
            "rings",
            _("Plan rings"),
            _plan_rings,
            form=builder_forms.rings_form,
            on="one",
            why_not=_against_plan,
        ),
        _planned("windows", _("Choose windows"), plans.plan_windows, builder_forms.windows_form),
        _planned("profile", _("Choose profile"), plans.choose_profile, builder_forms.profile_form),
        _planned("way_back", _("Choose way back"), plans.choose_way_back, builder_forms.way_back_form),
        _planned("drop_host", _("Leave a host out"), plans.drop_host, builder_forms.drop_host_form),
        AdminVerb("build", _("Request a build"), _release(builds.request, reason=False), transition="build"),
        AdminVerb(
            "plan_test",
            _("Plan a test"),
            _by_form(acceptance.plan),
            form=builder_forms.plan_test_form,
            on="one",
            why_not=lambda release, actor, _at: acceptance.why_not_plan(release, actor),
        ),
        AdminVerb(
            "test",
            _("Run the tests"),
            _release(acceptance.request_runs, reason=False),
            why_not=lambda release, actor, _at: release_verbs.against_tests(release, actor),
        ),
        AdminVerb("seal", _("Seal the manifest"), _release(manifests.seal, reason=False), transition="seal", on="one"),
        AdminVerb("deploy", _("Start the deployment"), _release(releases.deploy, reason=False), transition="deploy"),
        AdminVerb(
            "propose_amendment",
            _("Propose that late-comers join"),
            _by_form(amending.propose),
            form=_late_form,
            on="one",
            why_not=_against_proposing,
        ),
        AdminVerb(
            "roll_back",
            _("Roll back: takes back what its rollout did"),
            _release(rollbacks.roll_back, reason=True),
            needs_reason=True,
            on="one",
            why_not=against_roll_back,
        ),
        AdminVerb("accept", _("Complete"), _release(releases.accept, reason=False), transition="accept"),
        AdminVerb(
            "propose_next",
            _("Propose the next change"),
            _release(owed.propose_next, reason=False),
            on="one",
            why_not=lambda release, actor, _at: release_verbs.against_next(release, actor),
        ),
        AdminVerb(
            "revise",
            _("Revise: back to planning, voids signatures"),
            _release(releases.revise, reason=True),
            "revise",
            True,
        ),
        AdminVerb(
            "void", _("Void the readiness"), _release(releases.void, reason=True), transition="void", needs_reason=True
        ),
        AdminVerb(
            "stop",
            _("Stop: ends a deployment at rest"),
            _by_form(releases.stop),
            transition="stop",
            form=plain(shapes.StopForm),
        ),
        AdminVerb(
            "cancel", _("Cancel"), _release(releases.cancel, reason=True), transition="cancel", needs_reason=True
        ),
        AdminVerb(
            "hold",
            _("Put on hold"),
            _release(standing.place, reason=True),
            needs_reason=True,
            why_not=lambda release, actor, _at: standing.why_not_place(release, actor),
        ),
        AdminVerb(
            "resume",
            _("Resume"),
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
    )
    list_filter = ("state",)
    search_fields = ("release__number",)
    inlines = (
        inline(BuildClass, "label", "representative", "requested", "packages"),
        inline(BuildArtifact, "artifact", "use"),
    )


@admin.register(Manifest)
class ManifestAdmin(VerbAdmin):
    list_display = ("release", "revision", "digest", "sealed_by", "sealed_at")
    search_fields = ("release__number", "digest")


def _drop(plan: AcceptancePlan, actor: User, at: Any, said: str) -> None:
    acceptance.drop(release_id=plan.release_id, plan_id=plan.pk, reason=said, actor=actor, at=at)


def _withdraw_amendment(amendment: Amendment, actor: User, at: Any, said: str) -> None:
    amending.withdraw(amendment_id=amendment.pk, reason=said, actor=actor, at=at)


@admin.register(Amendment)
class AmendmentAdmin(VerbAdmin):
    """Late-comers that are to join; the question is decided on its round."""

    list_display = ("release", "state", "hosts", "reason", "proposed_by", "proposed_at")
    fields = (
        "state",
        "release",
        "base",
        "hosts",
        "reason",
        "outcome",
        "proposed_by",
        "proposed_at",
        "digest",
        "manifest",
    )
    list_filter = ("state",)
    list_select_related = ("release", "proposed_by")
    search_fields = ("release__number",)
    verbs = (
        AdminVerb(
            "withdraw", _("Withdraw the proposal"), _withdraw_amendment, transition="withdraw", needs_reason=True
        ),
    )


@admin.register(AcceptancePlan)
class AcceptancePlanAdmin(VerbAdmin):
    list_display = ("release", "update", "host", "walk_back", "planned_by", "planned_at", "dropped_at")
    search_fields = ("release__number", "update__name", "host__name")
    verbs = (
        AdminVerb(
            "drop",
            _("Take out"),
            _drop,
            needs_reason=True,
            why_not=lambda plan, actor, _at: acceptance.why_not_drop(plan, actor),
        ),
    )


def _judge(run: AcceptanceRun, actor: User, at: Any, form: shapes.JudgeForm) -> None:
    acceptance.judge(run_id=run.pk, actor=actor, at=at, **form.cleaned_data)


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
    )
    list_filter = ("state",)
    inlines = (inline(AcceptanceStep, "position", "kind", "outcome", "summary", "at"),)
    verbs = (
        AdminVerb(
            "judge",
            _("Judge"),
            _judge,
            form=plain(shapes.JudgeForm),
            why_not=lambda run, actor, _at: against_judging(run, actor),
        ),
    )


@admin.register(ReadinessReview)
class ReadinessReviewAdmin(VerbAdmin):
    list_display = ("name", "manifest", "state", "opened_by", "opened_at", "closed_at", "reason")
    list_filter = ("state",)
