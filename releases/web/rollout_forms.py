"""Forms of rollouts: a reason, and the kill switch."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.errors import Refusal


class ReasonForm(forms.Form):
    """Why. Stored with the act, and shown to everybody."""

    reason = forms.CharField(label=_("Reason"), max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))

    def refused(self, refusal: Refusal) -> None:
        """Puts the reasons of a refusal above the form; what was typed stays."""
        for blocker in refusal.blockers:
            self.add_error("reason" if blocker.code.endswith(".reason") else None, blocker.said)


class NothingForm(ReasonForm):
    """A confirmation that needs no reason."""

    reason = forms.CharField(required=False, widget=forms.HiddenInput)
