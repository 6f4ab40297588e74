"""What the pages that retire a host group or a service say of the approval routes that rest on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from changes.models import ApprovalRoute
from changes.queries.idle_routes import resting_on
from cmdb.models import ConfigurationItem, HostGroup
from patchflow.web import panels


def routes_of_group(request: HttpRequest, group: HostGroup) -> SafeString | None:
    return _said(request, resting_on(_routes(request), groups=[group.pk]))


def routes_of_service(request: HttpRequest, item: ConfigurationItem) -> SafeString | None:
    return _said(request, resting_on(_routes(request), services=[item.pk]))


def _routes(request: HttpRequest) -> Sequence[ApprovalRoute]:
    actor: Any = request.user
    return list(ApprovalRoute.objects.in_force().prefetch_related("groups", "services").visible_to(actor))


def _said(request: HttpRequest, routes: Sequence[ApprovalRoute]) -> SafeString | None:
    if not routes:
        return None
    names = format_html_join(", ", '<a href="{}">{}</a>', ((one.get_absolute_url(), one.name) for one in routes))
    text = _("These approval routes name nothing else that is in use, and ask nobody any more until they are revised:")
    return format_html("{} {}", text, names)


panels.register("cmdb.group-retire", routes_of_group, order=10)
panels.register("cmdb.item-retire", routes_of_service, order=10)
