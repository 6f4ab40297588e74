"""Forms of meetings: they check shapes and resolve ids; verbs decide and write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.enums_meeting import MeetingKind, Presence
from changes.models import AgendaItem, Meeting
from changes.queries.meetings import Line
from changes.web.rfc_forms import Area, MomentField
from patchflow.kernel.people import persons
from patchflow.web.fields import PersonField


class PlanForm(forms.Form):
    kind = forms.ChoiceField(label=_("Board"), choices=MeetingKind.choices, widget=forms.RadioSelect)
    starts_at = MomentField(label=_("Begins"))
    minutes = forms.IntegerField(label=_("Length in minutes"), min_value=5, max_value=600, initial=60)
    place = forms.CharField(
        label=_("Place"), max_length=200, required=False, help_text=_("A room, or the address of a call.")
    )


class TopicForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=200)
    text = forms.CharField(label=_("Text"), required=False, widget=Area(4), max_length=4000)
    minutes = forms.IntegerField(label=_("Length in minutes"), min_value=1, max_value=240, initial=10)


class PostponeForm(forms.Form):
    starts_at = MomentField(label=_("New beginning"))
    reason = forms.CharField(label=_("Reason"), widget=Area(3), max_length=2000)


class MinuteForm(forms.Form):
    notes = forms.CharField(
        label=_("Notes of the chair"), required=False, widget=Area(8), max_length=20000,
        help_text=_("What the rows cannot say. Who was there, each item, each vote and its reason are written by themselves."),
    )  # fmt: skip


class OutcomeForm(forms.Form):
    outcome = forms.CharField(label=_("What was decided"), widget=Area(3), max_length=2000)


class ArrangeForm(forms.Form):
    """One row per item: place, minutes, consent."""

    def __init__(self, items: list[AgendaItem], *args: Any) -> None:
        super().__init__(*args)
        self.items = items
        for item in items:
            t = {"t": item.title}
            self.fields[f"place{item.pk}"] = forms.IntegerField(
                label=_("Place of %(t)s") % t, min_value=1, max_value=999, initial=item.position
            )
            self.fields[f"minutes{item.pk}"] = forms.IntegerField(
                label=_("Length of %(t)s in minutes") % t, min_value=1, max_value=240, initial=item.minutes
            )
            self.fields[f"consent{item.pk}"] = forms.BooleanField(
                label=_("%(t)s by consent") % t, required=False, initial=item.consent
            )
            if item.round_id is None or item.pulled_by_id or not item.is_open:
                self.fields[f"consent{item.pk}"].disabled = True

    @property
    def rows(self) -> list[tuple[AgendaItem, Any, Any, Any]]:
        return [
            (item, self[f"place{item.pk}"], self[f"minutes{item.pk}"], self[f"consent{item.pk}"]) for item in self.items
        ]

    def arranged(self) -> list[dict[str, Any]]:
        """The items in the order asked for; of two with the same place the earlier one stays first."""
        given = self.cleaned_data
        order = sorted(self.items, key=lambda item: (given[f"place{item.pk}"], item.position))
        return [{"id": i.pk, "minutes": given[f"minutes{i.pk}"], "consent": given[f"consent{i.pk}"]} for i in order]


class ConsentForm(forms.Form):
    """The consent block as one member is asked about it: a tick for each item, over the digest that was shown. None is ticked
    beforehand: each consents to what they have read."""

    comment = forms.CharField(label=_("Comment"), required=False, widget=Area(2), max_length=4000)

    def __init__(self, lines: Sequence[Line], *args: Any) -> None:
        super().__init__(*args)
        for line in lines:
            pk, round_ = line.item.pk, line.item.round
            if round_ is not None:
                self.fields[f"i{pk}"] = forms.BooleanField(label=line.item.title, required=False)
                self.fields[f"d{pk}"] = forms.CharField(widget=forms.HiddenInput, required=False, initial=round_.digest)
        self.order_fields([name for name in self.fields if name != "comment"])

    def ticked(self) -> dict[int, str]:
        """Item → the digest that was shown, of what was ticked; also of what has left the block meanwhile: it is refused."""
        seen = {int(k[1:]): str(v) for k, v in self.data.items() if k[:1] == "d" and k[1:].isdigit()}
        return {pk: digest for pk, digest in seen.items() if self.data.get(f"i{pk}")}


class PullForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), required=False, widget=Area(2), max_length=2000)


class AttendanceForm(forms.Form):
    """One choice per member, and somebody who came without an invitation."""

    def __init__(self, meeting: Meeting, *args: Any) -> None:
        super().__init__(*args)
        self.known = {a.user_id: a for a in meeting.attendees.select_related("user")}
        for pk, attendee in self.known.items():
            self.fields[f"p{pk}"] = forms.ChoiceField(
                label=str(attendee.user), choices=Presence.choices, initial=attendee.presence
            )
        others = persons().exclude(pk__in=self.known)
        self.fields["also"] = PersonField(
            others.order_by("username"), label=_("Also there"), required=False, help_text=_("A guest, or a substitute.")
        )

    def presence(self) -> dict[int, str]:
        found = {pk: self.cleaned_data[f"p{pk}"] for pk in self.known}
        if also := self.cleaned_data.get("also"):
            found[also.pk] = Presence.PRESENT
        return found
