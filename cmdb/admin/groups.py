"""The admin of host groups and of support groups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import groups, support
from cmdb.models import GroupMember, HostGroup, SupportGroup
from cmdb.web.groups import form_of, save
from cmdb.web.host_verbs import retire_barred
from cmdb.web.support import SupportForm
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


class MembershipInline(ReadOnlyInline):
    model = GroupMember


def _retire_group(group: HostGroup, actor: User, at: datetime, reason: str) -> None:
    groups.retire(group_id=group.pk, reason=reason, actor=actor, at=at)


def _against(group: HostGroup, actor: User, _at: datetime) -> list[Blocker]:
    return retire_barred(group, "group.edit", None, actor)


MAKE = AdminVerb(
    "make",
    _("Make a group"),
    lambda _none, actor, at, form: save(form=form, group=None, user=actor, now=at),
    form=form_of,
    on="new",
    why_not=lambda _none, actor, _at: failing([capability("group.edit")], None, actor),
)


@admin.register(HostGroup)
class GroupAdmin(VerbAdmin):
    list_display = (
        "name",
        "kind",
        "rule_environment",
        "rule_distribution",
        "rule_release",
        "rule_criticality",
        "retired_at",
    )
    list_filter = ("kind",)
    search_fields = ("name",)
    inlines = (MembershipInline,)
    maker = MAKE
    verbs = (
        AdminVerb(
            "revise",
            _("Revise, and who is in it"),
            lambda group, actor, at, form: save(form=form, group=group, user=actor, now=at),
            form=form_of,
            on="one",
            why_not=_against,
        ),
        AdminVerb("retire", _("Retire"), _retire_group, needs_reason=True, why_not=_against),
    )


def _define(_of: SupportGroup | None, actor: User, at: datetime, form: SupportForm) -> SupportGroup:
    return support.define(actor=actor, at=at, **form.given())


def _support_form(data: Any, group: SupportGroup, _actor: User) -> SupportForm:
    """Its name stays: another name is another group."""
    initial = {"name": group.name, "lead": group.lead_id, "members": [u.pk for u in group.members.all()]}
    form = SupportForm(data, initial=initial)
    form.fields["name"].disabled = True
    return form


def _against_support(_of: SupportGroup | None, actor: User, _at: datetime) -> list[Blocker]:
    return failing([capability("group.edit")], None, actor)


DEFINE = AdminVerb(
    "define",
    _("Define a support group"),
    _define,
    form=lambda data, _none, _actor: SupportForm(data),
    on="new",
    why_not=_against_support,
)


@admin.register(SupportGroup)
class SupportGroupAdmin(VerbAdmin):
    list_display = ("name", "lead")
    list_select_related = ("lead",)
    search_fields = ("name",)
    maker = DEFINE
    verbs = (
        AdminVerb("revise", _("Say who is in it"), _define, form=_support_form, on="one", why_not=_against_support),
    )
