"""Forms of Identify: they check shapes; verbs judge the rest, and what was typed is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import LocationKind, Response, UpdateClass
from changes.feeds import base
from patchflow.web.fields import refuse as refuse


class RespondForm(forms.Form):
    """What is done about an update."""

    response = forms.ChoiceField(label=_("Response"), choices=Response.choices)
    reason = forms.CharField(label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    revisit_on = forms.DateField(
        label=_("Look at it again on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("Needed where the hosts stay as they are."),
    )


class ClassifyForm(forms.Form):
    """Another class than the rule gave."""

    update_class = forms.ChoiceField(label=_("Class"), choices=UpdateClass.choices)
    reason = forms.CharField(label=_("Reason"), max_length=400, widget=forms.Textarea(attrs={"rows": 3}))


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class FeedForm(forms.Form):
    """A source of advisories."""

    name = forms.SlugField(
        label=_("Name"), max_length=60, help_text=_("Short, without spaces: it stands beside every verdict.")
    )
    title = forms.CharField(label=_("Title"), max_length=120, required=False)
    kind = forms.ChoiceField(label=_("Kind"), help_text=_("How its documents are written."))
    location_kind = forms.ChoiceField(label=_("Where it is"), choices=LocationKind.choices)
    location = forms.CharField(
        label=_("Location"),
        max_length=500,
        help_text=_("A web address, or the full path of a file, folder or archive (zip, tar) on the server."),
    )
    every_minutes = forms.IntegerField(label=_("Polled every (minutes)"), initial=60)
    stale_after_minutes = forms.IntegerField(
        label=_("Stale after (minutes)"),
        initial=2880,
        help_text=_("Without a good poll for so long, what it does not name as missing counts as unknown."),
    )
    allow_private = forms.BooleanField(
        label=_("May lie in our own network"),
        required=False,
        help_text=_("For a mirror inside. Otherwise addresses of the own network are refused."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind, kind.upper()) for kind in base.kinds()]  # type: ignore[attr-defined]


class FeedReviseForm(FeedForm):
    """Its name and kind stay: what it brought refers to them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["name"], self.fields["kind"]
