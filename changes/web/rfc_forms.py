"""Forms of RFCs: they check shapes and resolve ids; verbs decide and write."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django import forms
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.domain import scope
from changes.domain.rfc_gates import owed_documents
from changes.enums import CloseCode, RFCKind, UpdateClass, WayBack
from changes.models import RFC, ChangeModel
from cmdb.enums import Environment
from cmdb.models import Host, HostGroup, ServiceWindow
from patchflow.kernel.models import User
from patchflow.web import words
from patchflow.web.fields import refuse as refuse

Choices = Collection[tuple[int, str]]
BEFORE_APPROVAL = _("before approval is asked for")


class Area(forms.Textarea):
    def __init__(self, rows: int = 4) -> None:
        super().__init__(attrs={"rows": rows})


class Moment(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def _in_zone() -> str:
    return gettext("In your time zone, %(zone)s.") % {"zone": words.zone(timezone.now())}


class MomentField(forms.DateTimeField):
    """A date and a time, and in which zone they are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=Moment(), **{"help_text": lazy(_in_zone, str)(), **kwargs})


class Later(forms.CharField):
    """A text that a draft may lack but a later step demands; `needed` says by when, where others are "optional"."""

    def __init__(self, *, needed: Any, rows: int = 4, **kwargs: Any) -> None:
        super().__init__(required=False, widget=Area(rows), **kwargs)
        self.needed = needed


class ReasonForm(forms.Form):
    """A reason, for verbs that ask for nothing else."""

    reason = forms.CharField(label=_("Reason"), widget=Area(3), max_length=2000)


class OptionalReasonForm(forms.Form):
    reason = forms.CharField(label=_("Remark"), widget=Area(3), max_length=2000, required=False)


class CloseForm(forms.Form):
    code = forms.ChoiceField(label=_("How it ended"), choices=[("", _("choose")), *CloseCode.choices])
    summary = forms.CharField(label=_("Summary"), widget=Area(3), required=False, max_length=2000)


class ClassifyForm(forms.Form):
    update_class = forms.ChoiceField(
        label=_("Class"), choices=UpdateClass.choices, help_text=_("The clock keeps counting from the notification.")
    )
    reason = forms.CharField(label=_("Reason"), widget=Area(3), max_length=2000)


class GlassReviewForm(forms.Form):
    justified = forms.TypedChoiceField(
        label=_("Was it justified?"),
        choices=[("yes", _("yes")), ("no", _("no"))],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    finding = forms.CharField(label=_("What the review found"), widget=Area(4))


class OwedForm(forms.Form):
    name = forms.ChoiceField(label=_("Document"))
    text = forms.CharField(label=_("Text"), widget=Area(8))

    def offer(self, rfc: RFC) -> None:
        """The documents that this RFC owes."""
        names = [(n, n.replace("_", " ").capitalize()) for n in owed_documents(rfc)]
        self.fields["name"].choices = names  # type: ignore[attr-defined]


HOST_MODES = (
    ("only", _("only those chosen below")),
    ("add", _("these, and those below")),
    ("drop", _("these, without those below")),
)


class ContentForm(forms.Form):
    """What an RFC says. Choices of updates, hosts and windows are given by the view: what this person may choose."""

    present: Collection[int] = ()
    """The hosts from which the choice of hosts starts."""

    title = forms.CharField(
        label=_("Title"),
        max_length=200,
        required=False,
        help_text=_("Left empty, it is made from the updates and hosts."),
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=RFCKind.choices, initial=RFCKind.NORMAL)
    change_model_id = forms.TypedChoiceField(
        label=_("Model"),
        required=False,
        coerce=int,
        empty_value=None,
        help_text=_("Signed by the board. A standard change needs one; plans left empty are the model's."),
    )
    update_ids = forms.TypedMultipleChoiceField(
        label=_("Updates"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    host_ids = forms.TypedMultipleChoiceField(
        label=_("Hosts"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    host_mode = forms.ChoiceField(
        label=_("Which hosts"),
        required=False,
        choices=[("keep", _("all that miss the updates")), *HOST_MODES],
    )
    group_ids = forms.TypedMultipleChoiceField(
        label=_("Hosts of these groups"), coerce=int, required=False, widget=forms.SelectMultiple(attrs={"size": 6}),
        help_text=_("Hold Ctrl, on a Mac Command, to choose several."),
    )  # fmt: skip
    host_names = forms.CharField(
        label=_("Hosts by name"),
        required=False,
        widget=Area(4),
        help_text=_("One per line; web-* means all that begin with web-."),
    )
    window_ids = forms.TypedMultipleChoiceField(
        label=_("Windows"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    other_reason = forms.CharField(
        label=_("Other reason"),
        required=False,
        widget=Area(2),
        help_text=_("Needed only where no host misses an update."),
    )
    implementation_plan = Later(label=_("Implementation plan"), needed=BEFORE_APPROVAL)
    test_plan = Later(label=_("Test plan"), needed=BEFORE_APPROVAL)
    back_out_plan = Later(label=_("Back-out plan"), needed=BEFORE_APPROVAL)
    communication_plan = forms.CharField(label=_("Communication plan"), required=False, widget=Area(2))
    way_back = forms.ChoiceField(label=_("Way back"), choices=WayBack.choices)
    not_before = MomentField(label=_("Not before"), required=False)
    not_after = MomentField(label=_("Not after"), required=False)

    def __init__(
        self, *args: Any, updates: Choices = (), hosts: Choices = (), windows: Choices = (),
        groups: Choices | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        """`groups`: the groups that can be chosen where the hosts are too many for boxes; None where there are boxes."""
        super().__init__(*args, **kwargs)
        self.picks = groups is not None
        models = ChangeModel.objects.filter(Q(state="approved") | Q(pk=self.initial.get("change_model_id")))
        chosen: dict[str, list[Any]] = {
            "update_ids": list(updates),
            "host_ids": list(hosts),
            "window_ids": list(windows),
            "group_ids": list(groups or ()),
            "change_model_id": [("", "–"), *((m.pk, f"{m} ({m.get_kind_display()})") for m in models)],
        }
        for name, choices in chosen.items():
            self.fields[name].choices = choices  # type: ignore[attr-defined]
            if not any(value for value, _label in choices):
                del self.fields[name]
        if groups is None:
            for name in ("host_mode", "host_names"):
                del self.fields[name]

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verb takes them: an absent choice is not said, an empty title is left to the verb."""
        given = dict(self.cleaned_data)
        if not given.get("title"):
            given.pop("title", None)
        for name in ("digest_seen", "host_mode", "group_ids", "host_names"):
            given.pop(name, None)
        return given

    def hosts(self, present: Collection[int], *, actor: User) -> list[int] | None:
        """The hosts that the picker means, starting from `present`; None where it changes nothing. Raises Invalid."""
        mode = self.cleaned_data.get("host_mode") or "keep"
        if mode == "keep":
            return None
        groups, names = self.cleaned_data.get("group_ids") or [], self.cleaned_data.get("host_names", "")
        named = scope.named_hosts(names=names.split(), group_ids=groups, actor=actor)
        here = set(present)
        return sorted({"only": named, "add": here | named, "drop": here - named}[mode])


class ReviseForm(ContentForm):
    reason = forms.CharField(label=_("Why you change it"), required=False, widget=Area(2))
    digest_seen = forms.CharField(widget=forms.HiddenInput)

    many = 0
    """How many hosts could be chosen, where they are too many for boxes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if mode := self.fields.get("host_mode"):
            mode.choices = [("keep", _("as they are now")), *HOST_MODES]  # type: ignore[attr-defined]


def host_choices(host_ids: Collection[int]) -> Choices:
    """Hosts by name; what is not in production says so."""
    rows = Host.objects.filter(pk__in=host_ids).select_related("ci").order_by("name")
    return [
        (h.pk, h.name if h.ci.environment == Environment.PRODUCTION else f"{h.name} ({h.ci.get_environment_display()})")
        for h in rows
    ]


def group_choices(actor: User) -> Choices:
    """The groups that the person may see."""
    return [(g.pk, g.name) for g in HostGroup.objects.visible_to(actor).order_by("name")]


def window_choices() -> Choices:
    return [(w.pk, w.name) for w in ServiceWindow.objects.live().order_by("name")]
