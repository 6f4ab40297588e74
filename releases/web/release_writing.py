"""The builder's forms: compose, rings, windows, profile, way back, tests, hosts left out; and install profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb
from releases.domain import acceptance, plans, releases
from releases.domain.profiles import offline_rule, staging_rule
from releases.models import HostStep, InstallProfile, Release
from releases.web import builder_forms
from releases.web import release_forms as shapes
from releases.web.releases import visible_release


def _page(
    request: HttpRequest,
    form: forms.Form,
    *,
    title: Any,
    act: Callable[..., Any],
    submit: Any,
    back: str,
    lede: str = "",
    template: str = "web/form.html",
    against: Sequence[Blocker] = (),
    **context: Any,
) -> HttpResponse:
    """A form over one verb: what was typed is kept, reasons stand at their fields. `against`: why it is not possible now, said
    in place of the form."""
    if request.method == "POST" and form.is_valid():
        try:
            after = act(actor=request.user, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect(after if isinstance(after, Release) else back)
    blockers = () if request.method == "POST" else against
    given = {
        "title": title, "lede": lede, "form": form, "submit_label": submit, "cancel_url": back, "phase": 3,
        "verb": Verb("act", str(submit), allowed=not blockers, blockers=blockers), **context,
    }  # fmt: skip
    return render(request, template, given, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_compose(request: HttpRequest) -> HttpResponse:
    """A new release from authorized changes."""
    actor: Any = request.user
    free = builder_forms.free_changes(actor)
    return _page(
        request,
        builder_forms.compose_form(request.POST or None, request.GET.getlist("rfc"), free),
        title=_("Compose a release"),
        lede=_("Its hosts, dates and way back come from the changes."),
        act=releases.compose,
        submit=_("Compose"),
        back=reverse("releases:release-list"),
        template="releases/release_compose.html",
        free=free,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_windows(request: HttpRequest, pk: int) -> HttpResponse:
    """Service windows of its hosts, and between which moments it may start."""
    actor: Any = request.user
    release = visible_release(request, pk)
    form = builder_forms.windows_form(request.POST or None, release, actor)
    return _page(
        request,
        form,
        title=_("Windows of %(number)s") % {"number": release.number},
        against=plans.why_not_plan(release, actor),
        act=lambda **given: plans.plan_windows(release_id=release.pk, **given),
        submit=_("Choose"),
        back=release.get_absolute_url(),
        template="releases/release_windows.html",
        without=form.without,
        windows=form.fields["window_ids"].choices,  # type: ignore[attr-defined]
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_profile(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Any = request.user
    release = visible_release(request, pk)
    form = builder_forms.profile_form(request.POST or None, release, actor)
    return _page(
        request,
        form,
        title=_("Install profile of %(number)s") % {"number": release.number},
        against=plans.why_not_plan(release, actor),
        act=lambda **given: plans.choose_profile(release_id=release.pk, **given),
        submit=_("Choose"),
        back=release.get_absolute_url(),
        template="releases/release_profile.html",
        profiles=builder_forms.newest_profiles(),
        define_url=f"{reverse('releases:profile-define')}?release={release.pk}",
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_way_back(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Any = request.user
    release = visible_release(request, pk)
    form = builder_forms.way_back_form(request.POST or None, release, actor)
    return _page(
        request,
        form,
        title=_("Way back of %(number)s") % {"number": release.number},
        lede=_("A way back that a change promised cannot be taken away."),
        against=plans.why_not_plan(release, actor),
        act=lambda **given: plans.choose_way_back(release_id=release.pk, **given),
        submit=_("Choose"),
        back=release.get_absolute_url(),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_drop_host(request: HttpRequest, pk: int) -> HttpResponse:
    """Leaves a host out, with the reason."""
    actor: Any = request.user
    release = visible_release(request, pk)
    form = builder_forms.drop_host_form(request.POST or None, release, actor)
    return _page(
        request,
        form,
        title=_("Leave a host out of %(number)s") % {"number": release.number},
        lede=_("This release does not update it. Its change still asks for it: another release must."),
        against=plans.why_not_plan(release, actor),
        act=lambda **given: plans.drop_host(release_id=release.pk, **given),
        submit=_("Leave out"),
        back=release.get_absolute_url(),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_plan_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Plans the test of an update on a test host."""
    actor: Any = request.user
    release = visible_release(request, pk)
    form = builder_forms.plan_test_form(request.POST or None, release, actor)
    return _page(
        request,
        form,
        title=_("Plan a test of %(number)s") % {"number": release.number},
        lede=_("Installed, checked, taken back and installed again, before anybody else gets it."),
        against=acceptance.why_not_plan(release, actor),
        act=lambda **given: acceptance.plan(release_id=release.pk, **given),
        submit=_("Plan"),
        back=reverse("releases:release-tests", args=[release.pk]),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_drop_test(request: HttpRequest, pk: int, plan: int) -> HttpResponse:
    """Takes one planned test out, with the reason."""
    actor: Any = request.user
    release = visible_release(request, pk)
    test = get_object_or_404(release.acceptance_plans.select_related("update", "host"), pk=plan)
    return _page(
        request,
        shapes.ReasonForm(request.POST or None),
        title=_("Take a test out of %(number)s") % {"number": release.number},
        lede=_("The test of %(update)s on %(host)s. A test that failed is not taken out for its result.")
        % {"update": test.update, "host": test.host},
        against=acceptance.why_not_drop(test, actor),
        act=lambda **given: acceptance.drop(release_id=release.pk, plan_id=plan, **given),
        submit=_("Take out"),
        back=reverse("releases:release-tests", args=[release.pk]),
    )


# --- install profiles -----------------------------------------------------------------------------------------------------
PROFILE_COLUMNS = (
    Column(
        gettext_lazy("Name"), "name", url=lambda p: f"{reverse('releases:profile-define')}?like={p.pk}", sort="name"
    ),
    Column(gettext_lazy("Revision"), "revision", numeric=True),
    Column(gettext_lazy("Restart"), lambda p: p.get_restart_display(), name="restart"),
    Column(
        gettext_lazy("Offline"),
        lambda p: offline_rule({"offline": p.offline, "catch_up_minutes": p.catch_up_minutes}),
        name="offline",
    ),
    Column(
        gettext_lazy("When files are fetched"), lambda p: staging_rule({"stage_hours": p.stage_hours}), name="staging"
    ),
    Column(gettext_lazy("Minutes each"), "max_minutes_each", numeric=True),
    Column(gettext_lazy("Minutes in all"), "max_minutes_total", numeric=True),
    Column(gettext_lazy("Checks"), lambda p: len(p.checks), numeric=True, name="checks"),
    Column(gettext_lazy("Steps"), lambda p: len(p.steps), numeric=True, name="steps"),
    Column(gettext_lazy("Defined by"), "defined_by.username"),
    Column(gettext_lazy("Age"), "defined_at", age=True, numeric=True, sort="age"),
)


def _profiles_of(actor: Any) -> Any:
    """The profiles for who sees releases somewhere; none for others."""
    return InstallProfile.objects.all() if actor.holds_somewhere("release.view") else InstallProfile.objects.none()


def initial_of(profile: InstallProfile) -> dict[str, Any]:
    """A profile as the form shows it: checks and steps one a line."""
    plain = {name: getattr(profile, name) for name in shapes.DefineProfileForm.base_fields}
    checks = [
        " | ".join(text for text in (c["name"], c["kind"], c["target"], c.get("expect", "")) if text)
        for c in profile.checks
    ]
    steps = [f"{one['name']} | {one['revision']}" for one in profile.steps]
    return {**plain, "checks": "\n".join(checks), "steps": "\n".join(steps)}


@list_page(gettext_lazy("Install profiles"))
@login_required
@require_safe
def profile_list(request: HttpRequest) -> HttpResponseBase:
    """Install profiles with all their revisions."""
    actor: Any = request.user
    rows = _profiles_of(actor).select_related("defined_by")
    listing = Listing(
        request,
        rows,
        PROFILE_COLUMNS,
        sorts={"name": ("name", "-revision", "id"), "age": ("defined_at", "id")},
        default="name",
        now=timezone.now(),
        caption=_("Install profiles"),
        filters=(Filter("name", gettext_lazy("Name"), "name__icontains"),),
    )
    if listing.wants_csv:
        return listing.csv("profiles.csv")
    refused = failing([capability("release.plan")], None, actor)
    context = {
        "title": _("Install profiles"),
        "lede": _(
            "How an installation behaves on a host. Open one to read it and to define its next revision; releases keep theirs."
        ),
        "phase": 3,
        "listing": listing,
        "empty_title": _("No profile is defined"),
        "empty_advice": _("Define one: when to restart, how long it may take."),
        "acts": [
            Verb(
                "define",
                _("Define a profile"),
                reverse("releases:profile-define"),
                not refused,
                tuple(refused),
                method="get",
                icon="plus",
                primary=True,
            )
        ],
        "steps_url": reverse("releases:step-list"),
    }
    return render(request, "releases/profile_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile_define(request: HttpRequest) -> HttpResponse:
    """A new profile, or the next revision of one (`?like=7` starts from that); from a release (`?release=7`) it leads back to
    its choice."""
    actor: Any = request.user
    like = request.GET.get("like", "")
    rows = _profiles_of(actor)
    initial = initial_of(get_object_or_404(rows, pk=int(like))) if like.isdigit() else None
    form = shapes.DefineProfileForm(request.POST or None, initial=initial)
    chosen = request.GET.get("release", "")
    back = reverse("releases:release-profile", args=[chosen]) if chosen.isdigit() else reverse("releases:profile-list")
    return _page(
        request,
        form,
        title=_("Next revision of %(name)s") % {"name": initial["name"]} if initial else _("Define an install profile"),
        lede=_("How an installation behaves on a host. A name that is in use makes the next revision of that profile."),
        against=failing([capability("release.plan")], None, actor),
        act=plans.define_profile,
        submit=_("Define"),
        back=back,
        template="releases/profile_define.html",
        steps=HostStep.objects.all().visible_to(request.user).approved(),  # type: ignore[arg-type]
    )
