"""Forms of change models: shapes only; the verbs decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.enums import RFCKind
from changes.models import ChangeModel
from changes.web.rfc_forms import Area
from patchflow.kernel.enums import Quorum
from patchflow.kernel.roles import grantable, roles_with

LEVELS = (1, 2, 3)
UNITS = [("working_days", _("working days")), ("hours", _("hours"))]
PARTS = ("name", "roles", "quorum", "amount", "within", "unit", "escalate_to")


class ModelForm(forms.Form):
    """A model of changes; `level_N_*` are its levels of approval, an unnamed one is not asked."""

    name = forms.CharField(label=_("Name"), max_length=120)
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=RFCKind.choices,
        initial=RFCKind.STANDARD,
        help_text=_("A standard model that the board has signed is a licence: its changes are asked about no more."),
    )
    description = forms.CharField(label=_("What it is for"), required=False, widget=Area(2))
    packages = forms.CharField(
        label=_("Packages"),
        required=False,
        widget=Area(3),
        help_text=_("Source packages that it covers, one per line. Empty: any."),
    )
    max_score = forms.IntegerField(
        label=_("Highest risk"),
        min_value=0,
        max_value=100,
        initial=8,
        help_text=_("The score that its licence covers."),
    )
    max_hosts = forms.IntegerField(label=_("Most hosts"), min_value=1, initial=50)
    implementation_plan = forms.CharField(label=_("Implementation plan"), required=False, widget=Area(3))
    test_plan = forms.CharField(label=_("Test plan"), required=False, widget=Area(3))
    back_out_plan = forms.CharField(label=_("Back-out plan"), required=False, widget=Area(3))

    def __init__(self, data: Any = None, *, model: ChangeModel | None = None) -> None:
        super().__init__(data, initial=_initial(model) if model else {})
        signing = roles_with("rfc.approve")
        roles = [(r.name, r.label) for r in grantable() if r.name in signing]
        everyone = [("", "–"), *((r.name, r.label) for r in grantable())]
        for n in LEVELS:
            self.fields |= {
                f"level_{n}_name": forms.CharField(label=_("Name"), max_length=60, required=False),
                f"level_{n}_roles": forms.MultipleChoiceField(
                    label=_("Who is asked"), choices=roles, required=False, widget=forms.CheckboxSelectMultiple
                ),
                f"level_{n}_quorum": forms.ChoiceField(label=_("Quorum"), choices=Quorum.choices, required=False),
                f"level_{n}_amount": forms.IntegerField(
                    label=_("How many, or what share"), min_value=1, max_value=100, required=False
                ),
                f"level_{n}_within": forms.IntegerField(label=_("Within"), min_value=1, required=False),
                f"level_{n}_unit": forms.ChoiceField(label=_("Unit"), choices=UNITS, required=False),
                f"level_{n}_escalate_to": forms.ChoiceField(
                    label=_("Who is told if nobody answers in time"), choices=everyone, required=False
                ),
            }
        if model:
            del self.fields["kind"]

    def plain_fields(self) -> list[Any]:
        """The fields above the levels."""
        return [self[name] for name in self.fields if not name.startswith("level_")]

    def levels_shown(self) -> list[tuple[int, list[Any]]]:
        """The fields of each level."""
        return [(n, [self[f"level_{n}_{part}"] for part in PARTS]) for n in LEVELS]

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verb takes them."""
        given = {k: v for k, v in self.cleaned_data.items() if not k.startswith("level_")}
        given["packages"] = given["packages"].split()
        given["levels"] = [self._level(n) for n in LEVELS if self.cleaned_data[f"level_{n}_name"].strip()]
        return given

    def _level(self, n: int) -> dict[str, Any]:
        given = {part: self.cleaned_data[f"level_{n}_{part}"] for part in PARTS}
        limit = {given.pop("unit") or "working_days": given.pop("within") or 3}
        return given | limit | {"amount": given["amount"] or 1, "quorum": given["quorum"] or Quorum.FIRST}


def _initial(model: ChangeModel) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(model, name) for name in ModelForm.base_fields}
    found["packages"] = "\n".join(model.packages)
    for n, level in zip(LEVELS, model.levels, strict=False):
        unit = "hours" if level.get("hours") else "working_days"
        found |= {f"level_{n}_{part}": level.get(part) for part in PARTS if part in level}
        found |= {f"level_{n}_within": level.get(unit), f"level_{n}_unit": unit}
    return found
