"""Forms of change models: shapes only; the verbs decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.enums import RFCKind
from changes.enums_tasks import TaskStage
from changes.models import ChangeModel
from changes.web.levels import PARTS, level_fields, level_given, level_initial
from changes.web.rfc_forms import Area

LEVELS = (1, 2, 3)
LEAST_TASKS = 6
OF_TASK = ("title", "stage", "required", "instructions")


class ModelForm(forms.Form):
    """A model of changes; `level_N_*` are its levels of approval, an unnamed one is not asked; `task_N_*`
    the tasks that its changes start with, one without a title is none."""

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
        max_value=25,
        initial=8,
        help_text=_("The score, of 25, that its licence covers."),
    )
    max_hosts = forms.IntegerField(label=_("Most hosts"), min_value=1, initial=50)
    implementation_plan = forms.CharField(label=_("Implementation plan"), required=False, widget=Area(3))
    test_plan = forms.CharField(label=_("Test plan"), required=False, widget=Area(3))
    back_out_plan = forms.CharField(label=_("Back-out plan"), required=False, widget=Area(3))

    def __init__(self, data: Any = None, *, model: ChangeModel | None = None) -> None:
        super().__init__(data, initial=_initial(model) if model else {})
        for n in LEVELS:
            self.fields |= level_fields(f"level_{n}_")
        self.task_places = range(1, max(LEAST_TASKS, len(model.tasks) + 1 if model else 0) + 1)
        for n in self.task_places:
            self.fields |= _task_fields(f"task_{n}_")
        if model:
            del self.fields["kind"]

    def plain_fields(self) -> list[Any]:
        """The fields above the levels."""
        return [self[name] for name in self.fields if not name.startswith(("level_", "task_"))]

    def levels_shown(self) -> list[tuple[int, list[Any]]]:
        """The fields of each level."""
        return [(n, [self[f"level_{n}_{part}"] for part in PARTS]) for n in LEVELS]

    def tasks_shown(self) -> list[tuple[int, list[Any]]]:
        """The fields of each task."""
        return [(n, [self[f"task_{n}_{part}"] for part in OF_TASK]) for n in self.task_places]

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verb takes them."""
        given = {k: v for k, v in self.cleaned_data.items() if not k.startswith(("level_", "task_"))}
        given["packages"] = given["packages"].split()
        given["levels"] = [
            level_given(self.cleaned_data, f"level_{n}_")
            for n in LEVELS
            if self.cleaned_data[f"level_{n}_name"].strip()
        ]
        given["tasks"] = [
            {part: self.cleaned_data[f"task_{n}_{part}"] for part in OF_TASK}
            for n in self.task_places
            if self.cleaned_data[f"task_{n}_title"].strip()
        ]
        return given


def _task_fields(prefix: str) -> dict[str, forms.Field]:
    return {
        f"{prefix}title": forms.CharField(label=_("Title"), required=False, max_length=200),
        f"{prefix}stage": forms.ChoiceField(label=_("Stage"), choices=TaskStage.choices, required=False),
        f"{prefix}required": forms.BooleanField(label=_("Required"), required=False, initial=True),
        f"{prefix}instructions": forms.CharField(
            label=_("What is to be done"), required=False, widget=Area(3), max_length=8000
        ),
    }


def _initial(model: ChangeModel) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(model, name) for name in ModelForm.base_fields}
    found["packages"] = "\n".join(model.packages)
    for n, level in zip(LEVELS, model.levels, strict=False):
        found |= level_initial(level, f"level_{n}_")
    for n, task in enumerate(model.tasks, start=1):
        found |= {f"task_{n}_{part}": task[part] for part in OF_TASK}
    return found
