"""A level of approval on pages: its fields in a form, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.enums import Owners
from cmdb.models import SupportGroup
from patchflow.kernel.enums import Quorum
from patchflow.kernel.roles import all_roles, grantable, roles_with

UNITS = [("working_days", gettext_lazy("working days")), ("hours", gettext_lazy("hours"))]
PARTS = ("name", "roles", "owners", "group", "quorum", "amount", "veto", "within", "unit", "escalate_to")


def level_fields(prefix: str, *, needed: bool = False) -> dict[str, forms.Field]:
    """The fields of one level, their names beginning with `prefix`; `needed`: it must have a name."""
    signing = roles_with("rfc.approve")
    roles = [(r.name, r.label) for r in grantable() if r.name in signing]
    everyone = [("", "–"), *((r.name, r.label) for r in grantable())]
    groups = [
        ("", "–"),
        *((name, name) for name in SupportGroup.objects.order_by("name").values_list("name", flat=True)),
    ]
    parts = {
        "name": forms.CharField(label=_("Name of the level"), max_length=60, required=needed),
        "roles": forms.MultipleChoiceField(
            label=_("Who is asked"), choices=roles, required=False, widget=forms.CheckboxSelectMultiple
        ),
        "owners": forms.ChoiceField(
            label=_("Owners"),
            choices=[("", "–"), *Owners.choices],
            required=False,
            help_text=_(
                "Who owns an item; where nobody does, its support group. They need a role that approves there."
            ),
        ),
        "group": forms.ChoiceField(label=_("Support group"), choices=groups, required=False),
        "quorum": forms.ChoiceField(label=_("Quorum"), choices=Quorum.choices, required=False),
        "amount": forms.IntegerField(label=_("How many, or what share"), min_value=1, max_value=1000, required=False),
        "veto": forms.BooleanField(label=_("The first refusal ends the round"), required=False),
        "within": forms.IntegerField(label=_("Within"), min_value=1, max_value=2000, required=False),
        "unit": forms.ChoiceField(label=_("Unit"), choices=UNITS, required=False),
        "escalate_to": forms.ChoiceField(
            label=_("Who is told if nobody answers in time"), choices=everyone, required=False
        ),
    }
    return {f"{prefix}{name}": parts[name] for name in PARTS}


def level_given(cleaned: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The level that a form describes, as the verbs take it."""
    given = {part: cleaned[f"{prefix}{part}"] for part in PARTS}
    limit = {given.pop("unit") or "working_days": given.pop("within") or 3}
    return given | limit | {"amount": given["amount"] or 1, "quorum": given["quorum"] or Quorum.FIRST}


def level_initial(level: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What its fields start with."""
    unit = "hours" if level.get("hours") else "working_days"
    found = {f"{prefix}{part}": level[part] for part in PARTS if part in level}
    return found | {f"{prefix}within": level.get(unit), f"{prefix}unit": unit}


def level_words(level: Mapping[str, Any]) -> tuple[str, str]:
    """(name, whom it asks, how many must sign, by when)."""
    asked = [all_roles()[r].label for r in level["roles"]]
    if owners := level.get("owners"):
        asked.append(str(Owners(owners).label))
    if group := level.get("group"):
        asked.append(_("support group %(group)s") % {"group": group})
    limit = (
        _("%(n)d hours") % {"n": level["hours"]}
        if level.get("hours")
        else _("%(n)d working days") % {"n": level.get("working_days", 3)}
    )
    quorum = {"first": _("the first to sign"), "all": _("all of them")}.get(level["quorum"]) or (
        _("%(n)d %%") if level["quorum"] == "percent" else _("%(n)d of them")
    ) % {"n": level["amount"]}
    given = {"roles": ", ".join(asked), "quorum": quorum, "limit": limit}
    said = _("%(roles)s: %(quorum)s, within %(limit)s") % given
    return str(level["name"]), said + (_("; the first refusal ends the round") if level.get("veto") else "")
