"""The places of cmdb in the rail: phase Assess."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from cmdb.models import Discrepancy, Host
from cmdb.web import looks
from patchflow.kernel.models import User
from patchflow.web.navigation import nav

__all__ = ["looks"]


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  the rail is shown to people who are logged in
    return request.user


def sees_hosts(request: HttpRequest) -> bool:
    """Whether the viewer sees hosts anywhere."""
    return _user(request).holds_somewhere("host.view")


def hosts_in_sight(request: HttpRequest) -> int:
    return Host.objects.live().visible_to(_user(request)).count()


def open_discrepancies(request: HttpRequest) -> int | None:
    return Discrepancy.objects.all().visible_to(_user(request)).open().count() or None


nav.add(
    "assess",
    _("Estate"),
    "cmdb:host-list",
    "host",
    10,
    badge=hosts_in_sight,
    permission=sees_hosts,
    under=("cmdb:host-",),
)
nav.add("assess", _("Groups"), "cmdb:group-list", "people", 20, permission=sees_hosts)
nav.add("assess", _("Services"), "cmdb:item-list", "release", 15, permission=sees_hosts, under=("cmdb:item-",))
nav.add(
    "assess", _("Distribution points"), "cmdb:point-list", "load", 35, permission=sees_hosts, under=("cmdb:point-",)
)
nav.add("assess", _("Support groups"), "cmdb:support-list", "people", 25, permission=sees_hosts)
nav.add("assess", _("Windows"), "cmdb:window-list", "clock", 30, permission=sees_hosts)
nav.add("assess", _("Baselines"), "cmdb:baseline-list", "compare", 40, permission=sees_hosts)
nav.add("assess", _("Scans"), "cmdb:scan-list", "radar", 50, permission=sees_hosts)
nav.add(
    "assess", _("Discrepancies"), "cmdb:discrepancy-list", "split", 60, badge=open_discrepancies, permission=sees_hosts
)
