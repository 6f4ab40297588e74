"""Forms of tasks: shapes only; the verbs decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.enums_tasks import TaskStage
from changes.models import ChangeTask
from changes.web.rfc_forms import Area, MomentField
from cmdb.models import SupportGroup
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.web.fields import PersonField


class GiveForm(forms.Form):
    """To whom a task is given."""

    assignee_id = PersonField(
        label=_("Person"),
        queryset=User.objects.none(),
        required=False,
        help_text=_("They must be able to see the change, and are told."),
    )
    group_id = forms.ModelChoiceField(
        label=_("Support group"),
        queryset=SupportGroup.objects.none(),
        required=False,
        empty_label=_("none"),
        help_text=_("Without a person, anybody in it takes the task."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["assignee_id"].queryset = persons().order_by("username")  # type: ignore[attr-defined]
        self.fields["group_id"].queryset = SupportGroup.objects.order_by("name")  # type: ignore[attr-defined]

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verb takes them."""
        given = dict(self.cleaned_data)
        for name in ("assignee_id", "group_id"):
            given[name] = given[name].pk if given.get(name) else None
        return given


class SayForm(forms.Form):
    """What a task says."""

    title = forms.CharField(label=_("Title"), max_length=200)
    stage = forms.ChoiceField(
        label=_("Stage"),
        choices=TaskStage.choices,
        help_text=_(
            "Required tasks of planning hold up the request for approval, those of preparation the beginning; all hold up the closing."
        ),
    )
    required = forms.BooleanField(
        label=_("Required"), required=False, initial=True, help_text=_("Its change waits until it is done, or declared not needed.")
    )  # fmt: skip
    instructions = forms.CharField(label=_("What is to be done"), required=False, widget=Area(5), max_length=8000)
    due_at = MomentField(label=_("Due by"), required=False)


class AddForm(SayForm, GiveForm):
    """A new task."""

    field_order = ("title", "stage", "required", "instructions", "assignee_id", "group_id", "due_at")


class ReviseForm(SayForm):
    reason = forms.CharField(
        label=_("Why you change it"),
        required=False,
        widget=Area(2),
        max_length=2000,
        help_text=_("Needed where it holds up less than before: not required any more, or of another stage."),
    )

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verb takes them. A form knows minutes: a time that was left as it is keeps its seconds."""
        given = dict(self.cleaned_data)
        before = self.initial.get("due_at")
        if before and given["due_at"] == before.replace(second=0, microsecond=0):
            del given["due_at"]
        return given


class FinishForm(forms.Form):
    outcome = forms.CharField(label=_("What came of it"), widget=Area(4), max_length=4000)


def said_of(task: ChangeTask) -> dict[str, Any]:
    """What the forms of a task start from."""
    return {
        **{name: getattr(task, name) for name in ("title", "stage", "required", "instructions", "due_at")},
        "assignee_id": task.assignee_id,
        "group_id": task.group_id,
    }
