"""The operators' admin: a window with the same verbs as actions, never a second door.

Fields are read-only, nothing is added or deleted here, and an action first shows its reach: how many rows it will
touch, which of them refuse, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from patchflow.kernel import trail, workflow
from patchflow.kernel.blockers import Blocker, said
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web.errors import ForNobody

SHOWN = 200
"""Rows named one by one on the page that confirms an action; more are counted."""


@dataclass(frozen=True)
class AdminVerb:
    """An action: `call(obj, actor, at, reason)` runs one verb on one row.

    What stands against it is asked beforehand: of the verb's own question `why_not(obj, actor, at)`, else of the rules and
    gates of `transition`; a verb that does more, or less, than one transition has the former. `choices` are the answers
    that the verb needs besides the reason; the chosen one is given as keyword `choice`.
    """

    name: str
    label: str | Promise
    call: Callable[..., Any]
    transition: str = ""
    needs_reason: bool = False
    choices: Sequence[tuple[str, str | Promise]] = ()
    why_not: Callable[[Any, User, Any], list[Blocker]] | None = None


def fires(name: str, label: str | Promise, *, needs_reason: bool = False) -> AdminVerb:
    """The admin verb that fires transition `name` through the one door."""

    def call(obj: Model, actor: User, at: Any, reason: str) -> None:
        facts = {"reason": reason} if needs_reason else {}
        workflow.fire(type(obj), obj.pk, name, actor=actor, at=at, **facts)

    return AdminVerb(name, label, call, transition=name, needs_reason=needs_reason)


class VerbAdmin(admin.ModelAdmin):
    """Base of every admin: see all, change by verbs only. Subclasses set `verbs` and `view_capability`."""

    verbs: Sequence[AdminVerb] = ()
    view_capability = "admin.view"
    show_full_result_count = False
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return (
            user.is_authenticated
            and user.is_active
            and (user.holds(self.view_capability) or bool(user.scopes_for(self.view_capability)))
        )

    def has_add_permission(self, request: HttpRequest, *_args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """What is named is shown, also columns that no form can hold: the state is one."""
        has_state = any(column.name == "state" for column in self.model._meta.concrete_fields)
        return [*self.readonly_fields, *(self.fields or (["state"] if has_state else []))]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Its state first: it is what people look for."""
        return sorted(super().get_fields(request, obj), key=lambda name: name != "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        visible_to = getattr(rows, "visible_to", None)
        return visible_to(request.user) if visible_to else rows

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = {}
        for verb in self.verbs:
            actions[verb.name] = (_action(verb), verb.name, verb.label)
        return actions

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is None:
            raise ForNobody(_("Nobody adds rows here: they come by verbs."))
        if request.method == "POST":
            raise ForNobody(_("Nobody types into rows here: they are changed by verbs, the actions of the list."))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise ForNobody(_("Nobody deletes rows here, least of all from the audit trail: history is kept."))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Leads to the trail of the object: the site's own history knows of nothing, for nothing is changed by its forms."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None or not self.has_view_permission(request, obj):
            raise PermissionDenied(_("You may not see this."))
        actor: Any = request.user
        if trail.entries_of(self.opts.label_lower, str(obj.pk), actor).exists():
            return redirect("reports:audit-object", self.opts.label_lower, obj.pk)
        self.message_user(request, _("The audit trail has nothing about it that you may read."), messages.WARNING)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", quote(obj.pk))

    def explain(self, verb: AdminVerb, obj: Any, actor: User, at: Any) -> str:
        """The reasons against `verb` on one row, or an empty text."""
        if verb.why_not:
            return said(verb.why_not(obj, actor, at))
        return said(workflow.why_not(obj, verb.transition, actor=actor, at=at)) if verb.transition else ""


def _action(verb: AdminVerb) -> Callable[[VerbAdmin, HttpRequest, QuerySet[Any]], Any]:
    def run(modeladmin: VerbAdmin, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        chosen = list(rows)
        if not chosen:
            modeladmin.message_user(request, _("None of these rows is there for you (any more)."), messages.WARNING)
            return None
        if not _is_complete(verb, request):
            return _ask(modeladmin, request, verb, chosen)
        refused = _call_each(verb, request, chosen)
        if len(refused) == len(chosen):
            return _ask(modeladmin, request, verb, chosen, refused)
        for obj, why in refused.items():
            modeladmin.message_user(request, f"{obj}: {why}", messages.ERROR)
        done = len(chosen) - len(refused)
        told = ngettext("%(label)s: done for %(n)d row.", "%(label)s: done for %(n)d rows.", done)
        modeladmin.message_user(request, told % {"label": verb.label, "n": done}, messages.SUCCESS)
        return None

    run.__name__ = verb.name
    run.short_description = verb.label  # type: ignore[attr-defined]
    return run


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()


def _is_complete(verb: AdminVerb, request: HttpRequest) -> bool:
    """Whether the page that asks was sent, with all that the verb needs."""
    chose = not verb.choices or request.POST.get("choice", "") in {str(value) for value, _label in verb.choices}
    return "confirmed" in request.POST and chose and bool(_reason(request) or not verb.needs_reason)


def _call_each(verb: AdminVerb, request: HttpRequest, chosen: Sequence[Any]) -> dict[Any, str]:
    """Runs the verb on one row after the other; the rows that refused, with the reasons."""
    actor: Any = request.user
    given = {"choice": request.POST["choice"]} if verb.choices else {}
    refused = {}
    for obj in chosen:
        try:
            verb.call(obj, actor, timezone.now(), _reason(request), **given)
        except Refusal as refusal:
            refused[obj] = refusal.said
    return refused


def _ask(
    modeladmin: VerbAdmin,
    request: HttpRequest,
    verb: AdminVerb,
    chosen: Sequence[Any],
    refused: Mapping[Any, str] | None = None,
) -> TemplateResponse:
    """The page that says what the action will touch and asks for what it needs; again, with what was typed, where that was
    not enough or (`refused`) every row refused."""
    actor: Any = request.user
    at = timezone.now()
    shown = [(obj, refused[obj] if refused else modeladmin.explain(verb, obj, actor, at)) for obj in chosen[:SHOWN]]
    context = {
        **modeladmin.admin_site.each_context(request),
        "title": verb.label,
        "verb": verb,
        "opts": modeladmin.model._meta,
        "shown": shown,
        "count": len(chosen),
        "all_refused": bool(refused),
        "refused": sum(bool(why) for _obj, why in shown),
        "more": max(len(chosen) - SHOWN, 0),
        "checkbox": ACTION_CHECKBOX_NAME,
        "reason_missing": "confirmed" in request.POST and verb.needs_reason and not _reason(request),
        "reason": _reason(request),
        "choice": request.POST.get("choice", ""),
        "choices": [(str(value), label) for value, label in verb.choices],
        "rows": chosen,
        "select_across": request.POST.get("select_across", "0"),
    }
    return TemplateResponse(request, "web/admin_verb.html", context)


class ReadOnlyInline(admin.TabularInline):
    """Satellite rows, to be seen."""

    extra = 0
    can_delete = False
    show_change_link = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*self.readonly_fields, *(self.fields or ())]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True


def may_enter(request: HttpRequest) -> bool:
    """Who may open the admin site: holders of `admin.view`, somewhere. Being a superuser or staff gives no entry.

    False leads to the log-in; who is logged in already would come back from there for ever. Raises PermissionDenied for them.
    """
    user: Any = request.user
    if not (user.is_authenticated and user.is_active):
        return False
    if not user.holds_somewhere("admin.view"):
        raise PermissionDenied(_("The admin site is for roles that may see every row: yours may not."))
    return True


admin.site.has_permission = may_enter  # type: ignore[method-assign]
admin.site.site_header = "Patchflow"
admin.site.site_title = "Patchflow"
admin.site.index_title = "Operators"
