"""Fields that many forms have."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy


class PersonField(forms.ModelChoiceField):
    """One of the people of `queryset`; before one is chosen it says whether somebody must be."""

    def __init__(self, queryset: Any, *, required: bool = True, **kwargs: Any) -> None:
        empty = gettext_lazy("choose") if required else gettext_lazy("nobody")
        super().__init__(queryset, required=required, empty_label=empty, **kwargs)
