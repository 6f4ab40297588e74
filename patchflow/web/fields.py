"""Fields that many forms have."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from patchflow.kernel.errors import Refusal


class PersonField(forms.ModelChoiceField):
    """One of the people of `queryset`; before one is chosen it says whether somebody must be."""

    def __init__(self, queryset: Any, *, required: bool = True, **kwargs: Any) -> None:
        empty = gettext_lazy("choose") if required else gettext_lazy("nobody")
        super().__init__(queryset, required=required, empty_label=empty, **kwargs)


def refuse(form: Any, refusal: Refusal) -> None:
    """Puts the reasons of a refusal beside the fields that they name, else above the form (or set of forms)."""
    for blocker in refusal.blockers:
        field = blocker.code.rpartition(".")[2]
        form.add_error(field if field in getattr(form, "fields", {}) else None, blocker.said)
