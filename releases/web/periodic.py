"""Reviews of operations and of service levels as pages: the list, one with its figures, discussion and actions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from changes.web.rfc_forms import Area
from patchflow.kernel import workflow
from patchflow.kernel.audit import history
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.kernel.rules import failing
from patchflow.web.fields import PersonField
from patchflow.web.parts import Crumb, Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb
from releases.domain import periodic
from releases.enums import PeriodicKind, ReviewState
from releases.models import PeriodicAction, PeriodicReview
from releases.queries.periodic import figures, next_period
from releases.web import release_forms as shapes
from releases.web.periodic_figures import lines_of

DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


def people() -> Any:
    """Whom a review or an action can be given to."""
    return persons().order_by("username")


class OpenForm(forms.Form):
    """A period, in whole days of UTC."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=PeriodicKind.choices)
    from_on = forms.DateField(label=gettext_lazy("From"), widget=DAY)
    to_on = forms.DateField(label=gettext_lazy("To, not included"), widget=DAY)
    owner_id = PersonField(label=gettext_lazy("Owner"), queryset=User.objects.none(), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_id"].queryset = people()  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {
            "kind": said["kind"],
            "starts_at": datetime.combine(said["from_on"], time(), UTC),
            "ends_at": datetime.combine(said["to_on"], time(), UTC),
            "owner_id": said["owner_id"].pk if said["owner_id"] else None,
        }


class RemarkForm(forms.Form):
    text = forms.CharField(label=gettext_lazy("Remark"), widget=Area(3), max_length=4000)


class ActionForm(forms.Form):
    text = forms.CharField(label=gettext_lazy("What will be done"), max_length=500)
    owner_id = PersonField(label=gettext_lazy("By whom"), queryset=User.objects.none())
    due_on = forms.DateField(label=gettext_lazy("Until"), widget=DAY)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_id"].queryset = people()  # type: ignore[attr-defined]


class SettleForm(forms.Form):
    outcome = forms.CharField(label=gettext_lazy("What came of it"), max_length=500)
    dropped = forms.BooleanField(label=gettext_lazy("It is not done after all"), required=False)


class AssignForm(forms.Form):
    owner_id = PersonField(label=gettext_lazy("Owner"), queryset=User.objects.none())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_id"].queryset = people()  # type: ignore[attr-defined]


class ConcludeForm(forms.Form):
    conclusion = forms.CharField(label=gettext_lazy("What follows from it"), widget=Area(4), max_length=4000)


@list_page(gettext_lazy("Periodic reviews"))
@login_required
@require_safe
def periodic_list(request: HttpRequest) -> HttpResponseBase:
    """Reviews of operations and service levels, and when the next ones are."""
    actor: Any = request.user
    rows = PeriodicReview.objects.all().visible_to(actor).select_related("owner", "completed_by")
    listing = Listing(
        request,
        rows,
        (
            Column(_("Review"), str, url=PeriodicReview.get_absolute_url, wide=True, name="review"),
            Column(_("State"), "state", state="releases.periodicreview"),
            Column(_("Owner"), "owner.username"),
            Column(_("Due"), "due_at", sort="due"),
            Column(_("Completed"), "completed_at"),
            Column(_("Completed by"), "completed_by.username"),
        ),
        sorts={"due": ("due_at", "id")},
        default="-due",
        now=timezone.now(),
        filters=(
            Filter("state", gettext_lazy("State"), "state", ReviewState.choices),
            Filter("kind", gettext_lazy("Kind"), "kind", PeriodicKind.choices),
        ),
        caption=_("Operations and service levels"),
    )
    if listing.wants_csv:
        return listing.csv("periodic-reviews.csv")
    context = {
        "title": _("Operations and service levels"),
        "lede": _("Reviews at intervals: what the figures of a period say, what people make of it, what will be done."),
        "listing": listing,
        "phase": 4,
        "coming": _coming() if actor.scopes_for("review.view") is None else [],
        "may_open": not failing([periodic.writes], None, actor),
        "empty_url": reverse("releases:periodic-open") if not failing([periodic.writes], None, actor) else "",
        "empty_label": _("Open a review"),
        "empty_title": _("No review at intervals yet"),
        "empty_advice": _(
            "The first opens by itself when its period is over; or open one for a period of your choice."
        ),
        "crumbs": [Crumb(_("Reviews"), reverse("releases:review-list")), Crumb(_("Operations and service levels"))],
    }
    return render(request, "releases/periodic_list.html", context)


def _coming() -> list[tuple[str, datetime]]:
    """Kind and day of each review that will open by itself."""
    found = [(PeriodicKind(kind).label, next_period(kind)) for kind in PeriodicKind.values]
    return [(str(label), period[1]) for label, period in found if period]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_open(request: HttpRequest) -> HttpResponse:
    """Opens a review over a period that is over."""
    actor: Any = request.user
    form = OpenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = _tried(form, periodic.open_review, actor=actor, at=timezone.now(), **form.given())
        if made:
            return redirect(made)
    context = {
        "title": _("Open a review"),
        "phase": 4,
        "verb": _verb(request, _("Open"), failing([periodic.writes], None, actor)),
        "lede": _("Only a period that is over can be reviewed, so that its figures are complete."),
        "form": form,
        "submit_label": _("Open"),
        "cancel_url": reverse("releases:periodic-list"),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _tried(form: forms.Form, act: Any, /, **said: Any) -> Any:
    try:
        return act(**said)
    except Refusal as refusal:
        shapes.refuse(form, refusal)
        return None


def _visible(request: HttpRequest, pk: int) -> PeriodicReview:
    rows = PeriodicReview.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(rows.select_related("owner", "completed_by", "record"), pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One review: figures, discussion, actions. POST adds a remark."""
    actor: Any = request.user
    review, now = _visible(request, pk), timezone.now()
    form = RemarkForm(request.POST if request.method == "POST" else None)
    if (
        request.method == "POST"
        and form.is_valid()
        and _tried(form, periodic.remark, review_id=pk, actor=actor, at=now, **form.cleaned_data)
    ):
        return redirect(f"{review.get_absolute_url()}#discussion")
    record = getattr(review, "record", None)
    taken = record.figures if record else figures(review.kind, review.starts_at, review.ends_at, at=now)
    context = {
        "title": capfirst(str(review)),
        "phase": 4,
        "review": review,
        "record": record,
        "lines": lines_of(taken),
        "remarks": review.remarks.select_related("said_by"),
        "actions": [
            {"row": row, "late": row.settled_at is None and row.due_on < now.date(), "mine": row.owner_id == actor.pk}
            for row in review.actions.select_related("owner", "settled_by")
        ],
        "form": form,
        "open": review.state == ReviewState.OPEN,
        "may_write": not failing([periodic.writes], review, actor),
        "next": _next(review, actor),
        "verbs": _verbs(review, actor, now),
        "timeline": history(review).select_related("actor")[:12],
        "crumbs": [Crumb(_("Operations and service levels"), reverse("releases:periodic-list")), Crumb(str(review))],
    }
    return render(request, "releases/periodic_detail.html", context, status=400 if form.errors else 200)


def _next(review: PeriodicReview, actor: User) -> Next:
    left = review.actions.filter(settled_at__isnull=True).count()
    if review.state == ReviewState.COMPLETED:
        if left:
            open_ = ngettext("%(n)d is open.", "%(n)d are open.", left) % {"n": left}
            return Next(_("Its actions are followed until each is settled."), open_)
        return Next(_("Nothing more: it is completed and its actions are settled."))
    who = _("Whoever may complete reviews completes it.")
    if review.owner:
        mine = review.owner_id == actor.pk
        who = _("You complete it.") if mine else _("%(name)s completes it.") % {"name": review.owner}
    if not review.remarks.exists():
        return Next(_("Look at the figures and say what they mean."), who)
    return Next(_("It has been discussed. Write down what will be done, then complete it."), who)


def _verbs(review: PeriodicReview, actor: Any, now: datetime) -> list[Verb]:
    found = [
        Verb(
            one.name,
            _("Complete the review"),
            reverse("releases:periodic-complete", args=[review.pk]),
            not one.blockers,
            tuple(one.blockers),
            method="get",
            icon="check",
            primary=True,
        )
        for one in workflow.available(review, actor=actor, at=now)
    ]
    if review.state == ReviewState.OPEN:
        refused = failing([periodic.writes], review, actor)
        url = reverse("releases:periodic-assign", args=[review.pk])
        found.append(Verb("assign", _("Give it to a person"), url, not refused, refused, method="get", icon="people"))
    return found


def _verb(request: HttpRequest, label: str, against: Sequence[Blocker]) -> Verb:
    """The verb of a form, with why it is not possible now; what was sent gets its reasons from the verb itself."""
    blockers = () if request.method == "POST" else tuple(against)
    return Verb("act", label, allowed=not blockers, blockers=blockers)


def against(review: PeriodicReview, actor: Any) -> list[Blocker]:
    """Why this person adds nothing to the review now."""
    if refused := failing([periodic.writes], review, actor):
        return refused
    if review.state == ReviewState.OPEN:
        return []
    return [Blocker("conflict.state", english("It is %(state)s.", state=label_of(review)))]


def _form(
    request: HttpRequest,
    review: PeriodicReview,
    form: forms.Form,
    title: str,
    label: str,
    against: Sequence[Blocker] = (),
    lede: str = "",
) -> HttpResponse:
    context = {
        "title": title,
        "lede": lede or str(review),
        "verb": _verb(request, label, against),
        "phase": 4,
        "form": form,
        "submit_label": label,
        "cancel_url": review.get_absolute_url(),
        "crumbs": [Crumb(_("Operations and service levels"), reverse("releases:periodic-list")), Crumb(title)],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_complete(request: HttpRequest, pk: int) -> HttpResponse:
    """Completes a review: its figures are frozen as they stand now."""
    review, form = _visible(request, pk), ConcludeForm(request.POST if request.method == "POST" else None)
    said: dict[str, Any] = {"review_id": pk, "actor": request.user, "at": timezone.now()}
    if request.method == "POST" and form.is_valid() and _tried(form, periodic.complete, **said, **form.cleaned_data):
        messages.success(request, _("Completed. The figures are recorded as they stood now."))
        return redirect(review)
    against = workflow.why_not(review, "complete", actor=request.user, at=timezone.now())  # type: ignore[arg-type]
    return _form(
        request, review, form, _("Complete the review"), _("Complete"), against,
        lede=_("The figures are recorded as they stand now, and nothing is added to the discussion afterwards."),
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_assign(request: HttpRequest, pk: int) -> HttpResponse:
    """Gives a review to a person."""
    review = _visible(request, pk)
    form = AssignForm(request.POST if request.method == "POST" else None, initial={"owner_id": review.owner_id})
    if request.method == "POST" and form.is_valid():
        said: dict[str, Any] = {"review_id": pk, "owner_id": form.cleaned_data["owner_id"].pk}
        if _tried(form, periodic.assign, actor=request.user, at=timezone.now(), **said):
            return redirect(review)
    return _form(request, review, form, _("Give it to a person"), _("Give"), against(review, request.user))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_act(request: HttpRequest, pk: int) -> HttpResponse:
    """Writes down what will be done, by whom, until when."""
    review, form = _visible(request, pk), ActionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        said = {**form.cleaned_data, "owner_id": form.cleaned_data["owner_id"].pk}
        if _tried(form, periodic.raise_action, review_id=pk, actor=request.user, at=timezone.now(), **said):
            return redirect(f"{review.get_absolute_url()}#actions")
    return _form(request, review, form, _("Raise an action"), _("Raise"), against(review, request.user))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def periodic_settle(request: HttpRequest, pk: int, action: int) -> HttpResponse:
    """Says what came of an action."""
    found = get_object_or_404(PeriodicAction.objects.select_related("review"), pk=action, review_id=pk)
    if found.owner_id != request.user.pk:
        _visible(request, pk)
    form = SettleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        said: dict[str, Any] = {"review_id": pk, "action_id": action, "actor": request.user, "at": timezone.now()}
        if _tried(form, periodic.settle_action, **said, **form.cleaned_data):
            messages.success(request, _("Written down."))
            seen = PeriodicReview.objects.all().visible_to(request.user).filter(pk=pk).exists()  # type: ignore[arg-type]
            return redirect(found.review if seen else "reports:home")
    return _form(
        request, found.review, form, _("What came of the action"), _("Save"), _settled(found),
        lede=_("“%(action)s” (%(review)s)") % {"action": found.text, "review": found.review},
    )  # fmt: skip


def _settled(action: PeriodicAction) -> list[Blocker]:
    return [Blocker("conflict.state", "This action is settled already.")] if action.settled_at else []
