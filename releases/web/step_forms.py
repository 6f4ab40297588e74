"""Forms of steps on hosts: they check shapes; verbs decide and write."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.web.rfc_forms import Area
from cmdb.models import HostGroup
from patchflow.kernel.errors import Refusal
from releases.domain import steps
from releases.enums_steps import Act, Effect, Moment, Runs


class StepForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=60, help_text=_("The name of an existing step makes its next revision.")
    )
    description = forms.CharField(label=_("What it is for"), required=False, widget=Area(2), max_length=2000)
    moment = forms.ChoiceField(label=_("When"), choices=Moment.choices, widget=forms.RadioSelect)
    kind = forms.ChoiceField(label=_("What it does"), choices=Act.choices)
    target = forms.CharField(
        label=_("Target"),
        required=False,
        max_length=1000,
        help_text=_(
            "A path, a systemd unit, an address, host:port, or a program by its whole path with its arguments (it runs without a shell)."
        ),
    )
    amount = forms.IntegerField(
        label=_("Amount"),
        min_value=0,
        initial=0,
        required=False,
        help_text=_("MiB that must be free, hours that a backup may be old, or minutes of a silence."),
    )
    expect = forms.CharField(
        label=_("Expected"), required=False, max_length=40, help_text=_("The status of an http answer; empty: 200.")
    )
    body = forms.CharField(
        label=_("Body of a call"),
        required=False,
        widget=Area(3),
        max_length=4000,
        help_text=_("JSON; {host}, {job} and {until} are filled in on the host."),
    )
    secret_file = forms.CharField(
        label=_("File of its token"),
        required=False,
        max_length=255,
        help_text=_("Where on the host a call reads its token from. Secrets themselves have no place here."),
    )
    limit_seconds = forms.IntegerField(
        label=_("Time limit, seconds"),
        min_value=1,
        max_value=steps.LONGEST,
        initial=60,
        help_text=_("Then it is ended."),
    )
    on_failure = forms.ChoiceField(
        label=_("If it fails"),
        choices=Effect.choices,
        widget=forms.RadioSelect,
        initial=Effect.STOP,
        help_text=_("Before the installation: nothing is installed then."),
    )
    runs = forms.ChoiceField(
        label=_("A step after it follows"), choices=Runs.choices, widget=forms.RadioSelect, initial=Runs.SUCCESS
    )
    way_back = forms.BooleanField(label=_("Carried out on the way back too"), required=False)
    group_id = forms.TypedChoiceField(
        label=_("Only on hosts of"),
        coerce=int,
        empty_value=None,
        required=False,
        help_text=_("Such as the database servers."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = HostGroup.objects.live().order_by("name").values_list("pk", "name")
        self.fields["group_id"].choices = [("", _("every host of the release")), *groups]  # type: ignore[attr-defined]

    def clean_amount(self) -> int:
        return self.cleaned_data["amount"] or 0


class CommentForm(forms.Form):
    comment = forms.CharField(label=_("Reason"), widget=Area(3), max_length=2000)


class RemarkForm(forms.Form):
    comment = forms.CharField(label=_("Remark"), widget=Area(3), max_length=2000, required=False)


class StepsField(forms.CharField):
    """Approved steps, one a line: name, or name | revision."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Steps before and after"),
            required=False,
            widget=Area(4),
            help_text=_("Approved ones, in their order, one a line: name (its newest revision), or name | revision."),
        )

    def clean(self, value: Any) -> list[dict[str, Any]]:
        try:
            return steps.parsed_steps(super().clean(value))
        except Refusal as refusal:
            raise forms.ValidationError([b.sentence for b in refusal.blockers]) from refusal
