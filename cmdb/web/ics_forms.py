"""The two steps of taking an iCalendar file over: looked at first, then saved; the file travels along in the form."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cmdb.sources import ics


class IcsForm(forms.Form):
    """A file, or the one that was looked at before (`kept`); `numbers` are the events chosen."""

    file = forms.FileField(
        label=gettext_lazy("iCalendar file"), required=False, help_text=gettext_lazy("At most 512 KiB, 500 events.")
    )
    zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=64,
        help_text=gettext_lazy("For whole days and for times without a zone, as an IANA name: Europe/Berlin."),
    )
    kept = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].required = not self.data.get("kept")

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"].strip()
        if zone not in available_timezones():
            raise ValidationError(_("This is no IANA time zone."))
        return zone

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        upload = said.get("file")
        if upload is not None:
            if upload.size > ics.MAX_BYTES:
                raise ValidationError(_("The file is larger than 512 KiB."))
            said["content"] = upload.read()
        elif said.get("kept"):
            try:
                said["content"] = base64.b64decode(said["kept"], validate=True)
            except (binascii.Error, ValueError) as error:
                raise ValidationError(_("The file was damaged on its way: choose it again.")) from error
        return said


def kept_as(content: bytes) -> str:
    return base64.b64encode(content).decode()


def numbers_of(post: Any) -> set[int]:
    """The events that were ticked."""
    return {int(value) for value in post.getlist("numbers") if value.isdigit() and len(value) < 6}
