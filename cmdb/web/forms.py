"""Forms of cmdb: they check shapes and resolve ids; verbs judge the rest, and what was typed is kept."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cmdb.enums import BelowCause, Criticality, Environment, GroupKind, KeyReference, QueuedRule, Recurrence
from cmdb.models import Host, HostGroup, Nth, Platform, Weekday
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.people import persons

MANY = 500
"""Hosts offered one by one; a larger group is made by rule."""


def posted(request: HttpRequest) -> QueryDict | None:
    """What was sent, also when nothing was filled in; None: the form is only shown."""
    return request.POST if request.method == "POST" else None


def keep(form: forms.Form, refusal: Refusal) -> None:
    """Puts the reasons of a refusal beside the fields that they name (`invalid.<field>`), the others above the form."""
    for blocker in refusal.blockers:
        field = blocker.code.rpartition(".")[2]
        form.add_error(
            next((f for f in (field, f"{field}_id", f"{field}_ids") if f in form.fields), None), blocker.said
        )


def nothing_yet(sentence: str, place: str, label: str) -> SafeString:
    """Beside a choice that offers nothing: why, and where that is mended."""
    return format_html('{} <a href="{}">{}</a>', sentence, place, label)


def no_group_yet() -> SafeString:
    """Beside a choice of groups while there is none."""
    return nothing_yet(gettext("No group yet."), reverse("cmdb:group-add"), gettext("Make a group"))


KEYS = {
    KeyReference.ACCOUNT: _("keys of Patchflow's own account"),
    KeyReference.FILE: _("a file on the server"),
    KeyReference.ENVIRONMENT: _("a file that a variable names"),
}
"""Short enough for a telephone."""


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class ReachForm(forms.Form):
    """How a host is reached."""

    address = forms.CharField(
        label=_("Address"), max_length=255, help_text=_("Name or IP address under which SSH answers.")
    )
    port = forms.IntegerField(label=_("Port"), initial=22)
    user = forms.CharField(label=_("User"), max_length=64, initial="root")
    become = forms.BooleanField(
        label=_("Become root by sudo"), required=False, help_text=_("Without a password, as “sudo -n” does.")
    )
    key_kind = forms.ChoiceField(
        label=_("Key that Patchflow uses"),
        choices=list(KEYS.items()),
        help_text=_("By reference only: no private key is stored here."),
    )
    key_reference = forms.CharField(
        label=_("File or variable"),
        max_length=300,
        required=False,
        help_text=_("The full path, or the variable's name."),
    )
    jump_host_id = forms.TypedChoiceField(label=_("Jump host"), required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, viewer: User, but: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        over = Host.objects.live().visible_to(viewer).filter(connection__kind="ssh").exclude(connection__host_key="")
        names = over.exclude(pk=but).order_by("name").values_list("pk", "name")[:MANY]
        jump: Any = self.fields["jump_host_id"]
        jump.choices = [("", _("directly")), *names]


class AddHostForm(ReachForm):
    """Step 1 of adding a host."""

    name = forms.CharField(
        label=_("Name"), max_length=120, help_text=_("As people call it. No other host in use may have it.")
    )
    environment = forms.ChoiceField(label=_("Environment"), choices=Environment.choices)
    criticality = forms.TypedChoiceField(
        label=_("Criticality"), choices=Criticality.choices, coerce=int, initial=Criticality.MEDIUM
    )
    owner_id = forms.TypedChoiceField(label=_("Owner"), required=False, coerce=int, empty_value=None)
    group_id = forms.TypedChoiceField(
        label=_("Group"),
        required=False,
        coerce=int,
        empty_value=None,
        help_text=_("Groups by rule take it by themselves."),
    )
    field_order = ("name", "address", "user", "port", "become")

    def __init__(self, *args: Any, viewer: User, **kwargs: Any) -> None:
        super().__init__(*args, viewer=viewer, **kwargs)
        people = persons().order_by("username")
        fields: dict[str, Any] = self.fields
        fields["owner_id"].choices = [("", _("nobody yet")), *((u.pk, str(u)) for u in people)]
        static = HostGroup.objects.live().filter(kind=GroupKind.STATIC).visible_to(viewer)
        fields["group_id"].choices = [("", _("none")), *static.values_list("pk", "name")]


class ReviseHostForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    fqdn = forms.CharField(label=_("Full name"), max_length=255, required=False)
    environment = forms.ChoiceField(label=_("Environment"), choices=Environment.choices)
    criticality = forms.TypedChoiceField(label=_("Criticality"), choices=Criticality.choices, coerce=int)
    owner_id = forms.TypedChoiceField(label=_("Owner"), required=False, coerce=int, empty_value=None)
    support_group = forms.CharField(
        label=_("Support group"), max_length=80, required=False, help_text=_("By its name, as under Support groups.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = persons().order_by("username")
        owner: Any = self.fields["owner_id"]
        owner.choices = [("", _("nobody yet")), *((u.pk, str(u)) for u in people)]


class AcceptKeyForm(forms.Form):
    fingerprint = forms.CharField(widget=forms.HiddenInput)
    compared = forms.BooleanField(
        label=_("I compared this fingerprint with the one that the host itself shows."),
        help_text=_("On the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
    )


class GroupForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    description = forms.CharField(label=_("Description"), max_length=300, required=False)
    kind = forms.ChoiceField(
        label=_("Members"), choices=GroupKind.choices, widget=forms.RadioSelect, initial=GroupKind.STATIC
    )
    host_ids = forms.TypedMultipleChoiceField(
        label=_("Hosts"),
        required=False,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
    )
    rule_environment = forms.ChoiceField(
        label=_("Rule: environment"), required=False, choices=[("", _("any")), *Environment.choices]
    )
    rule_criticality = forms.TypedChoiceField(
        label=_("Rule: criticality"),
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", _("any")), *Criticality.choices],
    )
    rule_distribution = forms.CharField(label=_("Rule: distribution"), max_length=40, required=False)
    rule_release = forms.CharField(label=_("Rule: release"), max_length=40, required=False)

    def __init__(self, *args: Any, viewer: User, kept: str = "", **kwargs: Any) -> None:
        """`kept`: the kind that the group has and keeps; the fields of the other kind are left out."""
        super().__init__(*args, **kwargs)
        hosts = Host.objects.live().visible_to(viewer).order_by("name").values_list("pk", "name")[:MANY]
        members = set(self.initial.get("host_ids") or ())
        chosen: Any = self.fields["host_ids"]
        chosen.choices = sorted(hosts, key=lambda host: host[0] not in members)
        if not chosen.choices:
            chosen.help_text = nothing_yet(gettext("No host yet."), reverse("cmdb:host-add"), gettext("Add a host"))
        if kept:
            self.fields["kind"].disabled = True
            self.fields["kind"].help_text = gettext("It stays so. For the other kind make another group.")
            other = (
                [name for name in self.fields if name.startswith("rule_")] if kept == GroupKind.STATIC else ["host_ids"]
            )
            for name in other:
                del self.fields[name]

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as it was said; empty fields are left out."""
        said = {name: value for name, value in self.cleaned_data.items() if name.startswith("rule_")}
        return {name: value for name, value in said.items() if value not in ("", None)}


def _zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(zoneinfo.available_timezones()) if "/" in name or name == "UTC"]


QUEUED = {
    QueuedRule.HALT: _("stand still until the new times are approved"),
    QueuedRule.MOVE: _("move to the next approved opening that stays; what finds none is cancelled"),
    QueuedRule.CANCEL: _("are cancelled where their opening falls away"),
}
"""What becomes of them, as a sentence that the label begins."""


class WindowForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    recurrence = forms.ChoiceField(label=_("Recurs"), choices=Recurrence.choices, initial=Recurrence.MONTHLY)
    nth = forms.TypedChoiceField(
        label=_("Which of the month"), choices=Nth.choices, coerce=int, initial=Nth.SECOND, help_text=_("Monthly only.")
    )
    weekday = forms.TypedChoiceField(label=_("Weekday"), choices=Weekday.choices, coerce=int, initial=Weekday.TUESDAY)
    offset_days = forms.IntegerField(
        label=_("Days later"),
        initial=0,
        min_value=0,
        max_value=20,
        help_text=_("4 days after the second Tuesday is the Saturday after it. Monthly only."),
    )
    starts_local = forms.TimeField(
        label=_("Starts at"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"), initial="02:00"
    )
    zone = forms.ChoiceField(label=_("Time zone"), choices=lazy(_zones, list)(), initial="UTC")
    length_minutes = forms.IntegerField(label=_("Length in minutes"), initial=120, min_value=1)
    cutoff_minutes = forms.IntegerField(
        label=_("Cut-off in minutes"), initial=30, min_value=0, help_text=_("Nothing starts in the last minutes.")
    )
    from_on = forms.DateField(label=_("First day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    until_on = forms.DateField(
        label=_("Last day"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    group_ids = forms.TypedMultipleChoiceField(
        label=_("Groups"), required=False, coerce=int, widget=forms.CheckboxSelectMultiple
    )

    queued = forms.ChoiceField(
        label=_("Hosts that wait for this window"), required=False, choices=list(QUEUED.items()), initial=QueuedRule.HALT,
        widget=forms.RadioSelect,
        help_text=_("Nothing starts at a time that was not approved for it."),
    )  # fmt: skip

    queued.preset = True  # type: ignore[attr-defined]  # one is always chosen: nothing to leave out

    def __init__(self, *args: Any, viewer: User, editing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not editing:
            del self.fields["queued"]
        groups: Any = self.fields["group_ids"]
        groups.choices = list(HostGroup.objects.live().visible_to(viewer).values_list("pk", "name"))
        if not groups.choices:
            groups.help_text = no_group_yet()


class RetireWindowForm(ReasonForm):
    """Ending a window, and what becomes of the hosts that wait for it."""

    queued = WindowForm.base_fields["queued"]


class ProposeBaselineForm(forms.Form):
    """A baseline taken from a host that is as it should be."""

    host_id = forms.TypedChoiceField(
        label=_("Taken from"), coerce=int, help_text=_("A host that is as all of its platform should be.")
    )
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("A known name makes its next version."))
    group_id = forms.TypedChoiceField(label=_("For"), required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, viewer: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hosts = Host.objects.live().visible_to(viewer).filter(platform__isnull=False, audited_at__isnull=False)
        fields: dict[str, Any] = self.fields
        named = hosts.select_related("platform").order_by("name")[:MANY]
        fields["host_id"].choices = [("", _("choose")), *((h.pk, f"{h.name} ({h.platform})") for h in named)]
        self.has_hosts = len(fields["host_id"].choices) > 1
        groups = HostGroup.objects.live().visible_to(viewer).values_list("pk", "name")
        fields["group_id"].choices = [("", _("every host of the platform")), *groups]


class SettleForm(ReasonForm):
    how = forms.ChoiceField(
        label=_("Settled by"),
        widget=forms.RadioSelect,
        choices=[
            ("explain", _("It is explained")),
            ("correct", _("It was corrected")),
            ("hand_over", _("It is handed to problem management")),
        ],
    )
    field_order: tuple[str, ...] = ("how", "reason")


class SettleBelowForm(SettleForm):
    """The same of a host that stays below its baseline: handed over with the cause."""

    cause = forms.ChoiceField(
        label=_("Why it stays below"),
        required=False,
        choices=[("", _("choose")), *BelowCause.choices],
        help_text=_("Needed to hand it over."),
    )
    field_order: tuple[str, ...] = ("how", "cause", "reason")


class HandOverForm(ReasonForm):
    """Handing a host that stays below its baseline to problem management: with the cause."""

    cause = forms.ChoiceField(label=_("Why it stays below"), choices=[("", _("choose")), *BelowCause.choices])
    field_order = ("cause", "reason")


class ExemptionForm(ReasonForm):
    """Leaving a finding of one host for now."""

    kind = forms.ChoiceField(
        label=_("What"), choices=[("package", _("package")), ("cve", _("vulnerability")), ("baseline", _("baseline"))]
    )
    subject = forms.CharField(label=_("Its name"), max_length=200)
    compensating_control = forms.CharField(
        label=_("What protects instead"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
    days = forms.IntegerField(label=_("For how many days"), min_value=1, max_value=180, initial=30)
    field_order = ("kind", "subject", "reason", "compensating_control", "days")

    def given(self, now: datetime) -> dict[str, Any]:
        """What the verb takes: an end in place of days."""
        said = dict(self.cleaned_data)
        expires_at = now + timedelta(days=said.pop("days"))
        return {**said, "expires_at": expires_at}


def platforms() -> list[tuple[int, str]]:
    """Every platform that a host reported."""
    return [(p.pk, p.label) for p in Platform.objects.order_by("distribution", "release", "arch")]
