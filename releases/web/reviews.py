"""Pages of post-implementation reviews: the list, one review with its figures and its questions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from changes.web.rfc_forms import Later
from patchflow.kernel import workflow
from patchflow.kernel.audit import history
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.sentences import say
from patchflow.web.parts import Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb
from releases.domain import reviews
from releases.enums import ReviewState
from releases.models import PostImplementationReview
from releases.queries import reviews as questions
from releases.queries.access import sees_all
from releases.rules import not_carrier
from releases.web import release_forms as shapes
from releases.web import release_parts
from releases.web.causes import cause_words
from releases.web.rollout_parts import GATES

COLUMNS = (
    Column(
        gettext_lazy("Release"),
        "release.number",
        url=PostImplementationReview.get_absolute_url,
        mono=True,
        sort="number",
    ),
    Column(
        gettext_lazy("Title"),
        "release.labelled",
        name="title",
        url=PostImplementationReview.get_absolute_url,
        wide=True,
    ),
    Column(gettext_lazy("Review"), "state", state="releases.postimplementationreview", sort="state"),
    Column(gettext_lazy("Outcome"), "release.outcome", state="releases.outcome"),
    Column(
        gettext_lazy("Hosts done"),
        lambda r: f"{r.figures['hosts']['done']} / {r.figures['hosts']['manifest']}",
        numeric=True,
        name="hosts-done",
    ),
    Column(gettext_lazy("Opened"), "opened_at", age=True, numeric=True, sort="opened"),
    Column(gettext_lazy("Completed by"), "completed_by.username"),
)


@list_page(gettext_lazy("Reviews"))
@login_required
@require_safe
def review_list(request: HttpRequest) -> HttpResponseBase:
    """All reviews that the person may see."""
    rows = PostImplementationReview.objects.visible_to(request.user).select_related("release", "completed_by")  # type: ignore[arg-type]
    listing = Listing(
        request,
        rows,
        COLUMNS,
        sorts={"number": ("release_id", "id"), "state": ("state", "id"), "opened": ("opened_at", "id")},
        default="-opened",
        now=timezone.now(),
        caption=_("Reviews"),
        filters=(Filter("state", gettext_lazy("State"), "state", ReviewState.choices),),
    )
    if listing.wants_csv:
        return listing.csv("reviews.csv")
    context = {
        "title": _("Reviews"),
        "lede": _("After every deployment: what happened, what it cost, what we change."),
        "listing": listing,
        "phase": 4,
        "empty_url": reverse("releases:release-list"),
        "empty_label": _("To the releases"),
        "empty_title": _("No release was deployed yet"),
        "empty_advice": _("A review opens by itself when a deployment ends, with its figures filled in."),
    }
    return render(request, "releases/review_list.html", context)


def _visible(request: HttpRequest, pk: int) -> PostImplementationReview:
    rows = PostImplementationReview.objects.visible_to(request.user).select_related("release", "completed_by")  # type: ignore[arg-type]
    return get_object_or_404(rows, pk=pk)


class AnswersForm(forms.Form):
    """One field per question; an empty one stays open."""

    def __init__(self, review: PostImplementationReview, *args: Any) -> None:
        super().__init__(*args)
        self.asked = list(review.questions)
        for n, row in enumerate(questions.answers(review)):
            given = row["answer"]
            self.fields[f"q{n}"] = Later(
                label=say(row["question"], mixed=True),
                needed=_("before the review is completed"),
                rows=3,
                max_length=4000,
                initial=given.answer if given else "",
            )

    def given(self) -> dict[str, str]:
        """Question → answer, of those that were changed."""
        return {self.asked[int(name[1:])]: self.cleaned_data[name] for name in self.changed_data}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def review_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One review: figures, questions, lessons. POST adds answers."""
    actor: Any = request.user
    review, now = _visible(request, pk), timezone.now()
    form = AnswersForm(review, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            reviews.answer(review_id=review.pk, answers=form.given(), actor=actor, at=now)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("Your answers are written down."))
            return redirect(review)
    may_write = actor.holds("review.write", over=review.scope_keys()) or actor.holds(
        "review.complete", over=review.scope_keys()
    )
    everything = sees_all(review.release, actor)
    figures = review.figures
    context = {
        "title": _("%(name)s of %(number)s") % {"name": review.name, "number": review.release.number},
        "lede": review.release.labelled,
        "phase": 4,
        "review": review,
        "release": review.release,
        "form": form,
        "open": review.state == ReviewState.OPEN,
        "may_write": may_write,
        "answers": questions.answers(review),
        "figures": figures,
        "failures": [(cause_words(code, GATES), n) for code, n in figures["failures"].items()],
        "everything": everything,
        "statements": release_parts.review_statements(figures),
        "planned": [release_parts.moment(figures["planned"][k]) for k in ("earliest", "latest")],
        "real": [release_parts.moment(figures["real"][k]) for k in ("started", "finished")],
        "next": _next(review, actor),
        "verbs": _verbs(review, actor, now),
        "timeline": history(review).select_related("actor")[:20],
    }
    return render(request, "releases/review_detail.html", context, status=400 if form.errors else 200)


def _next(review: PostImplementationReview, actor: Any) -> Next:
    if review.state == ReviewState.COMPLETED:
        return Next(_("Nothing more: it is completed."), _("What was said stays."))
    left = len(questions.unanswered(review))
    yours = not failing([capability("review.complete"), not_carrier], review, actor)
    who = _("You may complete it.") if yours else _("Somebody who carried out nothing of it completes it.")
    if left:
        sentence = ngettext("One question below is to be answered.", "%(n)d questions below are to be answered.", left)
        return Next(sentence % {"n": left}, who)
    return Next(_("Every question is answered."), who)


def _verbs(review: PostImplementationReview, actor: Any, now: Any) -> list[Verb]:
    return [
        Verb(
            name=one.name,
            label=_("Complete the review"),
            url=reverse("releases:review-complete", args=[review.pk]),
            allowed=not one.blockers,
            blockers=tuple(one.blockers),
            method="get",
            icon="check",
            primary=True,
        )
        for one in workflow.available(review, actor=actor, at=now)
    ]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def review_complete(request: HttpRequest, pk: int) -> HttpResponse:
    """Completes a review, with lessons and actions."""
    actor: Any = request.user
    review = _visible(request, pk)
    form = shapes.CompleteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            reviews.complete(review_id=review.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("The review is completed."))
            return redirect(review)
    blockers = [] if request.method == "POST" else workflow.why_not(review, "complete", actor=actor, at=timezone.now())
    context = {
        "title": _("Complete the review of %(number)s") % {"number": review.release.number},
        "lede": _("Its figures are recorded as they stand now, and what was said stays."),
        "phase": 4,
        "verb": Verb("complete", _("Complete"), allowed=not blockers, blockers=blockers),
        "form": form,
        "submit_label": _("Complete"),
        "cancel_url": review.get_absolute_url(),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
