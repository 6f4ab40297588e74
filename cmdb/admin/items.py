"""The admin of services and other items, and of what rests on what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import items
from cmdb.enums import ItemState, Link
from cmdb.models import ConfigurationItem, Relation
from cmdb.web.items import ItemForm, LinkForm
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, plain


class RelationInline(ReadOnlyInline):
    model = Relation
    fk_name = "source"

    def get_queryset(self, request: Any) -> Any:
        seen = ConfigurationItem.objects.all().visible_to(request.user)
        return super().get_queryset(request).filter(target__in=seen.values("pk")).select_related("target")


def _form(data: Any, item: ConfigurationItem, _actor: User) -> ItemForm:
    return ItemForm(data, item=item, initial={name: getattr(item, name) for name in items.SAID})


def _revise(item: ConfigurationItem, actor: User, at: datetime, form: ItemForm) -> None:
    items.revise(item_id=item.pk, actor=actor, at=at, **form.cleaned_data)


def _link(item: ConfigurationItem, actor: User, at: datetime, form: LinkForm) -> None:
    items.link(item_id=item.pk, actor=actor, at=at, **form.cleaned_data)


def _against_linking(item: ConfigurationItem, actor: User, _at: datetime) -> list[Blocker]:
    gone = item.state == ItemState.RETIRED
    retired = Blocker("conflict.retired", english("It is retired: nothing is said of it any more."))
    return failing([capability("host.edit")], item, actor) or ([retired] if gone else [])


def _enter_service(item: ConfigurationItem, actor: User, at: datetime, _said: str) -> None:
    items.enter_service(item_id=item.pk, actor=actor, at=at)


def _retire_item(item: ConfigurationItem, actor: User, at: datetime, said: str) -> None:
    items.retire(item_id=item.pk, reason=said, actor=actor, at=at)


def _why_not_enter(item: ConfigurationItem, actor: User, at: datetime) -> list[Blocker]:
    return items.why_not_say(item, actor) or workflow.why_not(item, "enter_service", actor=actor, at=at)


def _why_not_retire(item: ConfigurationItem, actor: User, at: datetime) -> list[Blocker]:
    return items.why_not_say(item, actor) or workflow.why_not(item, "retire", actor=actor, at=at)


ADD = AdminVerb(
    "add",
    _("Add a service"),
    lambda _none, actor, at, form: items.add(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, _actor: ItemForm(data, item=None),
    on="new",
    why_not=lambda _none, actor, _at: failing([capability("host.edit")], None, actor),
)


@admin.register(ConfigurationItem)
class ItemAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "environment", "criticality", "owner")
    list_filter = ("kind", "state", "environment", "criticality")
    search_fields = ("name",)
    list_select_related = ("owner",)
    inlines = (RelationInline,)
    maker = ADD
    verbs = (
        AdminVerb(
            "revise",
            _("Revise, and how many of its hosts stay up"),
            _revise,
            form=_form,
            on="one",
            why_not=lambda item, actor, _at: items.why_not_say(item, actor),
        ),
        AdminVerb(
            "link",
            _("Say on what it rests"),
            _link,
            form=plain(LinkForm, how=lambda _item: Link.RUNS_ON),
            on="one",
            why_not=_against_linking,
        ),
        AdminVerb(
            "enter_service", _("It is in use"), _enter_service, transition="enter_service", why_not=_why_not_enter
        ),
        AdminVerb("retire", _("Retire"), _retire_item, needs_reason=True, why_not=_why_not_retire),
    )


def _unlink(relation: Relation, actor: User, at: datetime, _said: str) -> None:
    items.unlink(item_id=relation.source_id, relation_id=relation.pk, actor=actor, at=at)


def _against_unlinking(relation: Relation, actor: User, at: datetime) -> list[Blocker]:
    return _against_linking(relation.source, actor, at) or failing([capability("host.edit")], relation.target, actor)


@admin.register(Relation)
class RelationAdmin(VerbAdmin):
    """What rests on what; both items are in sight."""

    list_display = ("source", "kind", "target", "origin", "since_at")
    list_filter = ("kind", "origin")
    list_select_related = ("source", "target")
    search_fields = ("source__name", "target__name")
    verbs = (AdminVerb("unlink", _("Take it back"), _unlink, why_not=_against_unlinking),)

    def get_queryset(self, request: Any) -> Any:
        seen = ConfigurationItem.objects.all().visible_to(request.user).values("pk")
        return super().get_queryset(request).filter(source__in=seen, target__in=seen)
