"""The operators' admin: a window with the same verbs as actions, never a second door.

Fields are read-only, nothing is added or deleted here, and an action first shows its reach: how many rows it will
touch, which of them refuse, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from patchflow.kernel import trail, workflow
from patchflow.kernel.blockers import said
from patchflow.kernel.models import User
from patchflow.kernel.roles import title_of
from patchflow.kernel.sentences import say
from patchflow.web.admin_verbs import AdminVerb, Ahead, Partly, Pressed, action, confirmed_on, fires, plain
from patchflow.web.errors import ForNobody
from patchflow.web.naming import speak, told, told_of

__all__ = ["AdminVerb", "Ahead", "Partly", "ReadOnlyInline", "RoleFilter", "VerbAdmin", "fires", "in_sight", "plain"]


def in_sight(rows: QuerySet[Any], actor: Any) -> QuerySet[Any]:
    """Of the rows those that the actor may see; of rows that name a host and know no more, those of hosts in sight."""
    visible_to = getattr(rows, "visible_to", None)
    if visible_to:
        seen: QuerySet[Any] = visible_to(actor)
        return seen
    named = next((column for column in rows.model._meta.concrete_fields if column.name == "host"), None)
    hosts = in_sight(named.related_model._default_manager.all(), actor) if named else None
    if hosts is None or not hosts.query.where:
        return rows
    return rows.filter(Q(host__isnull=True) | Q(host__in=hosts.values("pk")))


class RoleFilter(admin.AllValuesFieldListFilter):
    """Rows by a role, which is called by its title."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for one in super().choices(changelist):
            yield {**one, "display": title_of(str(one["display"]))}


class VerbAdmin(admin.ModelAdmin):
    """Base of every admin: see all, change by verbs only. Subclasses set `verbs`, `view_capability`, and `maker`, the verb
    by which a row comes about here; without one nothing is added."""

    verbs: Sequence[AdminVerb] = ()
    maker: AdminVerb | None = None
    view_capability = "admin.view"
    sight = ""
    """The row by which these are seen, as `ring__rollout`, where they know none of their own."""
    show_full_result_count = False
    list_per_page = 50
    change_form_template = "web/admin_row.html"
    change_list_template = "web/admin_list.html"

    def __init__(self, model: type[Model], site: admin.AdminSite) -> None:
        super().__init__(model, site)
        for each in (model, *(inline.model for inline in self.inlines)):
            speak(each)

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
        """Who may look is offered the maker too, and told there what stands against it."""
        return self.maker is not None and self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """What is named is shown, also columns that no form can hold: the state is one."""
        has_state = any(column.name == "state" for column in self.model._meta.concrete_fields)
        return told(self.model, [*self.readonly_fields, *(self.fields or (["state"] if has_state else []))])

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Its state first: it is what people look for."""
        return told(self.model, sorted(super().get_fields(request, obj), key=lambda name: name != "state"))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return told(self.model, super().get_list_display(request))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = in_sight(super().get_queryset(request), request.user)
        if not self.sight:
            return rows
        model: Any = self.model
        for part in self.sight.split("__"):
            model = model._meta.get_field(part).related_model
        seen = in_sight(model._default_manager.all(), request.user)
        return rows.filter(**{f"{self.sight}__in": seen.values("pk")})

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = {}
        for verb in self.verbs:
            actions[verb.name] = (action(verb), verb.name, verb.label)
        return actions

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list; or a verb of it that is confirmed on the rows that its page has shown."""
        if request.method == "POST" and "chosen" in request.POST:
            if not self.has_view_permission(request):
                raise PermissionDenied(_("You may not see this."))
            return confirmed_on(self, request) or redirect(request.get_full_path())
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is None and self.maker is not None:
            return self._make(request, self.maker)
        if object_id is None:
            raise ForNobody(_("Nobody adds rows here: they come by verbs."))
        if request.method == "POST":
            raise ForNobody(_("Nobody types into rows here: they are changed by verbs, the actions of the list."))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """The row with its verbs, those that would be refused apart, and called by what it is called in the reader's language."""
        actor: Any = request.user
        now = timezone.now()
        asked = [(verb, self.explain(verb, [obj] if verb.on == "all" else obj, actor, now)) for verb in self.verbs]
        context |= {
            "open": [verb for verb, why in asked if not why],
            "refused": [(verb, why) for verb, why in asked if why],
            "subtitle": say(str(obj), mixed=True),
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _make(self, request: HttpRequest, maker: AdminVerb) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied(_("You may not see this."))
        return Pressed(self, request, maker).answer() or redirect(_list_of(self))

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


def _list_of(window: VerbAdmin) -> str:
    return f"admin:{window.opts.app_label}_{window.opts.model_name}_changelist"


class ReadOnlyInline(admin.TabularInline):
    """Satellite rows, to be seen. One is made for each request: `actor` is who looks."""

    actor: Any = None

    extra = 0
    can_delete = False
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        self.actor = request.user
        return in_sight(super().get_queryset(request), self.actor)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return told(self.model, [*self.readonly_fields, *(self.fields or told_of(self.model))])

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Each once: what is said is read only, and a column all the same."""
        return list(dict.fromkeys(told(self.model, super().get_fields(request, obj))))

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
admin.site.index_title = gettext_lazy("Every row, and what can be done with it")
