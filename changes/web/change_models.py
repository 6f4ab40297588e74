"""Pages of change models: what a kind demands, the licence of standard changes, and what it has behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import approvals, change_models
from changes.domain.policy import default_levels
from changes.enums import ModelState, RFCKind
from changes.enums_tasks import TaskStage
from changes.models import ChangeModel
from changes.queries.change_models import changes_of, with_record
from changes.web import ladders, rfc_forms, rfc_parts
from changes.web.change_model_forms import ModelForm
from changes.web.levels import level_words
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.parts import Crumb, Next
from patchflow.web.tables import Column, Filter, Listing, Table, list_page
from patchflow.web.verbs import Reach, Verb

SHOWN = 12
EDIT = capability("change_model.edit")


def visible_model(request: HttpRequest, pk: int) -> ChangeModel:
    """The model, if the person sees changes at all; 404 otherwise."""
    rows = ChangeModel.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(with_record(rows).select_related("written_by", "revised_by"), pk=pk)


@list_page(gettext_lazy("Change models"))
@login_required
@require_safe
def model_list(request: HttpRequest) -> HttpResponseBase:
    """All models, with how often each was used and how often it failed."""
    actor: Any = request.user
    listing = Listing(
        request,
        with_record(ChangeModel.objects.all().visible_to(actor)),
        [
            Column(_("Model"), "name", url=ChangeModel.get_absolute_url, sort="name", wide=True),
            Column(_("State"), "state", state="changes.changemodel", sort="state"),
            Column(_("Kind"), lambda m: m.get_kind_display(), sort="kind", name="kind"),
            Column(_("Packages"), lambda m: ", ".join(m.packages) or _("any"), wide=True, name="packages"),
            Column(_("Highest risk"), "max_score", numeric=True),
            Column(_("Most hosts"), "max_hosts", numeric=True),
            Column(_("Changes closed"), "used", numeric=True, sort="used"),
            Column(_("Of them failed"), "failed", numeric=True, sort="failed"),
        ],
        sorts={"name": ("name",), "state": ("state", "name"), "kind": ("kind", "name"), "used": ("used", "id"), "failed": ("failed", "id")},
        default="name",
        now=timezone.now(),
        filters=(
            Filter("state", _("State"), "state", ModelState.choices),
            Filter("kind", _("Kind"), "kind", RFCKind.choices),
            Filter("name", _("Name"), "name__icontains"),
        ),
        caption=_("Change models"),
    )  # fmt: skip
    if listing.wants_csv:
        return listing.csv("change-models.csv")
    context = {
        "title": _("Change models"),
        "lede": _(
            "What a routine change demands. A standard model that the board has signed lets its changes run without a round."
        ),
        "phase": 3,
        "listing": listing,
        "may_draft": not failing([EDIT], None, actor),
        "draft_url": reverse("changes:model-draft"),
    }
    return render(request, "changes/model_list.html", context)


@login_required
@require_safe
def model_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One model: what it gives, what the board signed, which changes used it."""
    model = visible_model(request, pk)
    actor: Any = request.user
    now = timezone.now()
    round_ = signoffs.rounds_of(model).first()
    context = {
        "title": model.name,
        "phase": 3,
        "model": model,
        "ident": [_("%(kind)s model") % {"kind": model.get_kind_display()}],
        "next": _next_of(model),
        "verbs": verbs_of_model(model, actor=actor, at=now),
        "round": round_,
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        "signed_now": round_ is not None and round_.digest == model.model_digest,
        "gives": _gives(model),
        "levels": [level_words(level) for level in model.levels or default_levels(model.kind)],
        "own_levels": bool(model.levels),
        "asks": model.kind != RFCKind.STANDARD,
        "plans": [(label, getattr(model, name)) for name, label in rfc_parts.PLAN_NAMES[:3]],
        "model_tasks": [
            (TaskStage(one["stage"]).label, one["title"], one["required"], one["instructions"]) for one in model.tasks
        ],
        "used": Table(_used_columns(), list(changes_of(model, actor=actor)[:SHOWN]), now, _("Changes of this model")),
        "timeline": audit.history(model)[:20],
    }
    return render(request, "changes/model_detail.html", context)


def _used_columns() -> list[Column]:
    return [
        Column(_("RFC"), "number", url=lambda rfc: rfc.get_absolute_url(), mono=True),
        Column(_("Title"), "title", wide=True),
        Column(_("State"), "state", state="changes.rfc"),
        Column(_("Ended"), lambda rfc: rfc.get_close_code_display() or "–"),
    ]


def _gives(model: ChangeModel) -> list[tuple[str, Any]]:
    worked = _("%(worked)d of %(used)d") % {"worked": model.used - model.failed, "used": model.used}  # type: ignore[attr-defined]
    return [
        (_("What it is for"), model.description or "–"),
        (_("Packages"), ", ".join(model.packages) or _("any")),
        (_("Highest risk"), str(model.max_score)),
        (_("Most hosts"), str(model.max_hosts)),
        (_("Went well"), worked if model.used else _("not used yet")),  # type: ignore[attr-defined]
        (_("Written by"), ", ".join(str(u) for u in (model.written_by, model.revised_by) if u)),
    ]


def _next_of(model: ChangeModel) -> Next:
    match model.state:
        case ModelState.DRAFT:
            return Next(_("A change manager proposes it to the board."), _("Nothing runs by it before it is signed."))
        case ModelState.PROPOSED:
            return Next(_("The board decides."), _("Whoever wrote it does not sign it."))
        case ModelState.APPROVED if model.kind == RFCKind.STANDARD:
            return Next(
                _("Standard changes may use its licence."), _("A change that fails or is backed out takes it away.")
            )
        case ModelState.APPROVED:
            return Next(_("Changes of its kind may use it."), _("Its levels are asked instead of the usual ones."))
    return Next(_("Nothing more: it is retired."))


# --- verbs ---------------------------------------------------------------------------------------------------------------
def verbs_of_model(model: ChangeModel, *, actor: User, at: datetime) -> list[Verb]:
    """What can be done to it; refused verbs with every reason."""
    found = []
    for one in workflow.available(model, actor=actor, at=at, also=["lose_licence"]):
        name = {"lose_licence": "withdraw"}.get(one.name, one.name)
        found.append(_verb(model, name, str(one.label), one.blockers, dangerous=one.dangerous))
    if model.state == ModelState.DRAFT:
        found.append(_verb(model, "revise", _("Revise"), failing([EDIT], model, actor)))
    if model.state == ModelState.PROPOSED:
        refused = failing([capability("round.withdraw")], model, actor)
        found.append(_verb(model, "take_back", _("Take the proposal back"), refused))
    return found


ICONS = {"propose": "send", "revise": "pen", "retire": "x", "withdraw": "ban", "take_back": "back"}


def _verb(model: ChangeModel, name: str, label: str, blockers: Any, *, dangerous: bool = False) -> Verb:
    return Verb(
        name=name,
        label=label,
        url=reverse(f"changes:model-{name.replace('_', '-')}", args=[model.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=dangerous,
        method="post" if name == "propose" else "get",
        icon=ICONS.get(name, ""),
        primary=name == "propose",
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_draft(request: HttpRequest) -> HttpResponse:
    """Writes a new model."""
    form = ModelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            model = change_models.draft(actor=request.user, at=timezone.now(), **form.content())  # type: ignore[arg-type]
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("The model is a draft. Propose it when it is complete."))
            return redirect(model)
    return _form(request, form, _("Write a change model"), reverse("changes:model-list"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_revise(request: HttpRequest, pk: int) -> HttpResponse:
    """Changes a draft."""
    model = visible_model(request, pk)
    form = ModelForm(request.POST or None, model=model)
    if request.method == "POST" and form.is_valid():
        try:
            change_models.revise(model_id=model.pk, actor=request.user, at=timezone.now(), **form.content())  # type: ignore[arg-type]
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect(model)
    return _form(request, form, _("Revise “%(model)s”") % {"model": model}, model.get_absolute_url())


def _form(request: HttpRequest, form: ModelForm, title: str, cancel_url: str) -> HttpResponse:
    context = {
        "title": title,
        "phase": 3,
        "form": form,
        "submit_label": _("Save as a draft"),
        "cancel_url": cancel_url,
        "usual": [(RFCKind(k).label, [level_words(one) for one in default_levels(k)]) for k in ("normal", "emergency")],
    }
    return render(request, "changes/model_form.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def model_propose(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks the board. A refusal becomes the page of its reasons."""
    model = visible_model(request, pk)
    change_models.propose(model_id=model.pk, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
    messages.success(request, _("The board is asked to sign “%(model)s”.") % {"model": model})
    return redirect(model)


def _take_back(*, model_id: int, reason: str, actor: User, at: datetime) -> None:
    round_ = signoffs.open_round_of(ChangeModel.objects.get(pk=model_id))
    approvals.withdraw(round_id=round_.pk if round_ else 0, reason=reason, actor=actor, at=at)


WITH_REASON: dict[str, tuple[Any, Callable[..., Any], Any]] = {
    "withdraw": (
        gettext_lazy("Withdraw the approval"),
        change_models.withdraw,
        gettext_lazy(
            "It is a draft again; standard changes that wait for its licence are asked about like normal ones."
        ),
    ),
    "retire": (
        gettext_lazy("Retire the model"),
        change_models.retire,
        gettext_lazy("No change may choose it any more."),
    ),
    "take_back": (gettext_lazy("Take the proposal back"), _take_back, gettext_lazy("The round ends without a result.")),
}


def _barred(model: ChangeModel, verb: str, actor: Any, at: datetime) -> list[Blocker]:
    """Why it is not done now."""
    if verb != "take_back":
        return workflow.why_not(model, {"withdraw": "lose_licence"}.get(verb, verb), actor=actor, at=at)
    found = failing([capability("round.withdraw")], model, actor)
    if signoffs.open_round_of(model) is None:
        found.append(Blocker("conflict.state", english("The board is not asked about it now.")))
    return found


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb with its reason; its reach is the open changes of the model."""
    model = visible_model(request, pk)
    title, call, consequence = WITH_REASON[verb]
    form = rfc_forms.ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            call(model_id=model.pk, actor=request.user, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(model)s: done.") % {"model": model})
            return redirect(model)
    count = model.rfcs.open().count()
    context = {
        "title": f"{title}: {model}",
        "phase": 3,
        "form": form,
        "verb": {"label": title, "icon": "", "reach": ""},
        "reach": [
            Reach(
                count,
                ngettext("open change of this model", "open changes of this model", count),
                model.get_absolute_url(),
            )
        ],
        "consequences": [consequence],
        "barred": [] if request.method == "POST" else _barred(model, verb, request.user, timezone.now()),
        "cancel_url": model.get_absolute_url(),
        "crumbs": [
            Crumb(_("Change models"), reverse("changes:model-list")),
            Crumb(model.name, model.get_absolute_url()),
            Crumb(str(title)),
        ],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
