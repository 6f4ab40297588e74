"""The pages of the admin site on which a verb is asked for: what a browser would send of them, and what they say."""

from __future__ import annotations

from typing import Any

from django.forms import BaseFormSet, BooleanField, DateField, DateTimeField, IntegerField, TimeField

TYPED = "Because <it>."


def as_shown(form: Any) -> dict[str, Any]:
    """What a browser sends of a form as it is shown, where only what must be said is typed, and the rest left as it is."""
    parts = (form.management_form, *form.forms) if isinstance(form, BaseFormSet) else (form,)
    sent = {bound.html_name: _value(bound) for part in parts for bound in part}
    return {name: value for name, value in sent.items() if value not in (None, "", [])}


def _value(bound: Any) -> Any:
    field, value = bound.field, bound.value()
    if isinstance(field, BooleanField):
        return "on" if value else ""
    if value in (None, "", []) and field.required:
        if choices := [key for key, _label in getattr(field, "choices", []) if key not in ("", None)]:
            return choices[0]
        made = {DateTimeField: "2026-11-27T10:00", DateField: "2026-11-27", TimeField: "02:00", IntegerField: "1"}
        return next((text for kind, text in made.items() if isinstance(field, kind)), TYPED)
    return field.widget.format_value(value)


def told(answer: Any) -> str:
    """What an answered page says against it: beside the rows, or in the form."""
    if answer.status_code != 200 or not answer.context_data:
        return ""
    form = answer.context_data["form"]
    said = [str(why) for _row, why in answer.context_data["shown"]]
    if isinstance(form, BaseFormSet):
        said += [str(error) for error in form.non_form_errors()]
    elif form is not None:
        said += [str(error) for errors in form.errors.values() for error in errors]
    return " ".join(said).strip()
