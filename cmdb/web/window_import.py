"""Windows from an iCalendar file: what each event would become, then the chosen ones made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import window_import
from cmdb.domain.window_import import Line
from cmdb.models import HostGroup
from cmdb.web.forms import no_group_yet
from cmdb.web.host_verbs import tried
from cmdb.web.hosts import who
from cmdb.web.ics_forms import IcsForm, kept_as, numbers_of
from cmdb.web.windows import in_words
from patchflow.web import parts


class WindowsIcsForm(IcsForm):
    group_ids = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Groups"), required=False, coerce=int, widget=forms.CheckboxSelectMultiple
    )
    cutoff_minutes = forms.IntegerField(
        label=gettext_lazy("Cut-off in minutes"), min_value=0, max_value=1440, initial=0,
        help_text=gettext_lazy("In the last minutes of each window nothing starts."),
    )  # fmt: skip

    def __init__(self, *args: Any, viewer: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups: Any = self.fields["group_ids"]
        groups.choices = list(HostGroup.objects.live().visible_to(viewer).values_list("pk", "name"))
        if not groups.choices:
            groups.help_text = no_group_yet()


@login_required
def window_import_ics(request: HttpRequest) -> HttpResponseBase:
    """Two steps on one page: look, then save what was ticked."""
    user, now = who(request), timezone.now()
    if not user.holds_somewhere("window.edit"):
        raise Http404
    post = request.method == "POST"
    initial = {"zone": timezone.get_current_timezone_name()}
    form = WindowsIcsForm(request.POST if post else None, request.FILES if post else None, viewer=user, initial=initial)
    lines: list[Line] = []
    kept = ""
    if post and form.is_valid():
        said = form.cleaned_data
        kept = kept_as(said["content"])
        common = {"content": said["content"], "zone": said["zone"], "actor": user, "at": now}
        if "save" in request.POST:
            more = {"group_ids": said["group_ids"], "cutoff_minutes": said["cutoff_minutes"]}
            lines = tried(form, window_import.take_over, numbers=numbers_of(request.POST), **more, **common) or []
            if made := [line for line in lines if line.window]:
                n = len(made)
                messages.success(request, ngettext("%(n)d window is made.", "%(n)d windows are made.", n) % {"n": n})
                if len(made) == len(numbers_of(request.POST)):
                    return redirect("cmdb:window-list")
        else:
            lines = tried(form, window_import.preview, **common) or []
    context = {
        "title": _("Windows from a calendar"),
        "phase": 1,
        "lede": _("Each event becomes a window, or says why it cannot. Nothing is saved before you have seen it."),
        "form": form,
        "kept": kept,
        "rows": [
            {
                "number": line.entry.number,
                "name": line.entry.name or _("without a name"),
                "said": in_words(line.window) if line.window else "",
                "made": bool(line.window and line.window.pk),
                "problem": line.problem,
            }
            for line in lines
        ],
        "cancel_url": reverse("cmdb:window-list"),
        "crumbs": [parts.Crumb(_("Windows"), reverse("cmdb:window-list")), parts.Crumb(_("From a calendar"))],
    }
    return render(request, "cmdb/ics_import.html", context, status=400 if form.errors else 200)
