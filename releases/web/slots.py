"""Which review stands before deployment, after it, and about an incomplete ring: whom each asks, and which gate it holds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from changes.enums import RFCKind
from changes.web.rfc_forms import Area
from patchflow.kernel.enums import Quorum
from patchflow.kernel.errors import Refusal
from patchflow.kernel.roles import all_roles, title_of
from patchflow.kernel.rules import capability, failing
from patchflow.web.parts import Crumb
from releases.domain import readiness
from releases.enums import ReviewSlot
from releases.web import release_forms as shapes

LEVELS = 3
"""Levels that the form offers; REST takes any number."""
HOLDS = {
    ReviewSlot.BEFORE_DEPLOY: gettext_lazy(
        "Before a release is ready: nothing is deployed until these people have approved its manifest."
    ),
    ReviewSlot.AFTER_DEPLOY: gettext_lazy(
        "After the deployment: a release is completed only when this review is, with every question answered."
    ),
    ReviewSlot.ACCEPT_PARTIAL: gettext_lazy(
        "Before an incomplete ring is accepted: it is not, until these people have approved that some of its hosts are left behind."
    ),
}
"""Slot → the gate that looks at it."""


def _sees(actor: Any) -> bool:
    return actor.holds_somewhere("release.view") or actor.holds_somewhere("settings.edit")


def level_in_words(level: Any) -> str:
    """ "Readiness: Readiness approver, first to sign, 72 h"."""
    quorum = str(Quorum(level["quorum"]).label)
    if level["quorum"] in (Quorum.COUNT, Quorum.PERCENT):
        quorum = f"{quorum} {level.get('amount', 1)}"
    hours = level.get("hours")
    said = [title_of(level["role"]), quorum]
    if hours:
        said.append(ngettext("%(n)d hour", "%(n)d hours", int(hours)) % {"n": int(hours)})
    if str(level["name"]) == str(said[0]):
        return ", ".join(said)
    return f"{level['name']}: {', '.join(said)}"


@login_required
@require_safe
def slot_list(request: HttpRequest) -> HttpResponse:
    """Each slot with the review that stands in it for each kind of change."""
    actor: Any = request.user
    if not _sees(actor):
        raise Http404
    slots = []
    for slot in ReviewSlot:
        kinds = []
        for kind in RFCKind:
            found = readiness.definition(slot, kind)
            kinds.append(
                {
                    "kind": kind.label,
                    "name": found.name,
                    "levels": [level_in_words(level) for level in found.levels],
                    "questions": found.questions,
                    "url": reverse("releases:slot-configure", args=[slot.value]) + f"?kind={kind.value}",
                }
            )
        slots.append({"label": slot.label, "holds": HOLDS[slot], "kinds": kinds, "slug": slot.value})
    context = {
        "title": _("Reviews of releases"),
        "lede": _(
            "Who is asked, and what, before and after a deployment. A change holds from now on; open rounds go on as they began."
        ),
        "slots": slots,
        "may_edit": not failing([capability("settings.edit")], None, actor),
        "phase": 4,
        "crumbs": [Crumb(_("Reviews"), reverse("releases:review-list")), Crumb(_("Reviews of releases"))],
    }
    return render(request, "releases/slot_list.html", context)


class SlotForm(forms.Form):
    """A review for a slot; levels without a role are left out."""

    kind = forms.ChoiceField(label=gettext_lazy("For changes of kind"), required=False)
    name = forms.CharField(label=gettext_lazy("Name of the review"), max_length=80)
    questions = forms.CharField(
        label=gettext_lazy("Questions"),
        required=False,
        widget=Area(4),
        max_length=2000,
        help_text=gettext_lazy("One a line."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds: Any = self.fields["kind"]
        kinds.choices = [("", _("every kind")), *RFCKind.choices]
        roles = sorted((title_of(name), name) for name in all_roles())
        for n in range(1, LEVELS + 1):
            self.fields[f"role{n}"] = forms.ChoiceField(
                label=_("Level %(n)d: who") % {"n": n},
                required=False,
                choices=[("", "–"), *((name, title) for title, name in roles)],
            )
            self.fields[f"quorum{n}"] = forms.ChoiceField(
                label=_("Level %(n)d: how many") % {"n": n},
                required=False,
                choices=Quorum.choices,
                initial=Quorum.FIRST,
            )
            self.fields[f"amount{n}"] = forms.IntegerField(
                label=_("Level %(n)d: number or percent") % {"n": n}, required=False, min_value=1, max_value=100
            )
            self.fields[f"hours{n}"] = forms.IntegerField(
                label=_("Level %(n)d: hours until it is passed on") % {"n": n},
                required=False,
                min_value=1,
                max_value=2000,
            )

    def given(self) -> dict[str, Any]:
        said = self.cleaned_data
        levels = [
            {
                "name": title_of(said[f"role{n}"]),
                "role": said[f"role{n}"],
                "quorum": said[f"quorum{n}"] or Quorum.FIRST.value,
                "amount": said[f"amount{n}"] or 1,
                "hours": said[f"hours{n}"] or 72,
            }
            for n in range(1, LEVELS + 1)
            if said[f"role{n}"]
        ]
        questions = [line.strip() for line in said["questions"].splitlines() if line.strip()]
        return {"kind": said["kind"], "name": said["name"], "levels": levels, "questions": questions}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def slot_configure(request: HttpRequest, slot: str) -> HttpResponse:
    """Puts a review into a slot, from now on. Only for who may edit settings."""
    actor: Any = request.user
    if slot not in ReviewSlot.values or failing([capability("settings.edit")], None, actor):
        raise Http404
    form = SlotForm(
        request.POST if request.method == "POST" else None, initial=initial_of(slot, request.GET.get("kind", ""))
    )
    if request.method == "POST" and form.is_valid():
        try:
            readiness.configure_slot(slot=slot, actor=actor, at=timezone.now(), **form.given())
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("Saved. It holds from now on."))
            return redirect("releases:slot-show")
    context = {
        "title": _("The review %(where)s") % {"where": ReviewSlot(slot).label},
        "lede": HOLDS[ReviewSlot(slot)],
        "form": form,
        "cancel_url": reverse("releases:slot-show"),
        "crumbs": [Crumb(_("Reviews of releases"), reverse("releases:slot-show")), Crumb(str(ReviewSlot(slot).label))],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def initial_of(slot: str, kind: str) -> dict[str, Any]:
    """The review that stands in a slot for a kind, as the form shows it."""
    kind = kind if kind in RFCKind.values else ""
    found = readiness.definition(slot, kind or RFCKind.NORMAL)
    said: dict[str, Any] = {"kind": kind, "name": found.name, "questions": "\n".join(map(str, found.questions))}
    for n, level in enumerate(found.levels[:LEVELS], start=1):
        said |= {f"{key}{n}": level.get(key) for key in ("role", "quorum", "amount", "hours")}
    return said
