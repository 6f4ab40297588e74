"""What a release is planned from: its hosts in their rings, install profiles and the steps on hosts."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from cmdb.models import Host
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, VerbAdmin, plain
from releases.domain import plans, steps
from releases.models import HostStep, InstallProfile, PlannedHost, Release
from releases.web import release_forms as shapes
from releases.web.release_writing import initial_of
from releases.web.ring_forms import IntoForm
from releases.web.step_forms import StepForm


def _into_form(data: Any, rows: Sequence[PlannedHost], _actor: User) -> IntoForm:
    """The rings of their release, but the one in which all of them are."""
    form, present = IntoForm(data), {row.ring_id for row in rows}
    rings = [ring for ring in rows[0].release.planned_rings.all() if present != {ring.pk}]
    form.offer([(ring.number, f"{ring.number} · {ring.name}") for ring in rings])
    return form


def _move(rows: Sequence[PlannedHost], actor: User, at: Any, form: IntoForm) -> None:
    plans.move_hosts(
        release_id=rows[0].release_id, ring=form.cleaned_data["into"], actor=actor, at=at,
        wanted=plans.Wanted(host_ids=[row.host_id for row in rows]),
    )  # fmt: skip


def _against_moving(rows: Sequence[PlannedHost], actor: User, _at: Any) -> list[Blocker]:
    if len({row.release_id for row in rows}) > 1:
        return [Blocker("release.several", english("Choose hosts of one release: each has its own rings."))]
    release = rows[0].release
    if found := plans.why_not_plan(release, actor):
        return found
    if release.planned_rings.count() > 1:
        return []
    return [Blocker("release.ring", english("There is no other ring: plan the rings first."))]


@admin.register(PlannedHost)
class PlannedHostAdmin(VerbAdmin):
    """The hosts of a release, moved from ring to ring by hand while it is planned."""

    list_display = ("host", "release", "ring")
    list_filter = ("ring__name",)
    list_select_related = ("host", "release", "ring")
    search_fields = ("host__name", "release__number")
    verbs = (AdminVerb("move", _("Move into another ring"), _move, form=_into_form, on="all", why_not=_against_moving),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        rows = super().get_queryset(request).filter(release__in=Release.objects.visible_to(actor))
        return rows.filter(host__in=Host.objects.within(actor, "release.view"))


def _define(_of: InstallProfile | None, actor: User, at: Any, form: shapes.DefineProfileForm) -> InstallProfile:
    return plans.define_profile(actor=actor, at=at, **form.cleaned_data)


def _against_defining(_of: InstallProfile | None, actor: User, _at: Any) -> list[Blocker]:
    return failing([capability("release.plan")], None, actor)


DEFINE = AdminVerb(
    "define",
    _("Define a profile"),
    _define,
    form=lambda data, _none, _actor: shapes.DefineProfileForm(data),
    on="new",
    why_not=_against_defining,
)


@admin.register(InstallProfile)
class InstallProfileAdmin(VerbAdmin):
    list_display = ("name", "revision", "restart", "max_minutes_each", "max_minutes_total", "defined_by", "defined_at")
    list_select_related = ("defined_by",)
    search_fields = ("name",)
    maker = DEFINE
    verbs = (
        AdminVerb(
            "define",
            _("Define its next revision"),
            _define,
            form=lambda data, profile, _actor: shapes.DefineProfileForm(data, initial=initial_of(profile)),
            on="one",
            why_not=_against_defining,
        ),
    )


def _propose(_of: HostStep | None, actor: User, at: Any, form: StepForm) -> HostStep:
    return steps.propose(actor=actor, at=at, **form.cleaned_data)


def _against_writing(of: HostStep | None, actor: User, _at: Any) -> list[Blocker]:
    return steps.why_not_propose(of.name if of else "", actor)


WRITE = AdminVerb(
    "write",
    _("Write a step"),
    _propose,
    form=lambda data, _none, _actor: StepForm(data),
    on="new",
    why_not=_against_writing,
)


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
    list_select_related = ("written_by", "decided_by")
    search_fields = ("name", "target")
    maker = WRITE
    verbs = (
        AdminVerb(
            "write",
            _("Write its next revision"),
            _propose,
            form=plain(StepForm, **{name: attrgetter(name) for name in StepForm.base_fields}),
            on="one",
            why_not=_against_writing,
        ),
        AdminVerb("approve", _("Approve"), _step(steps.approve), transition="approve"),
        AdminVerb("refuse", _("Refuse"), _step(steps.refuse), transition="refuse", needs_reason=True),
        AdminVerb(
            "retire",
            _("Retire: rollouts that carry it halt"),
            _step(steps.retire),
            transition="retire",
            needs_reason=True,
        ),
    )
