"""The admin of baselines, exemptions and discrepancies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import baselines, discrepancies, exemptions
from cmdb.enums import DiscrepancyKind
from cmdb.models import Baseline, BaselineItem, Discrepancy, Exemption
from cmdb.web.baselines import against_asking, propose
from cmdb.web.forms import HandOverForm, ProposeBaselineForm, ReasonForm
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing, somewhere
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


class ItemInline(ReadOnlyInline):
    model = BaselineItem


def _retire_baseline(baseline: Baseline, actor: User, at: datetime, reason: str) -> None:
    baselines.retire(baseline_id=baseline.pk, reason=reason, actor=actor, at=at)


def _ask(baseline: Baseline, actor: User, at: datetime, _said: str) -> None:
    baselines.request_approval(baseline_id=baseline.pk, actor=actor, at=at)


def _adopt(baseline: Baseline, actor: User, at: datetime, _said: str) -> None:
    baselines.adopt(baseline_id=baseline.pk, actor=actor, at=at)


def _against_asking(baseline: Baseline, actor: User, _at: datetime) -> list[Blocker]:
    return against_asking(baseline, actor)


PROPOSE = AdminVerb(
    "propose",
    _("Propose a baseline"),
    lambda _none, actor, at, form: propose(form=form, user=actor, now=at),
    form=lambda data, _none, actor: ProposeBaselineForm(data, viewer=actor),
    on="new",
    why_not=lambda _none, actor, _at: failing([somewhere("baseline.propose")], None, actor),
)


@admin.register(Baseline)
class BaselineAdmin(VerbAdmin):
    list_display = ("name", "version", "state", "platform", "group", "proposed_by", "approved_at")
    list_filter = ("state", "platform")
    search_fields = ("name",)
    list_select_related = ("platform", "group", "proposed_by")
    inlines = (ItemInline,)
    maker = PROPOSE
    verbs = (
        AdminVerb("ask", _("Put to the vote"), _ask, why_not=_against_asking),
        AdminVerb("adopt", _("Put in force: a signed manifest contains it"), _adopt, transition="adopt"),
        AdminVerb("retire", _("Retire"), _retire_baseline, transition="retire", needs_reason=True),
    )


def _grant(exemption: Exemption, actor: User, at: datetime, reason: str) -> None:
    exemptions.grant(exemption_id=exemption.pk, actor=actor, at=at)


def _refuse(exemption: Exemption, actor: User, at: datetime, reason: str) -> None:
    exemptions.refuse(exemption_id=exemption.pk, reason=reason, actor=actor, at=at)


def _revoke(exemption: Exemption, actor: User, at: datetime, reason: str) -> None:
    exemptions.revoke(exemption_id=exemption.pk, reason=reason, actor=actor, at=at)


@admin.register(Exemption)
class ExemptionAdmin(VerbAdmin):
    list_display = ("__str__", "state", "host", "group", "requested_by", "expires_at")
    list_filter = ("state", "kind")
    search_fields = ("subject",)
    list_select_related = ("host", "group", "requested_by")
    verbs = (
        AdminVerb("grant", _("Grant"), _grant, transition="grant"),
        AdminVerb("refuse", _("Refuse"), _refuse, transition="refuse", needs_reason=True),
        AdminVerb("revoke", _("Revoke"), _revoke, transition="revoke", needs_reason=True),
    )


def _settle(how: str) -> Any:
    def settle(found: Discrepancy, actor: User, at: datetime, reason: str) -> None:
        discrepancies.settle(discrepancy_id=found.pk, how=how, reason=reason, actor=actor, at=at)

    return settle


def _hand_form(data: Any, found: Discrepancy, _actor: User) -> ReasonForm:
    """Of a host that stays below its baseline it asks for the cause, too."""
    return HandOverForm(data) if found.kind == DiscrepancyKind.BELOW_BASELINE else ReasonForm(data)


def _hand_over(found: Discrepancy, actor: User, at: datetime, form: ReasonForm) -> None:
    given = {"discrepancy_id": found.pk, "how": "hand_over", **form.cleaned_data}
    discrepancies.settle(actor=actor, at=at, **given)


@admin.register(Discrepancy)
class DiscrepancyAdmin(VerbAdmin):
    list_display = ("__str__", "kind", "state", "host", "other", "sentence", "opened_at")
    list_filter = ("state", "kind")
    search_fields = ("host__name", "sentence")
    list_select_related = ("host", "other")
    verbs = (
        AdminVerb("explain_it", _("Explain"), _settle("explain"), transition="explain", needs_reason=True),
        AdminVerb("correct_it", _("Corrected"), _settle("correct"), transition="correct", needs_reason=True),
        AdminVerb(
            "hand_over", _("Hand to problem management"), _hand_over, transition="hand_over", form=_hand_form, on="one"
        ),
    )
