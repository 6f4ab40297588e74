"""Forms of rings: numbers or shares, hosts by hand and by rule; and moving hosts from ring to ring."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changes.web.rfc_forms import Area
from cmdb.enums import Criticality, Environment
from cmdb.models import Host, HostGroup
from releases import confidence, diversity
from releases.domain.plans import RingPlan, plan_of
from releases.models import PlannedRing

RINGS = 5
"""Rings that the form offers; more go over REST."""
SHOWN = re.compile(r"(\d{1,6})\s*(%?)")


@dataclass(frozen=True)
class Amount:
    """A number of hosts, or a share of them in percent."""

    number: int | None = None
    percent: int | None = None


class AmountField(forms.CharField):
    """“4” or “10 %”."""

    def __init__(self, **given: Any) -> None:
        super().__init__(required=False, max_length=10, **given)

    def clean(self, value: Any) -> Amount:
        text = super().clean(value)
        if not text:
            return Amount()
        found = SHOWN.fullmatch(text.strip())
        if found is None or int(found[1]) < 1 or (found[2] and int(found[1]) > 100):
            raise forms.ValidationError(_("Give a number of hosts, or a share such as 10 %%.") % {})
        return Amount(percent=int(found[1])) if found[2] else Amount(number=int(found[1]))


class RingForm(forms.Form):
    """One ring. A row without a name is no ring."""

    name = forms.CharField(label=_("Name"), max_length=60, required=False)
    percent = forms.IntegerField(label=_("Share of hosts, %"), min_value=1, max_value=100, required=False)
    concurrency = AmountField(label=_("At once"), initial="1")
    failures = AmountField(label=_("Failures that halt"), initial="5 %")
    soak_hours = forms.IntegerField(label=_("Watched, hours"), min_value=0, initial=24, required=False)
    soak_minutes = forms.IntegerField(label=_("and minutes"), min_value=0, max_value=59, initial=0, required=False)

    hosts = forms.CharField(label=_("Hosts by hand"), required=False, widget=Area(1))
    environments = forms.MultipleChoiceField(label=_("Environments"), choices=Environment.choices, required=False)
    group_ids = forms.TypedMultipleChoiceField(label=_("Groups"), coerce=int, required=False)
    criticalities = forms.TypedMultipleChoiceField(
        label=_("Criticality"), choices=Criticality.choices, coerce=int, required=False
    )
    diverse = forms.BooleanField(label=_("A host of every class of machine first"), required=False)

    success_percent = forms.IntegerField(
        label=_("Must succeed, %"), min_value=1, max_value=100, initial=95, required=False
    )
    bound_percent = forms.IntegerField(label=_("Lower bound asked for, %"), min_value=0, max_value=99, required=False)
    confidence_percent = forms.IntegerField(
        label=_("Confidence, %"),
        min_value=confidence.LEAST_CONFIDENCE,
        max_value=confidence.MOST_CONFIDENCE,
        initial=confidence.USUAL_CONFIDENCE,
        required=False,
    )

    class_hosts = forms.IntegerField(
        label=_("Good hosts of each class of machine"),
        min_value=0,
        max_value=diversity.MOST_CLASS_HOSTS,
        required=False,
    )

    FIRST = ("name", "percent", "concurrency", "failures", "soak_hours", "soak_minutes")
    RULE = ("hosts", "environments", "group_ids", "criticalities", "diverse")
    PROOF = ("success_percent", "bound_percent", "confidence_percent", "class_hosts")

    release: Any = None

    def offer(self, groups: list[tuple[int, str]]) -> None:
        self.fields["group_ids"].choices = groups  # type: ignore[attr-defined]

    def first(self) -> list[Any]:
        return [self[name] for name in self.FIRST]

    def rule(self) -> list[Any]:
        return [self[name] for name in self.RULE]

    def proof(self) -> list[Any]:
        return [self[name] for name in self.PROOF]

    def ruled(self) -> bool:
        """Whether something of the rule is asked, or wrong: then it is shown open."""
        return any(self[name].value() or self[name].errors for name in self.RULE)

    def clean_hosts(self) -> tuple[int, ...]:
        names = self.cleaned_data["hosts"].replace("\n", ",").replace(";", ",").split(",")
        wanted = [n.strip() for n in names if n.strip()]
        found = dict(Host.objects.filter(planned_in__release=self.release).values_list("name", "pk")) if wanted else {}
        if unknown := [n for n in wanted if n not in found]:
            raise forms.ValidationError(_("Not in this release: %(names)s.") % {"names": ", ".join(unknown[:5])})
        return tuple(found[n] for n in wanted)

    def plan(self) -> RingPlan | None:
        """The ring as the verb takes it; None for an empty row."""
        given = self.cleaned_data
        if not given.get("name"):
            return None
        at_once, failures = given["concurrency"], given["failures"]
        hours, minutes = given.get("soak_hours"), given.get("soak_minutes") or 0
        if hours is None:
            hours = 0 if minutes else 24
        return RingPlan(
            name=given["name"], host_ids=given.get("hosts") or (), percent=given.get("percent"),
            environments=given["environments"], group_ids=given["group_ids"], criticalities=given["criticalities"],
            diverse=given["diverse"], concurrency=at_once.number or 1, concurrency_percent=at_once.percent,
            failure_limit=failures.number, failure_percent=failures.percent,
            success_percent=given.get("success_percent") or 95, bound_percent=given.get("bound_percent"),
            confidence_percent=given.get("confidence_percent") or confidence.USUAL_CONFIDENCE,
            class_hosts=given.get("class_hosts"), soak_seconds=hours * 3600 + minutes * 60,
        )  # fmt: skip


class Rings(forms.BaseFormSet):
    """The rings of a release, one form each."""

    @property
    def given(self) -> int:
        """How many rows were filled when the form was opened."""
        return len(self.initial or ())

    def plans(self) -> list[RingPlan]:
        """The rings as the verb takes them."""
        return [ring for row in self if (ring := row.plan())]

    def add_error(self, _field: None, error: Any) -> None:
        """A reason that concerns them all."""
        self.non_form_errors().append(error)


def initial_plan(ring: RingPlan) -> dict[str, Any]:
    """A ring as the form shows it: shares as they were given, hosts by hand by name."""
    names = Host.objects.filter(pk__in=ring.host_ids).order_by("name").values_list("name", flat=True)
    by_share = ring.failure_percent or (5 if ring.failure_limit is None else None)
    return {
        "name": ring.name, "percent": ring.percent, "hosts": ", ".join(names) if ring.host_ids else "",
        "environments": list(ring.environments), "group_ids": list(ring.group_ids),
        "criticalities": list(ring.criticalities), "diverse": ring.diverse,
        "concurrency": f"{ring.concurrency_percent} %" if ring.concurrency_percent else str(ring.concurrency),
        "failures": f"{by_share} %" if by_share else str(ring.failure_limit),
        "success_percent": ring.success_percent, "bound_percent": ring.bound_percent,
        "confidence_percent": ring.confidence_percent, "class_hosts": ring.class_hosts, "soak_hours": ring.soak_seconds // 3600,
        "soak_minutes": ring.soak_seconds % 3600 // 60,
    }  # fmt: skip


def initial_ring(ring: PlannedRing) -> dict[str, Any]:
    return initial_plan(plan_of(ring))


class IntoForm(forms.Form):
    """Into which ring hosts go that were named one by one."""

    into = forms.TypedChoiceField(label=_("Into ring"), coerce=int)

    def offer(self, rings: list[tuple[int, str]]) -> None:
        self.fields["into"].choices = rings  # type: ignore[attr-defined]


class MoveForm(IntoForm):
    """Into which ring the hosts go that match. `seen`: how many they were when the page was shown."""

    seen = forms.IntegerField(widget=forms.HiddenInput)


class FindForm(forms.Form):
    """Which hosts of the release are meant; empty: not asked."""

    name = forms.CharField(label=_("Name contains"), required=False, max_length=80)
    group = forms.TypedChoiceField(label=_("Group"), coerce=int, empty_value=None, required=False)
    environment = forms.ChoiceField(
        label=_("Environment"), choices=[("", _("any")), *Environment.choices], required=False
    )
    ring = forms.TypedChoiceField(label=_("Now in ring"), coerce=int, empty_value=None, required=False)

    def offer(self, groups: list[tuple[int, str]], rings: list[tuple[int, str]]) -> None:
        self.fields["group"].choices = [("", _("any")), *groups]  # type: ignore[attr-defined]
        self.fields["ring"].choices = [("", _("any")), *rings]  # type: ignore[attr-defined]


def groups_of(release: Any, actor: Any) -> list[tuple[int, str]]:
    """The groups that have hosts in the release, of those that the person sees."""
    rows = HostGroup.objects.visible_to(actor).live().filter(memberships__host__planned_in__release=release)
    return list(rows.distinct().order_by("name").values_list("pk", "name"))
